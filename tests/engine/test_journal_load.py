"""Ten thousand records a second: the loop stays free, memory bounded, clients at their pace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pipeline.engine.event_log import EVENTS
from pipeline.engine.metrics import MetricStore
from tests.engine.load import SECONDS, SERIES


def test_a_flood_of_records(tmp_path: Path) -> None:
    # In a process of its own: what other tests have in memory would be measured too.
    command = [sys.executable, "-m", "tests.engine.load", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)

    assert 0 < figures["longest_callback_s"] < 0.05
    assert 10 < figures["resident_mb"] < 150
    assert figures["grown_mb"] < 20
    assert 3.0 <= figures["batches_a_second"] <= 4.2
    assert SERIES < max(figures["batch_sizes"]) < 100 and min(figures["batch_sizes"]) > 0
    # A client that never reads has one bounded batch to read, or begins again; then it goes on.
    assert figures["late"] is None or SERIES < figures["late"] <= 2000
    assert figures["again"] >= 1

    store = MetricStore(tmp_path / "metrics")
    store.open()
    curves = store.read_curves()
    assert len(curves) == SERIES
    assert sum(len(curve.buckets(10**6)) for curve in curves.values()) == figures["values"]
    assert 1000 < (tmp_path / EVENTS).stat().st_size < 60_000 * SECONDS
