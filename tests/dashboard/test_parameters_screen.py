"""The parameters' screen on recorded runs: found, typed, foreseen, applied, taken back, saved."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
from textual.color import Color

from pipeline.config import RunConfig
from pipeline.engine.messages import Answer
from pipeline.events import StageChanged
from pipeline.settings import changed_config, load_settings
from tests.dashboard.configured import BY, ConfiguredRun, as_far_as_mapping
from tests.dashboard.pilot import (
    SIZES,
    ThisPilot,
    drive,
    press,
    settle,
    shown,
    text_of,
    type_keys,
    until,
)
from tests.dashboard.recorded import app_of
from tests.dashboard.test_parameters import WithoutEngine
from tui.dashboard.dialogs import Confirm
from tui.dashboard.look import AsciiFilter, Look
from tui.dashboard.model import Connection
from tui.dashboard.parameters import ParametersScreen
from tui.dashboard.parameters_save import SaveDialog
from tui.dashboard.run_screen import RunScreen
from tui.dashboard.widgets import Prose

ERROR = "mapping.max_reprojection_error_px"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfiguredRun:
    """A run in the middle of mapping; the current folder is an empty one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return as_far_as_mapping(tmp_path / "garden")


async def find(pilot: ThisPilot, words: str) -> None:
    """Search, and go to what was found."""
    await type_keys(pilot, "slash", *words)
    await press(pilot, "enter")


async def type_value(pilot: ThisPilot, text: str, *, keep: bool = True) -> None:
    """Type a value for the parameter at the cursor."""
    await type_keys(pilot, "enter", *text)
    await press(pilot, *(["enter"] if keep else []))
    await settle(pilot)


def told_in(pilot: ThisPilot, where: str) -> str:
    """What is told in a part of the screen, however it is wrapped."""
    return screen_of(pilot).query_one(where, Prose).shown


def screen_of(pilot: ThisPilot) -> ParametersScreen:
    """The parameters' screen, which is on top."""
    assert isinstance(pilot.app.screen, ParametersScreen)
    return pilot.app.screen


