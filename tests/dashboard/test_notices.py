"""Words that are shown for a few seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboard.pilot import ThisPilot, drive, settle, shown, text_of
from tests.dashboard.recorded import app_of, in_mapping

SHORT = "The ssh line is in your clipboard, if your terminal takes OSC 52."
LONG = "No folder of that name is there. " * 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory that holds nothing."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


async def lines_with(pilot: ThisPilot, words: str) -> list[str]:
    """The lines of the screen after something was said."""
    pilot.app.say(words)  # type: ignore[attr-defined]
    await settle(pilot)
    return text_of(pilot).splitlines()


@pytest.mark.parametrize("key", ["", "p"])
def test_a_notice_hides_keys_and_nothing_else(root: Path, key: str) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root))) as pilot:
            if key:
                await pilot.press(key)
                await settle(pilot)
            before = text_of(pilot).splitlines()
            after = await lines_with(pilot, SHORT)
            assert SHORT in after[-1]
            assert after[:-1] == before[:-1]

    drive(scenario())


def test_a_long_one_is_told_whole_and_gives_way_to_the_next(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root))) as pilot:
            before = text_of(pilot).splitlines()
            after = await lines_with(pilot, LONG)
            told = " ".join(" ".join(after[-2:]).replace("▌", " ").split())
            assert LONG.strip() in told
            assert after[:-2] == before[:-2]
            after = await lines_with(pilot, SHORT)
            assert SHORT in after[-1]
            assert after[:-1] == before[:-1]

    drive(scenario())
