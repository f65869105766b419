"""Commands on a run that has ended, while its engine stays for a while."""

from __future__ import annotations

from pathlib import Path

from pipeline.engine.runtime import find_engine
from pipeline.run_directory import read_request
from tests.tui.conftest import Barfield
from tests.tui.fake_engine import Play
from tests.tui.terminals import until


def engine_at(root: Path) -> str:
    """Which engine is there for a run."""
    found = find_engine(root)
    assert found is not None
    return found.engine


def test_an_engine_that_only_lingers_is_no_living_one(
    photos_of_a_run: Path, barfield: Barfield
) -> None:
    root, lingering = photos_of_a_run, Play(steps=2, end="failed", quiet_s=60)
    assert barfield("run", "garden", "--headless", play=lingering)[0] == 1
    first = engine_at(root)
    resume = ("resume", "garden", "--set", "matching.ratio=0.7")
    code, out, _ = barfield(*resume, play=Play(steps=2, quiet_s=60))
    assert code == 0 and "5 of 5 photographs" in out
    asked = read_request(root)
    assert asked is not None and [change.new for change in asked.changes] == [0.7]
    assert engine_at(root) != first
    code, _, err = barfield("retry", "garden")
    assert code == 1 and "The run is done" in err
    for _ in range(2):
        code, out, err = barfield("stop", "garden")
        assert (code, out) == (1, "") and "it is done" in err
        until(lambda: find_engine(root) is None)


def test_a_retry_takes_the_place_of_an_engine_that_only_lingers_and_is_followed(
    photos_of_a_run: Path, barfield: Barfield
) -> None:
    root = photos_of_a_run
    failing, done = Play(steps=2, end="failed", quiet_s=60), Play(steps=2, quiet_s=60)
    assert barfield("run", "garden", "--headless", play=failing)[0] == 1
    engines = [engine_at(root)]
    for again in (("retry", "garden"), ("retry", "garden", "--from", "ingest", "--yes")):
        code, out, _ = barfield(*again, "--plain", play=done)
        assert code == 0 and "5 of 5 photographs" in out
        engines.append(engine_at(root))
    assert len(set(engines)) == 3
    code, out, err = barfield("retry", "garden", "--from", "ingest")
    assert code == 2 and "would run again" in out and "--yes" in err
    assert engine_at(root) == engines[-1], "nothing is done before a yes"
