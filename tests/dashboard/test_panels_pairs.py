"""The panels of matching and verification: the matrix of pairs, and what became of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events import StageChanged
from pipeline.sketches import Matrix
from tests.dashboard.pilot import SIZES, drive, press, settle, shown, text_of
from tests.dashboard.recorded import RecordedRun, app_of, begin, finish
from tests.dashboard.sketched import after_verification, matches, matrix
from tui.dashboard.look import Look
from tui.dashboard.panels.pairs import matrix_text, trimmed


@pytest.mark.parametrize("size", SIZES)
def test_verification_and_matching_show_their_pairs(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        async with shown(app_of(after_verification(tmp_path)), size) as pilot:
            text = text_of(pilot)
            for words in ("pairs by inlier ratio", "inliers per pair", "200 calibrated",
                          "planar/panoramic", "40 refused", "█", "░"):  # fmt: skip
                assert words in text, text
            await press(pilot, "up")
            text = text_of(pilot)
            for words in ("pairs by matches", "matches per pair", "most 900", "276 pairs", "26"):
                assert words in text, text
            assert max(map(len, text.splitlines())) <= size[0]

    drive(scenario())


def test_ascii_has_shades_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        look = Look(unicode=False, color=False, pictures=False, panel_s=0.0)
        async with shown(app_of(after_verification(tmp_path), look)) as pilot:
            text = text_of(pilot)
            assert "@@" in text and ".." in text and not set(text) & set("░▒▓█")

    drive(scenario())


def test_a_run_without_sketches_says_so_and_shows_its_report(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = after_verification(tmp_path, sketches=False)
        async with shown(app_of(run)) as pilot:
            text = text_of(pilot)
            assert "This run has kept no matrix." in text and "276" in text and "1 entries" in text
            await press(pilot, "up")
            assert "9000" in text_of(pilot)
            run.add(sketches={"matching": matches()})
            await settle(pilot)
            await settle(pilot)
            assert "matches per pair" in text_of(pilot) and "█" in text_of(pilot)

    drive(scenario())


def test_what_was_known_goes_when_the_stage_begins_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = RecordedRun(tmp_path)
        begin(run)
        finish(run, "ingest", "features", "pairs")
        run.tell("matching", StageChanged("matching", "started"))
        run.add(sketches={"matching": matches()})
        async with shown(app_of(run)) as pilot:
            assert "matches per pair" in text_of(pilot)
            run.add(sketches={"matching": None})
            await settle(pilot)
            assert "The matrix of the pairs appears here." in text_of(pilot)

    drive(scenario())


@pytest.mark.parametrize("room", [(1, 1), (5, 2), (22, 11), (60, 50), (200, 60)])
@pytest.mark.parametrize("photographs", [1, 2, 24, 64])
def test_a_matrix_is_a_square_that_fits(room: tuple[int, int], photographs: int) -> None:
    drawn = matrix_text("matches", matrix(photographs), room, unicode=True)
    lines = drawn.plain.split("\n")
    width, height = room
    assert max(map(len, lines)) <= max(2, width) and len(lines) <= max(2, height)
    if photographs >= 2:
        assert len(lines[1]) == 2 * (len(lines) - 1)


def test_a_small_matrix_is_drawn_larger_and_none_is_said() -> None:
    small = Matrix(photographs=2, cells=((None, 8.0), (8.0, None)))
    drawn = matrix_text("matches", small, (20, 5), unicode=False).plain.split("\n")
    assert drawn[1:] == ["    @@@@", "    @@@@", "@@@@    ", "@@@@    "]
    assert "no pairs" in matrix_text("matches", matrix(0), (20, 9), unicode=False).plain


def test_counts_end_with_the_last_that_is_not_nought() -> None:
    assert trimmed((0, 3, 0, 0)) == (0, 3) and trimmed((0, 0)) == () and trimmed(()) == ()
