"""The dashboard on real engines: from the first stage to the end, through kills and failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboard.pilot import drive, press, shown, text_of, until, until_shown
from tests.dashboard.recorded import SteadySampler
from tests.engine import fake_worker, troubled_worker
from tests.engine_runs import MOST_SECONDS, Host, engine_of, kill, view_in
from tui.dashboard.app import DashboardApp
from tui.dashboard.link import Link, Pace
from tui.dashboard.look import Look
from tui.dashboard.steering import Restarter

QUICK = Pace(between=0.05, wait=0.2, answer=2.0, search=0.05)
SIZE = (100, 40)
LONG = "1600"  # steps of 5 ms: mapping is still there when a busy machine gets round to the keys
SHORT = "5"


def app_for(root: Path, restart: Restarter | None = None) -> DashboardApp:
    """A dashboard that looks often."""
    link = Link(root, pace=QUICK)
    return DashboardApp(link, look=Look(panel_s=0.0), sampler=SteadySampler(), restart=restart)


def test_a_run_from_its_middle_to_its_end_and_again(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, LONG)
    root = tmp_path / "run"
    host.begin(photographs, root)

    async def watch() -> None:
        app = app_for(root)
        async with shown(app, SIZE) as pilot:
            await until(pilot, lambda: bool(
                app.model.current and app.model.current.name == "mapping"))  # fmt: skip
            await press(pilot, "space")
            await until(pilot, lambda: app.model.state == "paused")
            await until_shown(pilot, "paused")
            await press(pilot, "space")
            await until(pilot, lambda: app.model.state == "done")
            await until_shown(pilot, "5 of 6", "3 matches, 15 needed")

    async def look_again() -> None:
        app = app_for(root)
        async with shown(app, SIZE) as pilot:
            await until_shown(pilot, "3 matches, 15 needed")
            assert app.model.state == "done"
            assert any("features done" in line.text for line in app.model.lines)

    drive(watch())
    host.wait_until_empty()
    drive(look_again())


def test_a_killed_engine_is_told_and_started_again(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, LONG)
    root = tmp_path / "run"
    host.begin(photographs, root)

    restarter = Restarter()

    async def watch() -> None:
        app = app_for(root, restarter)
        async with shown(app, SIZE) as pilot:
            await until(pilot, lambda: bool(
                app.model.current and app.model.current.name == "mapping"))  # fmt: skip
            kill(engine_of(root).identity.pid)
            await until(pilot, lambda: app.model.state == "interrupted")
            await until_shown(pilot, "The engine is gone", "interrupted")
            monkeypatch.setenv(fake_worker.STEPS, SHORT)  # of the engine that is started now
            await press(pilot, "t")
            await until(pilot, lambda: app.model.connection.state == "live")
            await until(pilot, lambda: app.model.viewer.port is not None)
            await until(pilot, lambda: app.model.state == "done")
            assert app.model.stage("features").state == "skipped"  # type: ignore[union-attr]
            await until(pilot, lambda: "The engine is gone" not in text_of(pilot))

    drive(watch())
    for started in restarter.started:
        assert started.process.wait(MOST_SECONDS) == 0


def test_a_failed_stage_is_tried_again(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, SHORT)
    (tmp_path / "trouble").write_text("refuse 2")
    root = tmp_path / "run"
    host.begin(photographs, root)

    async def watch() -> None:
        app = app_for(root)
        async with shown(app, SIZE) as pilot:
            await until(pilot, lambda: app.model.state == "failed")
            await until_shown(pilot, "a.jpg fits nothing", "look again")
            await press(pilot, "t")
            await until(pilot, lambda: app.model.state == "done")

    drive(watch())
    assert view_in(root, "done").state == "done"


def test_a_flood_of_events_does_not_hold_the_keys(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(troubled_worker.FLOOD_S, "2")
    monkeypatch.setenv(fake_worker.STEPS, SHORT)
    root = tmp_path / "run"
    host.begin(photographs, root)

    async def watch() -> None:
        app = app_for(root)
        async with shown(app, SIZE) as pilot:
            await until(pilot, lambda: ("pairs", "loss 1") in app.model.series)
            await press(pilot, "question_mark")
            await until_shown(pilot, "Every key")
            await press(pilot, "escape")
            before = app.model.updates
            await until(pilot, lambda: app.model.state == "done")
            assert 0 < app.model.updates - before < 200
            assert len(app.model.lines) <= 2000

    drive(watch())
