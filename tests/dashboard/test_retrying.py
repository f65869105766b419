"""The key that runs a stage again, with all after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.messages import Answer
from tests.dashboard.pilot import drive, press, shown, text_of, until
from tests.dashboard.recorded import SteadySampler, app_of, in_mapping
from tests.engine import fake_worker
from tests.engine_runs import MOST_SECONDS, Host, states_in_log, view_in
from tui.dashboard.app import DashboardApp
from tui.dashboard.dialogs import Confirm
from tui.dashboard.link import Link, Pace
from tui.dashboard.look import Look
from tui.dashboard.steering import Restarter

QUICK = Pace(between=0.05, wait=0.2, answer=2.0, search=0.05)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory that holds nothing."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


def test_the_selected_stage_runs_again_after_a_question(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        run.answer = Answer(ok=False, message="?", reruns=("verification", "mapping"))
        async with shown(app_of(run)) as pilot:
            await press(pilot, "up", "T")
            assert run.commands == [{"op": "retry", "stage": "verification", "confirm": False}]
            assert isinstance(pilot.app.screen, Confirm)
            text = " ".join(text_of(pilot).split())
            assert "Run verification, mapping again from the beginning?" in text
            assert "of work are done anew" in text
            await press(pilot, "n")
            assert len(run.commands) == 1
            await press(pilot, "T")
            run.answer = Answer(ok=True, message="They run again.", reruns=("mapping",))
            await press(pilot, "y")
            assert run.commands[-1] == {"op": "retry", "stage": "verification", "confirm": True}
            assert "They run again." in text_of(pilot)

    drive(scenario())


def test_a_refusal_is_told_and_readonly_asks_nothing(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        run.answer = Answer(ok=False, message="Not [b]that[/b] one.", hint="Later.")
        async with shown(app_of(run)) as pilot:
            await press(pilot, "down", "T")
            assert "Not [b]that[/b] one. Later." in text_of(pilot)
        run = in_mapping(root)
        async with shown(app_of(run, readonly=True)) as pilot:
            await press(pilot, "T")
            assert run.commands == []

    drive(scenario())


def test_a_run_at_rest_goes_on_from_the_selected_stage(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, "5")
    root = tmp_path / "run"
    host.begin(photographs, root)
    view_in(root, "done")
    host.wait_until_empty()
    restarter = Restarter()
    link = Link(root, pace=QUICK)
    app = DashboardApp(link, look=Look(panel_s=0.0), sampler=SteadySampler(), restart=restarter)

    async def watch() -> None:
        async with shown(app, (100, 40)) as pilot:
            await until(pilot, lambda: app.model.connection.state == "left")
            await press(pilot, "up", "T")
            assert isinstance(app.screen, Confirm)
            await press(pilot, "y")
            await until(pilot, lambda: app.model.connection.state == "live")
            await until(pilot, lambda: app.model.state == "done")

    drive(watch())
    for started in restarter.started:
        assert started.process.wait(MOST_SECONDS) == 0
    assert states_in_log(root, "matching")[-2:] == ["waiting", "skipped"]
    assert states_in_log(root, "verification")[-3:] == ["waiting", "started", "done"]
    assert states_in_log(root, "mapping")[-3:] == ["waiting", "started", "done"]
