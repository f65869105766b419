"""The keys at the foot of a screen."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from tests.dashboard.pilot import drive, press, settle, shown
from tests.dashboard.recorded import app_of, in_mapping
from tui.dashboard.dialogs import LEAST_SIZE, Confirm
from tui.dashboard.key_line import KeyLine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory that holds nothing."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


def test_it_tells_what_does_something_here(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root))) as pilot:
            told = pilot.app.screen.query_one(KeyLine).shown
            for words in ("p Parameters", "? Help", "Space Pause", "s Stop", "q Detach"):
                assert words in told
            assert told.count("Help") == 1  # ? and F1 do the same
            await press(pilot, "p")
            told = pilot.app.screen.query_one(KeyLine).shown
            assert "a Apply" in told and "Detach" not in told

    drive(scenario())


def test_no_key_is_cut_and_the_one_that_leaves_is_always_told(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root)), LEAST_SIZE) as pilot:
            line = pilot.app.screen.query_one(KeyLine)
            assert len(line.shown) <= LEAST_SIZE[0]
            assert "p Parameters" in line.shown and line.shown.endswith(" q Detach ")
            assert "Stop" not in line.shown
            await pilot.resize_terminal(80, 24)
            await settle(pilot)
            assert "s Stop" in line.shown and line.shown.endswith(" q Detach ")

    drive(scenario())


def test_it_tells_nothing_that_readonly_forbids(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root), readonly=True)) as pilot:
            told = pilot.app.screen.query_one(KeyLine).shown
            assert "Stop" not in told and "q Detach" in told

    drive(scenario())


def test_a_click_presses_the_key(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run)) as pilot:
            line = pilot.app.screen.query_one(KeyLine)
            await pilot.click(KeyLine, offset=(line.shown.index("Space") + 1, 0))
            await settle(pilot)
            assert run.commands == [{"op": "pause"}]
            await pilot.click(KeyLine, offset=(line.shown.index("Stop"), 0))
            await settle(pilot)
            assert isinstance(pilot.app.screen, Confirm)

    drive(scenario())


def test_its_colours_follow_the_theme(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root))) as pilot:
            line = pilot.app.screen.query_one(KeyLine)
            before = {str(span.style) for span in line._text.spans}
            await press(pilot, "d")
            assert {str(span.style) for span in line._text.spans} != before

    drive(scenario())


def test_nothing_is_kept_of_a_screen_that_was_left(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root))) as pilot:
            await press(pilot, "l")
            kept = [
                weakref.ref(part)
                for widget in pilot.app.screen.query(KeyLine)
                for part in (widget, widget._styles_cache)
            ]
            await press(pilot, "l", "p", "p")  # the newest one may be held for a while
            gc.collect()
            assert [part() for part in kept] == [None, None]

    drive(scenario())
