"""The panel of depth: the newest depth map, and the report once it is of this time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events import Progress, Report, StageChanged
from tests.dashboard.pilot import SIZES, drive, press, settle, shown, text_of
from tests.dashboard.recorded import RecordedRun, app_of, begin, finish
from tests.dashboard.sketched import after_verification, compare_photographs, in_depth, with_depth
from tui.dashboard.look import Look


@pytest.mark.parametrize("size", SIZES)
def test_it_shows_the_newest_depth_map_and_how_far_it_is(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_depth(tmp_path)), size) as pilot:
            text = text_of(pilot)
            for words in ("8/48 steps", "comparing photographs: 8 of 24", "▀▀▀", "red is near"):
                assert words in text, text
            assert max(map(len, text.splitlines())) <= size[0]

    drive(scenario())


@pytest.mark.parametrize("size", SIZES)
def test_when_it_is_done_it_tells_where_there_is_least_depth(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with shown(app_of(with_depth(tmp_path)), size) as pilot:
            text = text_of(pilot)
            for words in ("300, 200", "0.8693", "▀▀▀", "least depth", "7%  [red]weak"):
                assert words in text, text
            assert "entries" not in text

    drive(scenario())


def test_while_it_runs_again_nothing_of_the_time_before_is_shown(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = with_depth(tmp_path)
        async with shown(app_of(run)) as pilot:
            for state in ("stale", "waiting", "started"):
                run.tell("depth", StageChanged("depth", state))
            run.tell("depth", Progress(0, 48, "steps", "comparing photographs: 0 of 24"))
            await settle(pilot)
            text = text_of(pilot)
            assert "0.8693" not in text and "weak" not in text and "▀" not in text, text
            assert "A depth map appears here soon." in text
            compare_photographs(run)
            await settle(pilot)
            assert "▀▀▀" in text_of(pilot) and "007.jpg" in text_of(pilot)

    drive(scenario())


@pytest.mark.parametrize("look", [Look(pictures=False, panel_s=0.0),
                                  Look(False, False, False, panel_s=0.0)])  # fmt: skip
def test_without_pictures_it_promises_none(tmp_path: Path, look: Look) -> None:
    async def scenario() -> None:
        run = in_depth(tmp_path)
        async with shown(app_of(run, look)) as pilot:
            text = text_of(pilot)
            assert "▀" not in text and "appears" not in text and "red is near" not in text
            assert "comparing photographs: 8 of 24" in text

    drive(scenario())


@pytest.mark.parametrize("report", [{}, {"reason": "mapping found no model"}, {"shares": [1, 2]},
                                    {"shares": {"a.jpg": "much"}}])  # fmt: skip
def test_a_report_of_another_version_is_no_fault(tmp_path: Path, report: dict[str, object]) -> None:
    async def scenario() -> None:
        run = in_depth(tmp_path)
        run.add(pictures=())
        run.tell("depth", Report(report), StageChanged("depth", "done", 1.0))  # type: ignore[arg-type]
        async with shown(app_of(run)) as pilot:
            text = text_of(pilot)
            assert "depth done" in text and "least depth" not in text
            assert str(report.get("reason", "")) in text

    drive(scenario())


@pytest.mark.parametrize(("stage", "words"), [("pairs", "exhaustive"), ("matching", "9000")])
def test_no_panel_shows_the_report_of_the_time_before(
    tmp_path: Path, stage: str, words: str
) -> None:
    async def scenario() -> None:
        run = after_verification(tmp_path, sketches=False)
        run.tell("pairs", Report({"pairs": 276, "strategy": "exhaustive"}))
        async with shown(app_of(run)) as pilot:
            await press(pilot, *(["up"] * (2 if stage == "pairs" else 1)))
            assert words in text_of(pilot)
            for state in ("stale", "started"):
                run.tell(stage, StageChanged(stage, state))
                await settle(pilot)
                assert words not in text_of(pilot)
            run.tell(stage, StageChanged(stage, "done", 1.0))
            await settle(pilot)
            assert words in text_of(pilot)

    drive(scenario())


def test_a_skipped_stage_has_no_numbers_of_its_progress(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = RecordedRun(tmp_path)
        begin(run)
        run.tell("ingest", StageChanged("ingest", "started"), Progress(1, 36, "photographs"))
        run.tell("ingest", StageChanged("ingest", "skipped", why="up to date"))
        finish(run, "features")
        async with shown(app_of(run)) as pilot:
            text = text_of(pilot)
            assert "up to date" in text and "1/36" not in text and "24/24" in text

    drive(scenario())
