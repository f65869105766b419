"""A real run whose wall clock jumps by a day each second: nothing that is told depends on it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from pipeline.engine.messages import RunView
from pipeline.engine.runtime import EngineFile
from tests import fake_engine_process
from tests.engine.conftest import PHOTOGRAPHS
from tests.engine_runs import Host, stage_of
from tests.fake_stages import DELAY_VARIABLE
from tui.client import EngineClient

DELAY_S = 0.2
MOST_S = 120.0
DAY_S = 86400.0


def test_progress_and_time_left_stay_sane_when_the_clock_jumps(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DELAY_VARIABLE, str(DELAY_S))
    monkeypatch.setenv(fake_engine_process.CLOCK, "jumping")
    run = tmp_path / "run"
    views = watched(host.begin(photographs, run))
    listed = host.call_here("ls")
    host.wait_until_empty()

    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    times = [event["time"] for event in events]
    assert max(times) - min(times) > DAY_S, "the clock did jump"
    for name, kinds in (("seq", {e["kind"] for e in events}), ("mono", {"run", "stage"})):
        stamps = [event[name] for event in events if event["kind"] in kinds]
        assert stamps == sorted(stamps)
    assert [view.seq for view in views] == sorted(view.seq for view in views)
    seconds = [view.seconds for view in views]
    assert seconds == sorted(seconds) and 0 < seconds[-1] < MOST_S
    features = [stage_of(view, "features") for view in views if view.stages]
    known = [stage for stage in features if stage.rate is not None and stage.left_s is not None]
    assert known
    for stage in known:
        assert stage.rate is not None and 0.1 < stage.rate <= 2 * PHOTOGRAPHS / DELAY_S
        assert stage.left_s is not None and 0 <= stage.left_s < MOST_S
    assert 0 < features[-1].seconds < MOST_S
    assert re.search(r"  \d+ (s|d \d+ h) ago  ", listed.out), listed.out


def watched(engine: EngineFile) -> list[RunView]:
    """What an engine says of its run, again and again until it is done."""
    client = EngineClient(engine.socket)
    views: list[RunView] = []
    while not views or views[-1].state != "done":
        views.append(client.state())
        time.sleep(0.05)
    return views
