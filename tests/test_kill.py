"""Runs whose workers and engines are killed end as undisturbed ones."""

from __future__ import annotations

from pathlib import Path

from tests.bench.bench_kill import kill_runs
from tests.engine_runs import own_host, until

KILLS = 3
SMALL = ("--set", "features.max_size_px=480")


def test_kills_of_workers_and_engines_change_nothing(tmp_path: Path) -> None:
    with own_host() as host:
        outcome = kill_runs(host, tmp_path, KILLS, SMALL)
        until(lambda: not host.processes())  # the last engine stays for a moment
    assert outcome.wrong == []
    assert [len(outcome.of("worker")), len(outcome.of("engine"))] == [KILLS, KILLS]
    assert sum(kill.late for kill in outcome.kills) < KILLS
    assert outcome.runs >= 1
    assert outcome.reads > 0
