"""The report on recorded runs, while they go on and at their end, at three sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.events import Report, RunChanged, StageChanged
from pipeline.manifest import Manifest
from pipeline.run_directory import FORMAT
from tests.dashboard.pilot import SIZES, drive, press, shown, text_of
from tests.dashboard.recorded import RecordedRun, app_of, in_mapping, in_radiance
from tui.dashboard.model import VerdictView
from tui.dashboard.report_screen import MOST_MISSING, is_report, rendered, report_blocks
from tui.dashboard.run_screen import RunScreen

MAPPING = {
    "models": [
        {"registered": 20, "points": 300, "observations": 900, "reprojection_error_px": 0.4},
        {"registered": 2, "points": 100, "observations": 300, "reprojection_error_px": 0.8},
    ],
    "registered": 22,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the recorded run is said to be."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


def write_report(root: Path, report: dict[str, Any]) -> None:
    """A run directory that holds nothing but its report."""
    manifest = {"format": FORMAT, **Manifest("0.1").to_json()}
    (root / "manifest.json").write_text(json.dumps(manifest))
    (root / "report.json").write_text(json.dumps(report))


def a_report(**changes: Any) -> dict[str, Any]:
    """The report of a run with one photograph that is in no model."""
    report = {
        "images": 24, "refused": 0, "registered": 23, "models": 1, "model_images": [23],
        "points": 4321, "observations": 9000, "reprojection_error_px": 0.5,
        "seconds": {"features": 4.0, "mapping": 12.5}, "complete": True,
        "verdicts": [{"image": "009.jpg", "registered": False, "reason": "9 inliers, 30 needed",
                      "model": None}],
        "stages": {"features": {"state": "done", "keypoints": 12345},
                   "mapping": {"state": "done", "registered": 23}},
        "config": RunConfig().model_dump(mode="json"),
    }  # fmt: skip
    return report | changes


def told(run: RecordedRun) -> RecordedRun:
    """The same with reports of two stages."""
    run.tell("ingest", Report({"photographs": 24, "sizes": ["960x640"]}))
    run.tell("mapping", Report(MAPPING))  # type: ignore[arg-type]
    return run


@pytest.mark.parametrize("size", SIZES)
def test_a_finished_run_shows_its_report(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        run = in_radiance(root)
        run.tell("", RunChanged("done"))
        write_report(root, a_report())
        async with shown(app_of(run), size) as pilot:
            await press(pilot, "r")
            text = text_of(pilot)
            for words in ("23 of 24 photographs registered in 1 model", "4321 points", "12345",
                          "mapping", "12.5", "Photographs in no model", "009.jpg",
                          "9 inliers, 30 needed"):  # fmt: skip
                assert words in " ".join(text.split()), text
            assert max(map(len, text.splitlines())) <= size[0]
            await press(pilot, "end")
            assert "min_resection_inliers" in text_of(pilot), text_of(pilot)
            await press(pilot, "k", "j", "r")
            assert isinstance(pilot.app.screen, RunScreen)

    drive(scenario())


@pytest.mark.parametrize("size", SIZES)
def test_a_run_that_goes_on_shows_what_is_known(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        write_report(root, a_report(points=999_999))  # of an earlier attempt
        run = told(in_radiance(root))
        async with shown(app_of(run), size) as pilot:
            await press(pilot, "r")
            text = " ".join(text_of(pilot).split())
            for words in ("known so far", "22 of 24 photographs registered in 2 models",
                          "400 points", "error 0.500", "023.jpg", "no verified pairs"):  # fmt: skip
                assert words in text, text
            assert "999999" not in text

    drive(scenario())


def test_before_mapping_there_are_only_stages(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run)) as pilot:
            await press(pilot, "r")
            assert "No cameras yet" in text_of(pilot) and "verification" in text_of(pilot)
            run.tell("mapping", Report(MAPPING), StageChanged("mapping", "done", 77.0))  # type: ignore[arg-type]
            await press(pilot, "home")
            assert "22 of 0 photographs" in text_of(pilot) and "77.0" in text_of(pilot)

    drive(scenario())


def test_it_begins_with_why_a_stage_failed(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        run.tell("mapping", StageChanged("mapping", "failed", 1.0, "no [memory]", "use less"))
        run.tell("", RunChanged("failed", "mapping: no memory"))
        async with shown(app_of(run)) as pilot:
            await press(pilot, "r")
            assert text_of(pilot).splitlines()[1:4] == [
                "mapping failed: no [memory]", "use less", "No cameras yet: mapping finds them."
            ]  # fmt: skip

    drive(scenario())


def test_a_report_that_is_none_is_left_alone(root: Path) -> None:
    async def scenario() -> None:
        for content in ({}, {"seconds": 1}, a_report(stages={})):
            assert not is_report(content)
            write_report(root, content)
            run = told(in_radiance(root))
            run.tell("", RunChanged("failed", "no disk"))
            async with shown(app_of(run)) as pilot:
                await press(pilot, "r")
                assert "400 points" in " ".join(text_of(pilot).split())

    drive(scenario())


def test_names_of_files_are_only_text_and_many_are_cut() -> None:
    hostile = ["[red]x[/red].jpg", "a\x1b[2Jb\nc.jpg", "\u202egpj.exe", "n" * 300, "[/]", "語" * 90]
    verdicts = [
        {"image": name, "registered": False, "reason": name, "model": None}
        for name in hostile + ["x"] * MOST_MISSING
    ]
    stages = {"features": {name: name for name in hostile}, "mapping": {"registered": 1}}
    blocks = report_blocks(a_report(verdicts=verdicts, stages=stages))
    for width in (59, 78, 198):
        for unicode in (True, False):
            text = rendered(blocks, width, unicode)
            assert "\x1b" not in text.plain and "\u202e" not in text.plain
            assert "[red]x[/red]" in text.plain and "and 6 more" in text.plain
            assert all(line.cell_len <= width for line in text.split("\n"))
            assert unicode or "│" not in text.plain


def test_a_verdict_that_comes_later_is_shown(root: Path) -> None:
    async def scenario() -> None:
        run = told(in_radiance(root))
        async with shown(app_of(run)) as pilot:
            await press(pilot, "r")
            run.add(verdicts=(VerdictView("late.jpg", False, "came late"),))
            await press(pilot, "end")
            assert "came late" in text_of(pilot)

    drive(scenario())
