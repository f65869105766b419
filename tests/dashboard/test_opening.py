"""`barfield` alone: what is listed, what the keys choose, and terminals that show little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from textual.containers import Container
from textual.pilot import Pilot

from pipeline.request import Change, GivenPaths, RunRequest
from pipeline.run_directory import default_run_directory
from tests.dashboard.pilot import drive, settle, text_of, until
from tests.dashboard.sketched import growing
from tui.commands.home import request_for
from tui.dashboard.dialogs import LEAST_SIZE, TooSmall
from tui.dashboard.found import Found
from tui.dashboard.keys import OPENING_KEYS, OPENING_LIST_KEYS
from tui.dashboard.look import Look
from tui.dashboard.opening import Choice, OpeningApp
from tui.runs import RunStatus
from tui.words import near

FOUND = Found(36, (((960, 640), 36),), (("Acme One", 36),), estimate_s=95.0)
UNICODE = Look()
ASCII = Look(unicode=False, color=False, pictures=False)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RunStatus]:
    """Two runs of one name, in two folders; and folders to begin with."""
    roots = [tmp_path / "first" / "garden", tmp_path / "second" / "garden"]
    stati = [RunStatus(root, "running", growing(root).view()) for root in roots]
    by_root = {status.root: status for status in stati}
    names = [Path("/data/photos") / name for name in ("empty", "gärten")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui.dashboard.opening.known_runs", lambda: stati)
    monkeypatch.setattr("tui.dashboard.opening.status_in_list", by_root.__getitem__)
    monkeypatch.setattr("tui.dashboard.opening.folders_in", lambda _: names)
    monkeypatch.setattr("tui.dashboard.opening.look_into", lambda _: FOUND)
    return stati


def opening(look: Look = UNICODE, clock_s: float = 0.0) -> OpeningApp:
    """The app, in the folder /data/photos."""
    return OpeningApp(look, Path("/data/photos"), lambda: clock_s)


async def looked(pilot: Pilot[Choice]) -> None:
    """Wait until runs and folder have been looked at."""
    await until(pilot, lambda: "Enter opens" in text_of(pilot) and "36 phot" in text_of(pilot))
    await settle(pilot)


def test_runs_of_one_name_are_told_apart_by_age_and_folder(offered: list[RunStatus]) -> None:
    view = offered[0].view
    assert view is not None

    async def scenario() -> None:
        app = opening(clock_s=view.started + 180.0)
        async with app.run_test(size=(240, 40)) as pilot:
            await looked(pilot)
            lines = [line for line in text_of(pilot).splitlines() if "running" in line]
            assert ["3 min 00 s ago" in line for line in lines] == [True, True]
            assert [s.root.parent.name in line for s, line in zip(offered, lines, strict=True)] == [
                True,
                True,
            ]
            await pilot.press("down", "enter")
            assert app.return_value == Choice(run=offered[1].root)

    drive(scenario())


def test_a_terminal_of_ascii_gets_nothing_else(offered: list[RunStatus]) -> None:
    async def scenario() -> None:
        async with opening(ASCII).run_test(size=(80, 24)) as pilot:
            await looked(pilot)
            assert "g?rten" in text_of(pilot) or "garten" in text_of(pilot)
            assert text_of(pilot).isascii()

    drive(scenario())


def test_it_says_that_the_terminal_is_too_small_and_goes_on(offered: list[RunStatus]) -> None:
    async def scenario() -> None:
        app = opening()
        async with app.run_test(size=(50, 15)) as pilot:
            await until(pilot, lambda: "50x15, 60x18 needed" in text_of(pilot))
            await pilot.resize_terminal(140, 40)
            await looked(pilot)
            assert not isinstance(app.screen, TooSmall)
            assert app.query_one("#body", Container).has_class("-wide")
            await pilot.resize_terminal(59, 18)
            await until(pilot, lambda: "59x18, 60x18 needed" in text_of(pilot))
            await pilot.press("q")
            assert app.return_value is None and not app.is_running

    drive(scenario())


def test_ctrl_c_tells_the_key_that_leaves(offered: list[RunStatus]) -> None:
    async def scenario() -> None:
        async with opening().run_test(size=(80, 24), notifications=True) as pilot:
            await looked(pilot)
            await pilot.press("ctrl+c")
            await until(pilot, lambda: "q leaves." in text_of(pilot))

    drive(scenario())


@pytest.mark.parametrize("size", [LEAST_SIZE, (80, 24), (200, 60)])
def test_its_keys_are_told_at_the_foot_and_in_the_help(
    offered: list[RunStatus], size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        app = opening()
        async with app.run_test(size=size) as pilot:
            await looked(pilot)
            foot = text_of(pilot).splitlines()[-1]
            assert "Tab Runs/folders" in foot and "g Start the run" in foot
            assert foot.endswith("q Leave")
            await pilot.press("question_mark")
            await settle(pilot)
            told = " ".join(text_of(pilot).split())
            for key in (*OPENING_KEYS, *OPENING_LIST_KEYS):
                assert key.all_shown in told and key.help in told
            await pilot.press("g", "left")  # nothing begins, and no folder is left, unseen
            assert app.is_running
            await pilot.press("question_mark")
            await settle(pilot)
            assert "Photographs in /data/photos" in text_of(pilot)
            await pilot.press("f1", "q")
            assert app.return_value is None and not app.is_running

    drive(scenario())


def test_what_is_found_while_the_help_is_read_is_there_afterwards(
    offered: list[RunStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = Event()

    def slow(_: Path) -> Found:
        goes_on.wait(30.0)
        return FOUND

    monkeypatch.setattr("tui.dashboard.opening.look_into", slow)

    async def scenario() -> None:
        async with opening().run_test(size=(80, 24)) as pilot:
            await pilot.press("question_mark")
            await until(pilot, lambda: "Every key" in text_of(pilot))
            goes_on.set()
            await pilot.app.workers.wait_for_complete()
            await pilot.press("escape")
            await looked(pilot)

    drive(scenario())


def test_the_marked_run_is_told_with_its_whole_path(offered: list[RunStatus]) -> None:
    async def scenario() -> None:
        async with opening().run_test(size=(80, 24)) as pilot:
            await looked(pilot)
            for status, key in zip(offered, ("down", "up"), strict=True):
                assert f" {near(status.root)}\n" in text_of(pilot)
                await pilot.press(key)
                await settle(pilot)

    drive(scenario())


def test_its_lists_know_j_and_k(offered: list[RunStatus]) -> None:
    async def scenario() -> None:
        app = opening()
        async with app.run_test(size=(80, 24)) as pilot:
            await looked(pilot)
            await pilot.press("j", "k", "j", "enter")
            assert app.return_value == Choice(run=offered[1].root)

    drive(scenario())


@contextmanager
def _ended_by(app: OpeningApp) -> Iterator[None]:
    with pytest.raises(Exception, match="a fault"):
        yield
    assert app.return_code == 1


@pytest.mark.parametrize("name", ["known_runs", "look_into"])
def test_a_fault_is_not_swallowed(
    offered: list[RunStatus], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(f"tui.dashboard.opening.{name}", fail)
    app = opening()

    async def scenario() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.return_code == 1)

    with _ended_by(app):
        drive(scenario())


def test_leaving_while_it_looks_is_no_fault(
    offered: list[RunStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, goes_on = Event(), Event()

    def slow(_: Path) -> Found:
        looks.set()
        goes_on.wait(30.0)
        return FOUND

    monkeypatch.setattr("tui.dashboard.opening.look_into", slow)
    app = opening()

    async def scenario() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, looks.is_set)
            await pilot.press("q")
            goes_on.set()
            time.sleep(0.05)
        assert not app.return_code

    drive(scenario())


def test_keys_do_not_wait_for_a_folder_that_takes_long(
    offered: list[RunStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, goes_on = Event(), Event()

    def slow(folder: Path) -> list[Path]:
        if folder == Path("/data"):
            looks.set()
            goes_on.wait(30.0)
        return [folder / "one"]

    monkeypatch.setattr("tui.dashboard.opening.folders_in", slow)

    async def scenario() -> None:
        async with opening().run_test(size=(80, 24)) as pilot:
            await looked(pilot)
            assert "one/" in text_of(pilot)
            await pilot.press("left")
            await until(pilot, looks.is_set)
            await until(pilot, lambda: "Photographs in /data\n" in text_of(pilot))
            await until(pilot, lambda: "one/" not in text_of(pilot))
            goes_on.set()
            await until(pilot, lambda: "one/" in text_of(pilot))

    drive(scenario())


def test_photographs_that_had_a_run_keep_what_was_changed_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    out = default_run_directory(photos).absolute()
    assert request_for(photos) == RunRequest(paths=GivenPaths(photos=photos), out=out)
    change = Change(
        parameter="mapping.max_reprojection_error_px",
        old=4.0,
        new=3.0,
        by="ada",
        revision=1,
        time=0.0,
    )
    before = RunRequest(paths=GivenPaths(photos=photos), out=out, changes=(change,))
    monkeypatch.setattr("pipeline.run_directory.read_request", lambda root: before)
    assert request_for(photos).changes == (change,)