@pytest.mark.parametrize("size", SIZES)
def test_it_opens_at_the_stage_that_runs_and_shows_what_one_needs(
    run: ConfiguredRun, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with shown(app_of(run), size) as pilot:
            await press(pilot, "p")
            text = text_of(pilot)
            assert max(map(len, text.splitlines())) <= size[0]
            for words in ("Parameters  garden", "mapping  ▶ running", "max_reprojection_error_px",
                          "live", "at least 6", "2D-3D inliers that registration needs.",
                          "default 30", "taken between two steps of mapping", "a Apply",
                          "w Save"):  # fmt: skip
                assert words in text, text
            assert screen_of(pilot).table.selected == "mapping.min_resection_inliers"
            await press(pilot, "home")
            assert "ingest  ✓ done" in text_of(pilot)
            await press(pilot, "end")
            assert screen_of(pilot).table.selected == "cluster.shared_files"
            assert "fixed while a run goes on" in text_of(pilot)
            await press(pilot, "tab")
            assert screen_of(pilot).table.selected == "ingest.cameras"
            await press(pilot, "p")
            assert isinstance(pilot.app.screen, RunScreen)

    drive(scenario())


@pytest.mark.parametrize("size", SIZES[::2])
def test_a_value_is_checked_as_it_is_typed_and_applied(
    run: ConfiguredRun, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with shown(app_of(run), size) as pilot:
            await press(pilot, "p")
            await find(pilot, "reprojection px")
            await press(pilot, "down")
            assert screen_of(pilot).table.selected == ERROR
            await type_value(pilot, "99", keep=False)
            (row,) = (line for line in text_of(pilot).splitlines() if "▶ max_reproj" in line)
            assert "99" in row and "at most 50 px" in row
            await press(pilot, "enter")
            assert not screen_of(pilot).drafts.values and "at most 50 px" in text_of(pilot)
            await type_keys(pilot, "backspace", "backspace", "3", "full_stop", "5")
            await press(pilot, "enter")
            assert screen_of(pilot).drafts.values == {ERROR: 3.5}
            text = text_of(pilot)
            assert "4 -> 3.5" in text and "1 change to apply: taken between two steps" in text
            assert run.commands == []
            await press(pilot, "a")
            assert run.commands == [
                {"op": "set", "changes": {ERROR: 3.5}, "base_revision": 0, "confirm": False}
            ]
            pilot.app.clear_notifications()
            await settle(pilot)
            text = text_of(pilot)
            assert "to apply" not in text and "3.5" in text and "revision 1" in text
            assert f"4 -> 3.5  by {BY}, from step 7" in told_in(pilot, "#detail")
            await press(pilot, "escape", "escape")
            assert isinstance(pilot.app.screen, RunScreen)
            assert [mark.step for mark in pilot.app.model.marks_of("mapping")] == [7]  # type: ignore[attr-defined]

    drive(scenario())


def test_choices_are_stepped_through_and_defaults_come_back(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            await find(pilot, "mapping.loss")
            await press(pilot, "right")
            drafts = screen_of(pilot).drafts
            assert drafts.values == {"mapping.loss": "none"}
            await press(pilot, "left", "left")
            assert drafts.values == {"mapping.loss": "soft_l1"}
            await press(pilot, "b")
            assert drafts.values == {}
            await press(pilot, "enter", "down", "down", "enter")
            assert drafts.values == {"mapping.loss": "huber"}
            await press(pilot, "z")
            assert drafts.values == {} and run.commands == []
            await press(pilot, "escape")
            await find(pilot, "exposure")
            await press(pilot, "left")
            assert drafts.values == {"radiance.exposure": True}
            await type_value(pilot, "none")
            assert drafts.values == {}

    drive(scenario())


def test_what_makes_stages_stale_is_foreseen_asked_and_done(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            await find(pilot, "matching.ratio")
            await type_value(pilot, "0.7", keep=False)
            assert "stale: matching, verification, mapping" in text_of(pilot)
            await press(pilot, "enter")
            reruns = ("matching", "verification", "mapping")
            run.answer = Answer(ok=False, message="They would run again.", reruns=reruns)
            await press(pilot, "a")
            await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
            await settle(pilot)
            assert "matching, verification, mapping run again" in text_of(pilot)
            await press(pilot, "n")
            assert screen_of(pilot).drafts.values == {"matching.ratio": 0.7}
            await press(pilot, "a")
            await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
            await press(pilot, "y")
            await until(pilot, lambda: run.commands[-1]["confirm"])
            await press(pilot)
            assert run.settings.matching.ratio == 0.7
            assert screen_of(pilot).drafts.values == {}

    drive(scenario())


def test_undo_takes_changes_back_one_after_the_other(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        run.change(ERROR, 3.0)
        run.change(ERROR, 2.0)
        app = app_of(run)
        async with shown(app, (200, 60)) as pilot:
            await press(pilot, "p")
            await press(pilot, "z")
            await until(pilot, lambda: len(app.model.changes) == 3)
            await press(pilot, "z")
            await until(pilot, lambda: len(app.model.changes) == 4)
            assert [command["changes"] for command in run.commands] == [{ERROR: 3.0}, {ERROR: 4.0}]
            assert "Changes of this run" in text_of(pilot)
            assert "3 -> 4" in told_in(pilot, "#recent")
            await press(pilot, "z")
            assert "Nothing to undo" in text_of(pilot) and len(run.commands) == 2

    drive(scenario())


def test_a_refusal_is_told_and_the_draft_stays(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            await type_value(pilot, "9")
            run.answer = Answer(ok=False, message="At revision [b]3[/b].", hint="Look again.")
            asked = run.asked
            await press(pilot, "a")
            assert "At revision [b]3[/b]. Look again." in text_of(pilot)
            assert screen_of(pilot).drafts.values == {"mapping.min_resection_inliers": 9}
            assert run.asked > asked

    drive(scenario())


def test_what_is_fixed_is_not_asked_for_and_can_be_saved(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            await find(pilot, "workers")
            await type_value(pilot, "3")
            assert "fixed while a run goes on: cluster.workers" in text_of(pilot)
            await press(pilot, "a")
            assert run.commands == []
            await press(pilot, "w")
            assert isinstance(pilot.app.screen, SaveDialog) and "garden.toml" in text_of(pilot)
            await press(pilot, "enter")
            path = Path.cwd() / "garden.toml"
            assert load_settings(path) == changed_config(RunConfig(), {"cluster.workers": 3})
            assert "Saved" in text_of(pilot)
            before = path.read_bytes()
            await press(pilot, "w")
            assert "garden-2.toml" in text_of(pilot)
            await type_keys(pilot, "ctrl+u", *"garden.toml")
            await press(pilot, "enter")
            assert isinstance(pilot.app.screen, SaveDialog)
            assert "there already" in pilot.app.screen.query_one("#answer", Prose).shown
            await press(pilot, "escape")
            assert path.read_bytes() == before and isinstance(pilot.app.screen, ParametersScreen)

    drive(scenario())


def test_a_disk_that_takes_long_does_not_hold_the_keys(
    run: ConfiguredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = Event()

    def slow(path: Path, _: RunConfig) -> Path:
        goes_on.wait(30.0)
        return path

    monkeypatch.setattr("tui.dashboard.parameters_save.save_settings", slow)

    async def scenario() -> None:
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            await type_keys(pilot, "w", "enter", "enter")
            assert "Saving ..." in text_of(pilot)
            await type_keys(pilot, "escape")
            assert isinstance(pilot.app.screen, ParametersScreen)
            goes_on.set()
            await press(pilot, "j")
            assert isinstance(pilot.app.screen, ParametersScreen)

    drive(scenario())


def test_drafts_are_not_lost_without_a_question(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            await type_value(pilot, "9")
            for key in ("escape", "p", "q"):
                await press(pilot, key)
                assert isinstance(pilot.app.screen, Confirm), key
                assert "Leave without applying 1 change?" in text_of(pilot)
                await press(pilot, "n")
                assert screen_of(pilot).drafts.values
            await press(pilot, "escape", "y")
            assert isinstance(pilot.app.screen, RunScreen)

    drive(scenario())


def test_filters_the_history_and_a_search_without_end(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        run.change(ERROR, 3.0, step=None)
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p", "v")
            assert "only live ones" in text_of(pilot) and "min_pair_inliers" not in text_of(pilot)
            await press(pilot, "v")
            assert "only changed ones" in text_of(pilot)
            assert screen_of(pilot).table.selected == ERROR
            await press(pilot, "v", "h")
            assert f"{ERROR}  4 -> 3  by {BY}" in told_in(pilot, "#changes")
            await press(pilot, "escape")
            assert "min_pair_inliers" in text_of(pilot)
            await find(pilot, "[zzz]")
            assert "Nothing found" in text_of(pilot)
            await press(pilot, "enter", "right", "b", "down", "pagedown", "home", "tab")
            await press(pilot, "escape")
            assert "min_pair_inliers" in text_of(pilot)

    drive(scenario())


def test_a_change_by_somebody_else_is_seen(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            await find(pilot, ERROR)
            await type_value(pilot, "2")
            run.change(ERROR, 3.0)
            await settle(pilot)
            await press(pilot)
            assert "3 -> 2" in text_of(pilot) and "revision 1" in text_of(pilot)
            run.change(ERROR, 2.0)
            await settle(pilot)
            await press(pilot)
            assert screen_of(pilot).drafts.values == {}
            asked = run.asked
            for _ in range(5):
                await settle(pilot)
            assert run.asked == asked

    drive(scenario())


def test_readonly_shows_and_changes_nothing(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run, readonly=True)) as pilot:
            await press(pilot, "p", "enter", "right", "a", "z", "b")
            text = text_of(pilot)
            assert "read only" in text and "Apply" not in text and "Edit" not in text
            assert run.commands == [] and screen_of(pilot).drafts.values == {}
            await press(pilot, "h", "h", "v", "w", "escape")
            assert isinstance(pilot.app.screen, ParametersScreen)

    drive(scenario())


def test_ascii_and_no_colour(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        look = Look(unicode=False, color=False, pictures=False, panel_s=0.0)
        async with shown(app_of(run, look)) as pilot:
            await press(pilot, "p")
            await type_value(pilot, "9")
            (ascii_only,) = (
                entry for entry in pilot.app.get_line_filters() if isinstance(entry, AsciiFilter)
            )
            drawn = [
                strip.apply_filter(ascii_only, Color(0, 0, 0)).text
                for strip in pilot.app.screen._compositor.render_strips()
            ]
            assert all(map(str.isascii, drawn)) and "?" not in "".join(drawn[:18])
            assert any(line.startswith(">*min_resection_inliers") for line in drawn)

    drive(scenario())


def test_without_an_engine_it_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = WithoutEngine(tmp_path / "garden")
        run.tell("mapping", StageChanged("mapping", "waiting"))
        run.connection = Connection("left", "No engine")
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            assert "The run does not go on" in text_of(pilot)
            await press(pilot, "enter", "a", "z", "w", "right", "v")
            assert "not known yet" in text_of(pilot)

    drive(scenario())


def test_it_is_resized_while_a_value_is_typed(run: ConfiguredRun) -> None:
    async def scenario() -> None:
        async with shown(app_of(run), (200, 60)) as pilot:
            await press(pilot, "p")
            await type_value(pilot, "3", keep=False)
            for size in ((80, 24), (60, 18), (100, 40)):
                await pilot.resize_terminal(*size)
                await settle(pilot)
                (row,) = (line for line in text_of(pilot).splitlines() if "▶ min_resection" in line)
                assert "3" in row and "at least 6" in row
            await press(pilot, "5", "enter")
            assert screen_of(pilot).drafts.values == {"mapping.min_resection_inliers": 35}

    drive(scenario())
