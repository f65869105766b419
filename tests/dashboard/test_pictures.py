"""Pictures of every screen, compared with those that were looked at and kept.

`pytest tests/dashboard/test_pictures.py --snapshot-update` makes them anew; look at each that
changed before it is committed. Nothing in them depends on the machine or on the time.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from pipeline.events import Report, RunChanged, StageChanged, Warned
from tests.dashboard.configured import as_far_as_mapping
from tests.dashboard.photograph_run import mapped_run
from tests.dashboard.pilot import press, settle, text_of, until
from tests.dashboard.recorded import RecordedRun, app_of, gradient, in_radiance
from tests.dashboard.sketched import growing, in_depth, in_features, with_depth
from tests.dashboard.test_report_screen import a_report, write_report
from tui.dashboard.found import Found
from tui.dashboard.look import Look
from tui.dashboard.model import Picture
from tui.dashboard.opening import OpeningApp
from tui.runs import RunStatus

Compare = Callable[..., bool]
TINY, SMALL, LARGE = (50, 12), (80, 24), (120, 40)
ASCII = Look(unicode=False, color=False, pictures=False, panel_s=0.0)
WORDS = Look(pictures=False, panel_s=0.0)
LIGHT = Look(pictures=False, light=True, panel_s=0.0)


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The same user on the same machine at the same hour."""
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.9 22")
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the recorded run is said to be."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


def failed(root: Path) -> RecordedRun:
    """A run whose features have failed."""
    run = in_features(root)
    why, hint = "011.jpg cannot be read: not a JPEG", "Take it out of the folder, or mend it."
    told = ("Traceback (most recent call last):", "OSError: not a JPEG")
    run.tell("features", StageChanged("features", "failed", 4.0, why, hint, told))
    run.tell("", RunChanged("failed", f"features: {why}", hint))
    return run


def ended(root: Path) -> RecordedRun:
    """A run that is done, with its report."""
    run = in_radiance(root)
    run.tell("radiance", StageChanged("radiance", "done", 61.0))
    run.tell("", RunChanged("done"))
    write_report(root, a_report())
    return run


def with_photographs(root: Path) -> RecordedRun:
    """A run with photographs to look at, of which some are blurry."""
    run = mapped_run(root)
    run.tell("ingest", Report({"blurry": ["00002.jpg"]}))
    return run


def seen(root: Path) -> RecordedRun:
    """A run in radiance with a picture of few colours, since each cell of a picture is kept."""
    run = in_radiance(root)
    file = "radiance/previews/00000650.jpg"
    run.add(pictures=(Picture("radiance", file, gradient(3, 2), "007.jpg, step 650, 21.5 dB"),))
    return run


def with_lines(root: Path) -> RecordedRun:
    """A run with warnings and errors in its log."""
    run = growing(root)
    run.tell("features", Warned("little detail", "a[b]c.jpg"))
    run.tell("mapping", Warned("022.jpg: sees 9 points of the model, 30 needed"))
    run.tell("radiance", StageChanged("radiance", "failed", 1.0, "no memory is left"))
    return run


Shown = tuple[Callable[[Path], RecordedRun], tuple[str, ...], Look | None]
SCREENS: dict[str, Shown] = {
    "mapping": (growing, (), None),
    "radiance": (in_radiance, (), WORDS),
    "depth": (in_depth, (), None),
    "depth-done": (with_depth, (), None),
    "failed": (failed, (), None),
    "parameters": (as_far_as_mapping, ("p",), None),
    "draft": (as_far_as_mapping, ("p", "down", "enter", "3", "enter"), None),
    "photographs": (with_photographs, ("i",), None),
    "page": (with_photographs, ("i", "down", "down", "enter"), WORDS),
    "report": (ended, ("r",), None),
    "log": (with_lines, ("l",), None),
    "help": (growing, ("?",), None),
    "help-of-the-log": (growing, ("l", "?"), None),
    "ascii": (growing, (), ASCII),
}
SMALL_ALONE: dict[str, Shown] = {
    "light": (growing, (), LIGHT),
    "stop": (growing, ("s",), None),
    "picture": (seen, (), None),
    "ascii-radiance": (in_radiance, (), ASCII),
    "ascii-depth": (in_depth, (), ASCII),
    "words-depth-done": (with_depth, (), WORDS),
}
SIZES = [(name, size) for name in SCREENS for size in (SMALL, LARGE)]
SIZES += [(name, SMALL) for name in SMALL_ALONE]
SIZES.append(("mapping", TINY))


def after(keys: tuple[str, ...], page: bool) -> Callable[[Pilot[Any]], Awaitable[None]]:
    """What is done before the picture is taken: keys. page: a photograph is read."""

    async def run(pilot: Pilot[Any]) -> None:
        await press(pilot)  # what is known is drawn before a key comes
        for key in keys:
            await press(pilot, key)  # with what it has read in threads
        if page:
            await until(pilot, lambda: "see a point" in text_of(pilot))
        await settle(pilot)

    return run


def _id(value: object) -> str | None:
    return f"{value[0]}x{value[1]}" if isinstance(value, tuple) else None


@pytest.mark.parametrize(("name", "size"), SIZES, ids=_id)
def test_screens_look_as_they_did(
    root: Path, snap_compare: Compare, name: str, size: tuple[int, int]
) -> None:
    make, keys, look = (SCREENS | SMALL_ALONE)[name]
    app = app_of(make(root), look)
    assert snap_compare(app, terminal_size=size, run_before=after(keys, name == "page"))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=_id)
def test_the_opening_looks_as_it_did(
    monkeypatch: pytest.MonkeyPatch, root: Path, snap_compare: Compare, size: tuple[int, int]
) -> None:
    stati = [
        RunStatus(Path("/data/runs/garden"), "running", growing(root).view()),
        RunStatus(Path("/data/runs/castle"), "failed", failed(root).view()),
        RunStatus(Path("/data/runs/a name that is longer than its column"), "interrupted"),
    ]
    started = stati[0].view.started if stati[0].view is not None else 0.0
    found = Found(36, (((960, 640), 36),), (("Acme One", 36),), estimate_s=95.0)
    names = [Path("/data/photos") / name for name in ("empty", "garden", "[red]castle")]
    for name, answer in {
        "known_runs": stati,
        "folders_in": names,
        "look_into": found,
    }.items():
        monkeypatch.setattr(f"tui.dashboard.opening.{name}", lambda *_, answer=answer: answer)
    by_root = {status.root: status for status in stati}
    monkeypatch.setattr("tui.dashboard.opening.status_in_list", by_root.__getitem__)
    app = OpeningApp(Look(), Path("/data/photos"), lambda: started + 400.0)
    assert snap_compare(app, terminal_size=size, run_before=after((), False))
