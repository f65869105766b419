"""The log on recorded runs: what is in it, filter, search, follow, many lines, at three sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events import StageChanged, Warned
from pipeline.run_directory import stage_log
from tests.dashboard.pilot import SIZES, ThisPilot, drive, press, settle, shown, text_of
from tests.dashboard.recorded import EPOCH_S, RecordedRun, app_of, in_mapping
from tui.dashboard.log_lines import MOST_LINES, LogLines, level_of
from tui.dashboard.log_screen import clock_time
from tui.dashboard.model import MOST_LINES as MOST_TOLD
from tui.dashboard.model import Model
from tui.dashboard.screens import DashboardScreen

HOSTILE = ("a\x1b[2Jb\nc", "\u202egpj.exe", "n" * 3000, "[/]", "語" * 90, "[red]x[/red]")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the recorded run is said to be."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


def print_lines(root: Path, stage: str, *lines: str) -> None:
    """Let a stage print."""
    path = stage_log(root, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def rows(pilot: ThisPilot) -> list[str]:
    """The lines of the list that are on the screen."""
    height = pilot.app.screen.query_one("#list").size.height
    width = pilot.app.screen.query_one("#list").size.width - 1  # without the scrollbar
    lines = text_of(pilot).splitlines()[1 : 1 + height]
    return [row for line in lines if (row := line[:width].rstrip())]


def screen_name(pilot: ThisPilot) -> str:
    """Which screen is on top."""
    screen = pilot.app.screen
    assert isinstance(screen, DashboardScreen)
    return screen.NAME


@pytest.mark.parametrize("size", SIZES)
def test_it_has_events_and_what_stages_print(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        print_lines(root, "mapping", "reading \x1b[31mpairs\x1b[0m", "ERROR: out of pairs")
        (root / "engine.log").write_text("engine of garden\n")
        run = in_mapping(root)
        async with shown(app_of(run), size) as pilot:
            await press(pilot, "l")
            text = text_of(pilot)
            for words in ("following", "a[b]c.jpg: little detail", "mapping started",
                          "verification done after 3.5 s"):  # fmt: skip
                assert words in text, text
            # Printed before anybody looked, in a file that is older than the recorded events.
            await press(pilot, "home")
            assert "reading pairs" in rows(pilot)[0] and "stays" in text_of(pilot)
            assert "E ERROR: out of pairs" in rows(pilot)[1]
            assert "engine" in rows(pilot)[2] and rows(pilot)[0].startswith(" " * 9)
            assert max(map(len, text.splitlines())) <= size[0]
            await press(pilot, "l")
            assert screen_name(pilot) == "run"

    drive(scenario())


def test_level_and_stage(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        run.tell("mapping", StageChanged("mapping", "failed", 1.0, "no memory"))
        async with shown(app_of(run)) as pilot:
            await press(pilot, "l", "e")
            assert len(rows(pilot)) == 2 and "a[b]c.jpg" in rows(pilot)[0]
            await press(pilot, "e")
            assert "mapping failed" in rows(pilot)[0] and "errors alone" in text_of(pilot)
            await press(pilot, "e", "g", "g")
            assert "features" in text_of(pilot).splitlines()[0]
            assert all(" features " in row for row in rows(pilot))
            await press(pilot, "G", "G", "G")
            assert rows(pilot)[-1].endswith("run running") and " run " in rows(pilot)[0]
            await press(pilot, "g")
            assert "all stages" in text_of(pilot)

    drive(scenario())


def test_search_goes_from_line_to_line(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root))) as pilot:
            await press(pilot, "l", "slash", *"done", "enter")
            assert "info: verification done" in text_of(pilot)
            await press(pilot, "N")
            assert "info: matching done" in text_of(pilot) and "stays" in text_of(pilot)
            await press(pilot, "n", "n")
            assert "No line with done there." in text_of(pilot)
            await press(pilot, "escape")
            assert screen_name(pilot) == "log"
            await press(pilot, "escape")
            assert screen_name(pilot) == "run"

    drive(scenario())


def test_it_follows_until_one_moves_up(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run)) as pilot:
            await press(pilot, "l")
            await tell(pilot, run, *(Warned(f"number {i}") for i in range(50)))
            assert "number 49" in rows(pilot)[-1]
            await press(pilot, "pageup")
            before = rows(pilot)
            await tell(pilot, run, *(Warned(f"later {i}") for i in range(50)))
            assert rows(pilot) == before
            await press(pilot, "f")
            assert "later 49" in rows(pilot)[-1] and "following" in text_of(pilot)
            print_lines(root, "mapping", "warm words", "UserWarning: slow")
            run.now += 1
            await press(pilot, "up", "end")
            run.now += 1
            await settle(pilot)
            assert "W UserWarning: slow" in rows(pilot)[-1], text_of(pilot)

    drive(scenario())


def test_many_lines_stay_in_bounded_memory(root: Path) -> None:
    run = in_mapping(root)
    model, lines = Model(), LogLines()
    for turn in range(16):
        run.tell("mapping", *(Warned(f"{turn} {i}") for i in range(MOST_TOLD)))
        update = run.take()
        assert update is not None
        model.fold(update)
        assert lines.take_events(model) and not lines.take_events(model)
    assert len(lines) == len(lines.shown) == MOST_LINES and lines.lost == 0
    assert lines.dropped > 0 and lines.shown[-1].text == f"15 {MOST_TOLD - 1}"
    run.tell("mapping", *(Warned("x") for _ in range(MOST_TOLD + 7)))
    update = run.take()
    assert update is not None
    model.fold(update)
    lines.take_events(model)
    assert lines.lost == 7
    lines.select("error", "mapping")
    assert not lines.shown and lines.find("x", 0, 1) is None


def test_another_engine_tells_its_own_lines(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run)) as pilot:
            await press(pilot, "l")
            run.add(fresh=True)
            await tell(pilot, run, Warned("from the new engine"))
            assert "from the new engine" in rows(pilot)[-1]

    drive(scenario())


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]])
def test_lines_are_only_text(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run), size) as pilot:
            await press(pilot, "l")
            for words in HOSTILE:
                print_lines(root, "mapping", words)
                await tell(pilot, run, Warned(words, words), Warned(words))
                strips = pilot.app.screen._compositor.render_strips()
                assert {strip.cell_length for strip in strips} == {size[0]}
                assert "\x1b" not in text_of(pilot) and "\u202e" not in text_of(pilot)
            assert "[red]x[/red]" in text_of(pilot)

    drive(scenario())


def test_levels_and_times_of_printed_lines() -> None:
    assert level_of("Traceback (most recent call last):") == "error"
    assert level_of("ValueError: no") == level_of("12:00 ERROR x") == "error"
    assert level_of("WARNING: x") == level_of("a.py:3: DeprecationWarning: y") == "warning"
    assert level_of("an error of 0.3 px") == "info"
    assert clock_time(None) == clock_time(-1.0) == clock_time(float("nan")) == ""
    assert len(clock_time(EPOCH_S)) == 8


async def tell(pilot: ThisPilot, run: RecordedRun, *records: Warned) -> None:
    """Let something happen, and look."""
    run.tell("mapping", *records)
    run.now += 1
    await settle(pilot)
