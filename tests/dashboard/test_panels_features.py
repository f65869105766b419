"""The panel of features: keypoints per photograph, and a photograph."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import JsonValue

from pipeline.events import Report, StageChanged
from tests.dashboard.pilot import SIZES, drive, press, settle, shown, text_of
from tests.dashboard.recorded import RecordedRun, app_of, begin, finish
from tests.dashboard.sketched import in_features
from tui.dashboard.look import Look


@pytest.mark.parametrize("size", SIZES)
def test_features_show_keypoints_the_weakest_and_a_photograph(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_features(tmp_path)), size) as pilot:
            text = text_of(pilot)
            for words in ("keypoints per photograph", "photographs by keypoints", "median", "400",
                          "weakest", "[red]weak", "▀▀▀", "011.jpg"):  # fmt: skip
                assert words in text, text
            assert max(map(len, text.splitlines())) <= size[0]

    drive(scenario())


def test_without_pictures_the_plots_have_their_room(tmp_path: Path) -> None:
    async def scenario() -> None:
        look = Look(unicode=False, color=False, pictures=False, panel_s=0.0)
        async with shown(app_of(in_features(tmp_path), look)) as pilot:
            text = text_of(pilot)
            assert "▀" not in text and "@@@" in text
            rows = [line for line in text.splitlines() if "@@" in line]
            assert max(len(row.rstrip()) for row in rows) > 60

    drive(scenario())


def test_before_the_first_photograph_it_says_what_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = in_features(tmp_path, done=0)
        async with shown(app_of(run)) as pilot:
            assert "The keypoints of each photograph appear here" in text_of(pilot)
            run.tell("features", StageChanged("features", "done", 1.0))
            run.tell("features", Report({"photos": "not a table"}))
            await settle(pilot)
            await press(pilot, "up", "down")
            assert "appear here" in text_of(pilot)

    drive(scenario())


def test_a_run_without_sketches_is_read_from_its_report(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = RecordedRun(tmp_path)
        begin(run)
        finish(run, "ingest", "features")
        kept: JsonValue = {f"{i}.jpg": {"kept": 100 + i, "described": 9} for i in range(24)}
        run.tell("features", Report({"photos": kept}))
        async with shown(app_of(run)) as pilot:
            text = text_of(pilot)
            assert "100  0.jpg" in text and "keypoints per photograph" in text
            assert "no picture" not in text

    drive(scenario())
