"""The parameters' screen on a real engine: a change is in its log, its request and on the plots."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events import ParameterChanged
from pipeline.run_directory import read_request
from tests.dashboard.pilot import drive, press, shown, text_of, until
from tests.dashboard.test_live_run import SIZE, app_for
from tests.dashboard.test_parameters_screen import ERROR, find, screen_of, type_value
from tests.engine import fake_worker
from tests.engine_runs import Host
from tui.dashboard.dialogs import Confirm
from tui.dashboard.left_behind import past_events

STEPS = 4000


def test_a_live_change_an_undo_and_one_that_makes_stages_stale(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_worker.STEPS, str(STEPS))
    root = tmp_path / "run"
    host.begin(photographs, root)

    def changed() -> list[tuple[object, bool]]:
        """The new values of the parameter as the engine's log has them, and whether they took
        effect."""
        told = (event.record for event in past_events(root))
        changes = [record for record in told if isinstance(record, ParameterChanged)]
        return [(c.new, c.step is not None) for c in changes if c.parameter == ERROR]

    async def watch() -> None:
        app = app_for(root)
        async with shown(app, SIZE) as pilot:
            await until(
                pilot, lambda: app.model.current is not None and app.model.current.name == "mapping"
            )
            await press(pilot, "p")
            await until(pilot, lambda: bool(screen_of(pilot).drafts.fields))
            await find(pilot, ERROR)
            await type_value(pilot, "3.5")
            await press(pilot, "a")
            await until(pilot, lambda: (3.5, True) in changed())
            await until(pilot, lambda: [m.new for m in app.model.marks_of("mapping")] == [3.5])
            await until(pilot, lambda: "from step" in text_of(pilot))
            await until(pilot, lambda: screen_of(pilot).drafts.known.answer.revision == 1)
            assert [change.new for change in read_request(root).changes] == [3.5]  # type: ignore[union-attr]

            await press(pilot, "z")
            await until(pilot, lambda: (4.0, True) in changed())
            await until(pilot, lambda: screen_of(pilot).drafts.known.answer.revision == 2)
            assert changed()[:4] == [(3.5, False), (3.5, True), (4.0, False), (4.0, True)]

            await press(pilot, "escape")
            await find(pilot, "pairs.seed")
            await type_value(pilot, "7")
            foreseen = "stale: pairs, matching, verification, mapping"
            await until(pilot, lambda: foreseen in text_of(pilot))
            await press(pilot, "a")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await until(pilot, lambda: "verification, mapping run again" in text_of(pilot))
            await press(pilot, "y")
            await until(pilot, lambda: screen_of(pilot).drafts.known.answer.revision == 3)
            await until(pilot, lambda: any("pairs stale" in line.text for line in app.model.lines))
            await press(pilot, "escape", "escape")
            app.give({"op": "stop"})
            await until(pilot, lambda: app.model.state == "stopped")

            await press(pilot, "p")
            await until(pilot, lambda: bool(screen_of(pilot).drafts.known.problem))
            assert screen_of(pilot).drafts.fields["pairs.seed"].view.value == 7
            await press(pilot, "h")
            await until(pilot, lambda: "pairs.seed  0 -> 7  by" in text_of(pilot))

    drive(watch())
    host.wait_until_empty()
