"""The panel of mapping: how the model grows, what it looks like from above, who waits and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events import ParameterChanged, Report, StageChanged
from tests.dashboard.pilot import SIZES, ThisPilot, drive, settle, shown, text_of
from tests.dashboard.recorded import app_of, begin, finish, in_mapping
from tests.dashboard.sketched import PHOTOGRAPHS, growing, ring
from tui.dashboard.look import Look
from tui.dashboard.model import VerdictView
from tui.dashboard.panels.mapping import seen_from_above


@pytest.mark.parametrize("size", SIZES)
def test_a_growing_model_from_above_with_its_errors(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        async with shown(app_of(growing(tmp_path)), size) as pilot:
            text = text_of(pilot)
            for words in ("12 of 24", "from above", "reprojection errors", "mean error",
                          "registered last", "011.jpg", "2 not yet", "022.jpg"):  # fmt: skip
                assert words in text, text
            assert ("points by track length" in text) == (size[1] >= 40)
            assert any("\u2800" < sign < "\u28ff" for sign in text)
            assert max(map(len, text.splitlines())) <= size[0]

    drive(scenario())


def cameras_in(pilot: ThisPilot) -> int:
    """How many cells of the plan show a camera, in ASCII."""
    lines = text_of(pilot).splitlines()
    at = next(line.index("from above") for line in lines if "from above" in line)
    begin = next(i for i, line in enumerate(lines) if "from above" in line)
    rows = lines[begin + 1 : begin + 9]
    return sum(row[at:].count("o") for row in rows if "not yet" not in row)


def test_the_plan_grows_with_the_model(tmp_path: Path) -> None:
    async def scenario() -> None:
        look = Look(unicode=False, color=False, pictures=False, panel_s=0.0)
        run = growing(tmp_path, 4)
        async with shown(app_of(run, look), (100, 40)) as pilot:
            few = cameras_in(pilot)
            run.add(sketches={"mapping": ring(PHOTOGRAPHS)})
            await settle(pilot)
            assert 2 <= few < cameras_in(pilot)
            text = text_of(pilot)
            assert not any(ord(sign) > 0x2000 for sign in text if sign not in "─│━▏▎▍▌▋▊▉")

    drive(scenario())


def test_a_change_leaves_a_mark_that_a_small_terminal_shows(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = growing(tmp_path)
        name = "mapping.max_reprojection_error_px"
        async with shown(app_of(run)) as pilot:
            before = text_of(pilot).count("│")
            run.tell("mapping", ParameterChanged(name, 4.0, 2.0, "eva", 3, step=6))
            await settle(pilot)
            assert text_of(pilot).count("│") > before

    drive(scenario())


def test_at_the_end_the_verdicts_take_the_place_of_who_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = growing(tmp_path, 22)
        run.tell("mapping", Report({"models": [{"mean_track_length": 4.25}]}))
        run.tell("mapping", StageChanged("mapping", "done", 12.0))
        verdicts = [VerdictView(f"{i:03}.jpg", True, "registered") for i in range(22)]
        verdicts += [VerdictView("[/].jpg", False, "12 inliers, 30 needed")] * 2
        run.add(verdicts=tuple(verdicts))
        async with shown(app_of(run), (100, 40)) as pilot:
            text = text_of(pilot)
            assert "22 of 24" in text and "4.25" in text and "2 not registered" in text
            assert "[/].jpg" in text and "not yet" not in text and "registered last" not in text

    drive(scenario())


@pytest.mark.parametrize("size", SIZES)
def test_verdicts_that_come_after_the_first_picture_are_shown(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        run = in_mapping(tmp_path)
        run.tell("mapping", StageChanged("mapping", "done", 12.0))
        async with shown(app_of(run), size) as pilot:
            assert "not registered" not in text_of(pilot)
            run.add(verdicts=(VerdictView("005.jpg", False, "3 matches, 15 needed"),))
            await settle(pilot)
            text = text_of(pilot)
            for words in ("1 not registered", "005.jpg", "3 matches, 15 needed"):
                assert words in text, text

    drive(scenario())


@pytest.mark.parametrize("size", SIZES)
def test_with_little_or_no_data_it_says_what_is_missing(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        run = in_mapping(tmp_path)
        async with shown(app_of(run), size) as pilot:
            assert "no cameras yet" in text_of(pilot)
            run.add(sketches={"mapping": ring(0)})
            await settle(pilot)
            text = text_of(pilot)
            assert "from above" in text and "no cameras" not in text  # there are points
            run.add(sketches={"mapping": ring(0).model_copy(
                update={"points": (), "waiting": (), "track_lengths": ()})})  # fmt: skip
            await settle(pilot)
            assert "no cameras yet" in text_of(pilot)

    drive(scenario())


def test_nothing_at_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(tmp_path)
        begin(run)
        finish(run, "ingest", "features", "pairs", "matching", "verification")
        run.tell("mapping", StageChanged("mapping", "started"))
        async with shown(app_of(run)) as pilot:
            assert "mapping running" in text_of(pilot)

    drive(scenario())


def test_from_above_is_along_the_cameras_y_axis() -> None:
    level = ring(24)
    cameras, points = seen_from_above(level)
    assert cameras[0] == pytest.approx((4.0, 0.0)) and cameras[6] == pytest.approx((0.0, 4.0))
    assert len(points) == len(level.points)
    # The same scene with another axis upwards: what is seen has the same shape.
    turned = level.model_copy(
        update={
            "down": (1.0, 0.0, 0.0),
            "centers": tuple((y, z, x) for x, y, z in level.centers),
        }
    )
    again, _ = seen_from_above(turned)
    sizes = [x * x + y * y for x, y in again]
    assert sizes == pytest.approx([16.0] * 24)
