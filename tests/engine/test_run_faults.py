"""Whatever becomes of a worker in a real run: the stage fails in words, and a retry goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.run_directory import read_report
from tests.engine.conftest import PHOTOGRAPHS
from tests.engine.troubled_worker import noted_in
from tests.engine.watched_loop import held
from tests.engine_runs import Host, stage_of, until, view_in
from tests.fake_stages import DELAY_VARIABLE
from tui.client import EngineClient

FIRST_ITEM, ITEMS_BETWEEN = 3, 4
# How an item can end its worker; what the stage's failure says; and what it says to try.
FAULTS = {
    "segfault": ("segmentation fault", "Retry: it goes on"),
    "kill": ("SIGKILL", "Retry: it goes on"),
    "exit": ("exit code 3", "Retry: it goes on"),
    "memory": ("needs more than there is", "features.max_size_px"),
    "raise": ("ZeroDivisionError: by nought", "fault of the program"),
}


def test_a_worker_that_ends_in_any_way_is_a_failed_stage_and_a_retry_goes_on(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DELAY_VARIABLE, "0.05")
    run, trouble = tmp_path / "run", tmp_path / "trouble"
    engines, known, stored = set(), 0, 0
    for number, (fault, (why, hint)) in enumerate(FAULTS.items()):
        trouble.write_text(f"{fault} {FIRST_ITEM + number * ITEMS_BETWEEN}")
        if number == 0:
            client = EngineClient(host.begin(photographs, run).socket)
        else:
            assert client.command({"op": "retry"}).ok
        until(lambda: not trouble.exists())
        view = view_in(run, "failed")
        stage = stage_of(view, "features")
        assert (stage.state, why in stage.why, hint in stage.hint) == ("failed", True, True), stage
        assert why in view.why and hint in view.hint
        assert any(line.startswith("Fatal Python error") for line in stage.log) == (
            fault == "segfault"
        )
        engines.add(view.pid)
        computed = numbers_in(noted_in(trouble))
        assert len(computed) - known <= PHOTOGRAPHS - stored, "what is stored is not made again"
        known, stored = len(computed), len(list(run.glob("features/??/*.arrays")))
    assert client.command({"op": "retry"}).ok
    view_in(run, "done")
    assert read_report(run)["registered"] == PHOTOGRAPHS - 1
    computed = numbers_in(noted_in(trouble))
    assert set(computed) == set(range(PHOTOGRAPHS))
    assert 0 < len(computed) - known <= PHOTOGRAPHS - stored < PHOTOGRAPHS
    assert len(engines) == 1, "the engine survives all its workers"
    assert held(run / "engine.log") == []
    host.wait_until_empty()


def numbers_in(notes: Path) -> list[int]:
    """Numbers of the items that were computed so far, by whatever worker."""
    return [int(line) for line in notes.read_text().split()]
