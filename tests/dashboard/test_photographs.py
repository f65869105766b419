"""The photographs on recorded runs: the table, its order and filter, the page, at three sizes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from pipeline.events import Report, StageChanged
from pipeline.item_store import DiskStore
from pipeline.photograph_facts import (
    KeypointsOnPhotograph,
    Neighbour,
    PhotographFacts,
    Photographs,
    read_keypoints,
    read_photographs,
)
from tests.dashboard.photograph_run import (
    ERROR_PX,
    KEYPOINTS,
    REASON,
    mapped_run,
    names_of,
    write_features,
    write_photographs,
)
from tests.dashboard.pilot import (
    SIZES,
    ThisPilot,
    drive,
    press,
    rest,
    settle,
    shown,
    text_of,
    type_keys,
    until_shown,
)
from tests.dashboard.recorded import STAGES, RecordedRun, app_of, begin, finish
from tui.dashboard.long_list import cell
from tui.dashboard.look import Look
from tui.dashboard.photographs import PhotographsScreen, page_of
from tui.dashboard.photographs_page import Page, PhotographPage
from tui.dashboard.photographs_picture import IN_MODEL, NOT_IN_MODEL, keypoints_picture
from tui.dashboard.photographs_table import PhotographTable, natural
from tui.dashboard.run_screen import RunScreen

MAKERS = frozenset(STAGES[:6])
HOSTILE = ("[red]x[/red].jpg", "a\x1b[2Jb\nc.jpg", "\u202egpj.exe", "n" * 300, "[/]", "語" * 90)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the run is."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


def screen_of(pilot: ThisPilot) -> PhotographsScreen:
    """The screen of photographs."""
    screen = pilot.app.screen
    assert isinstance(screen, PhotographsScreen)
    return screen


def first_row(pilot: ThisPilot) -> str:
    """The first photograph of the table."""
    return text_of(pilot).splitlines()[2]


def second_row(pilot: ThisPilot) -> str:
    """The one after it."""
    return text_of(pilot).splitlines()[3]


@pytest.mark.parametrize("size", SIZES)
def test_one_key_tells_why_a_photograph_is_not_registered(
    root: Path, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        async with shown(app_of(mapped_run(root)), size) as pilot:
            await press(pilot, "i")
            text = text_of(pilot)
            assert f"00004.jpg: not registered: {REASON}" in text or size[0] >= 150
            for words in ("13 photographs", "11 registered", "2 not registered", "keypoints",
                          "matches", "error", "focal", "sharp"):  # fmt: skip
                assert words in text, text
            assert "00004.jpg" in first_row(pilot) and "broken.jpg" in text.splitlines()[3]
            assert "0.25" in text.splitlines()[4] and "50" in text.splitlines()[4]
            assert max(map(len, text.splitlines())) <= size[0]

    drive(scenario())


@pytest.mark.parametrize("size", SIZES)
def test_the_page_has_neighbours_and_keypoints(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        async with shown(app_of(mapped_run(root)), size) as pilot:
            await press(pilot, "i")  # and what is read in a thread
            await press(pilot, "enter")
            await until_shown(
                pilot, REASON.split(",")[0][:20], "Acme One", "strongest neighbours", "▀▀▀",
                "0 keypoints see a point", "8 do not", "00003.jpg", "9 inliers, 15 n",
            )  # fmt: skip
            await press(pilot, "right", "right")
            await until_shown(pilot, "4 keypoints see a point", "0.250 px", "calibrated")
            await press(pilot, "v")
            assert "see a point" not in text_of(pilot) and "▀▀▀" in text_of(pilot)
            await press(pilot, "escape")
            if size[0] < 150:
                assert "verdict" in text_of(pilot) and screen_of(pilot)
                await press(pilot, "escape")
            assert isinstance(pilot.app.screen, RunScreen)

    drive(scenario())


def test_nothing_is_said_of_what_is_not_read_yet(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = Event()

    def slow(root: Path, photographs: Photographs, number: int, pictures: bool) -> Page:
        goes_on.wait(30.0)
        return page_of(root, photographs, number, pictures)

    monkeypatch.setattr("tui.dashboard.photographs.page_of", slow)

    async def scenario() -> None:
        async with shown(app_of(mapped_run(root))) as pilot:
            await press(pilot, "i")
            await type_keys(pilot, "down", "down", "enter")
            await until_shown(pilot, "Reading...")
            assert "No keypoints" not in text_of(pilot) and "No other" not in text_of(pilot)
            goes_on.set()
            await until_shown(pilot, "see a point", "strongest neighbours")

    drive(scenario())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inliers", [40, 120])
def test_more_inliers_than_matches_are_explained(
    root: Path, size: tuple[int, int], inliers: int
) -> None:
    async def scenario() -> None:
        async with shown(app_of(mapped_run(root)), size) as pilot:
            await press(pilot, "i", "down", "down", "enter")
            fact = PhotographFacts("00001.jpg", True, matches=60, inliers=inliers + 20)
            neighbour = Neighbour(2, 60, inliers, "calibrated", 5.0)
            page = pilot.app.screen.query_one(PhotographPage)
            page.show(Page(fact, ((neighbour, PhotographFacts("00002.jpg", True)),)))
            await rest(pilot)
            text = text_of(pilot)
            explained = "matches that verification adds along epipolar lines\n" in text
            assert explained is (inliers > 60), text
            assert ("140 with added ones" in text) is (inliers > 60), text

    drive(scenario())


def test_before_mapping_no_keypoint_is_said_to_see_no_point(root: Path) -> None:
    async def scenario() -> None:
        run = RecordedRun(root)
        begin(run)
        write_photographs(root, names_of(3))
        write_features(root, DiskStore(root), 3)
        finish(run, "ingest")
        finish(run, "features")
        async with shown(app_of(run)) as pilot:
            await press(pilot, "i")  # and what is read in a thread
            await press(pilot, "down", "enter")
            await until_shown(pilot, "8 keypoints")
            assert "do not" not in text_of(pilot)

    drive(scenario())


def test_without_pictures_the_page_has_only_words(root: Path) -> None:
    async def scenario() -> None:
        run = mapped_run(root)
        look = Look(unicode=False, color=False, pictures=False, panel_s=0.0)
        async with shown(app_of(run, look)) as pilot:
            await press(pilot, "i")  # and what is read in a thread
            await press(pilot, "enter")
            await until_shown(pilot, "8 do not")
            assert "▀" not in text_of(pilot)

    drive(scenario())


def test_filter_and_order(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(mapped_run(root))) as pilot:
            await press(pilot, "i", "slash", *"0007")
            assert "00007.jpg" in first_row(pilot) and "1 shown" in text_of(pilot)
            await press(pilot, "enter", "escape")
            assert "00004.jpg" in first_row(pilot) and "shown" not in text_of(pilot)
            await press(pilot, "n")
            assert "2 shown" in text_of(pilot)
            await press(pilot, "n", "o", "O")
            assert "broken.jpg" in first_row(pilot) and "by name, largest first" in text_of(pilot)
            await press(pilot, *["o"] * 8)
            assert "by sharp, largest first" in text_of(pilot), text_of(pilot)
            assert "00011.jpg" in first_row(pilot)
            # Not known: last, whichever way.
            await press(pilot, "O", "end")
            assert "broken.jpg: not registered: not read: not a JPEG" in text_of(pilot)
            await press(pilot, "home", "pagedown", "k", "j", "i")
            assert isinstance(pilot.app.screen, RunScreen)

    drive(scenario())


def test_it_grows_with_the_run(root: Path) -> None:
    async def scenario() -> None:
        run = RecordedRun(root)
        begin(run)
        async with shown(app_of(run)) as pilot:
            await press(pilot, "i")
            assert "No photographs yet" in text_of(pilot)
            write_photographs(root, names_of(3))
            finish(run, "ingest")
            run.tell("ingest", Report({"blurry": ["00001.jpg"]}))
            await settle(pilot)
            assert "00002.jpg" in text_of(pilot) and "no verdict yet" in text_of(pilot)
            write_features(root, DiskStore(root), 3)
            # Its files are there, but it has not said that they are whole.
            run.tell("features", StageChanged("features", "started"))
            await settle(pilot)
            assert " 8 " not in second_row(pilot)
            await press(pilot, "down")
            finish(run, "features")
            await settle(pilot)
            assert " 8 " in second_row(pilot) and "3 without a verdict" in text_of(pilot)
            assert "00000.jpg: no verdict yet" in text_of(pilot)

    drive(scenario())


def test_damaged_files_are_gaps(root: Path) -> None:
    mapped_run(root)
    for file in ("features/index.arrays", "matches/index.arrays", "sparse/0/points3D.bin"):
        path = root / file
        path.write_bytes(path.read_bytes()[:20])
    (root / "sparse" / "verdicts.json").write_text("[")
    found = read_photographs(root, MAKERS)
    assert len(found.gaps) == 4 and len(found.facts) == 13
    assert found.facts[3].keypoints is None and found.facts[3].inliers is not None
    assert len(read_keypoints(root, 3, found.facts[3]).keypoints) == 0
    for nonsense in ("[3]", '[{"image": 3}]', "{}", '{"a": 1}'):
        (root / "sparse" / "verdicts.json").write_text(nonsense)
        assert all(fact.registered is not True for fact in read_photographs(root, MAKERS).facts)
    (root / "photos" / "index.json").write_text("{}")
    assert read_photographs(root, MAKERS).facts == ()
    assert read_photographs(root / "nothing", MAKERS).facts == ()


def test_the_facts_are_those_of_the_run(root: Path) -> None:
    mapped_run(root)
    found = read_photographs(root, MAKERS)
    first, missing = found.facts[0], found.facts[4]
    assert (first.keypoints, first.matches, first.inliers, first.partners) == (8, 50, 40, 2)
    assert first.points == KEYPOINTS // 2 and first.error_px == pytest.approx(ERROR_PX, abs=1e-9)
    assert missing.registered is False and missing.error_px is None and missing.inliers == 0
    assert [n.number for n in found.neighbours(0, 5)] == [1, 2]
    assert found.neighbours(4, 9)[0].reason == "9 inliers, 15 needed"
    assert found.sees_point(0, KEYPOINTS).tolist() == [True] * 4 + [False] * 4
    assert not found.sees_point(4, KEYPOINTS).any() and not found.sees_point(0, 99).any()


def test_keypoints_are_drawn_where_they_are() -> None:
    keypoints = np.array([[0.1, 0.1], [0.9, 0.9]])
    picture = keypoints_picture(
        KeypointsOnPhotograph(b"", keypoints), np.array([True, False]), (60, 40), (30, 10)
    )
    pixels = np.asarray(Image.open(BytesIO(picture)), float)
    assert pixels.shape == (20, 30, 3)
    for row, column, color in ((2, 3, IN_MODEL), (18, 27, NOT_IN_MODEL)):
        share = pixels[row, column] / np.array(color)
        assert share.min() > 0 and np.ptp(share) < 0.1
    assert (pixels.sum(axis=2) > 0).sum() == 2


@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]])
def test_names_of_files_are_only_text(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        run = mapped_run(root, [*names_of(4), *HOSTILE])
        async with shown(app_of(run), size) as pilot:
            await press(pilot, "i")
            assert "[red]x[/red].jpg: not registered" in text_of(pilot) or size[0] >= 150
            for _ in HOSTILE:
                await press(pilot, "enter")
                strips = pilot.app.screen._compositor.render_strips()
                assert {strip.cell_length for strip in strips} == {size[0]}
                assert "\x1b" not in text_of(pilot) and "\u202e" not in text_of(pilot)
                await press(pilot, "right")

    drive(scenario())


def test_ten_thousand_photographs_are_shown(root: Path) -> None:
    async def scenario() -> None:
        run = mapped_run(root, names_of(10_000), items=False)
        async with shown(app_of(run), (100, 40)) as pilot:
            await press(pilot, "i")
            assert "10001 photographs" in text_of(pilot)
            await press(pilot, "end", "o", "pageup", "slash", *"0099")
            # 00990 to 00999, and n0099 of every other thousand
            table = screen_of(pilot).query_one(PhotographTable)
            assert table.count == sum("0099" in name for name in names_of(10_000))

    drive(scenario())


def test_long_names_keep_their_ends_and_numbers_their_order() -> None:
    assert cell("a" * 50 + "0017.jpg", 15).endswith("0017.jpg") and len(cell("ab", 5)) == 5
    assert sorted(("b10", "b9", "a"), key=natural) == ["a", "b9", "b10"]
    assert PhotographFacts("x").registered is None
