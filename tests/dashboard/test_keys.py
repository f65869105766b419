"""Every key of the help does what it says, on each screen; the palette offers the same by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.widgets import Input

from tests.dashboard.configured import as_far_as_mapping
from tests.dashboard.photograph_run import mapped_run
from tests.dashboard.pilot import ThisPilot, drive, press, shown, text_of, until
from tests.dashboard.recorded import RecordedRun, app_of, in_radiance
from tests.dashboard.sketched import growing
from tui.dashboard.app import DashboardApp
from tui.dashboard.dialogs import Confirm
from tui.dashboard.keys import APP_KEYS, SCREEN_KEYS
from tui.dashboard.model import VerdictView
from tui.dashboard.parameters import ParametersScreen
from tui.dashboard.parameters_save import SaveDialog
from tui.dashboard.photographs import PhotographsScreen
from tui.dashboard.photographs_table import PhotographTable
from tui.dashboard.run_screen import RunScreen
from tui.dashboard.screens import DashboardScreen

SIZE = (100, 40)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the recorded run is said to be; the current folder is another one."""
    folder = tmp_path / "garden"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    return folder


class Keyboard:
    """Presses keys, and notes them."""

    def __init__(self, pilot: ThisPilot, run: RecordedRun) -> None:
        self.pilot, self.run = pilot, run
        self.pressed: list[str] = []

    @property
    def app(self) -> DashboardApp:
        """The app."""
        assert isinstance(self.pilot.app, DashboardApp)
        return self.pilot.app

    def name(self) -> str:
        """Of the dashboard's screen on top."""
        screen = self.app.screen
        return screen.NAME if isinstance(screen, DashboardScreen) else type(screen).__name__

    async def does(
        self, key: str, true: Callable[[], bool], *, first: Sequence[str] = (),
        then: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """A key makes something true that was not. first, then: keys before and after."""
        await press(self.pilot, *first)
        assert not true(), f"before {key}:\n{text_of(self.pilot)}"
        await press(self.pilot, key)
        assert true(), f"after {key}:\n{text_of(self.pilot)}"
        self.pressed.append(key)
        await press(self.pilot, *then)

    async def says(self, key: str, words: str, **more: Sequence[str]) -> None:
        """A key makes words come on the screen."""
        await self.does(key, lambda: words in text_of(self.pilot), **more)

    async def commands(self, key: str, **command: object) -> None:
        """A key gives a command."""
        self.run.commands.clear()
        await self.does(key, lambda: self.run.commands == [command])

    async def moves(self, where: Callable[[], float], step: float = 1) -> None:
        """The keys that move a mark or the page do."""
        await press(self.pilot, "end")
        last = where()
        ways: dict[str, Callable[[float, float], bool]] = {
            "home": lambda a, b: a == last > b,
            "down": lambda a, b: b == a + step,
            "j": lambda a, b: b == a + step,
            "up": lambda a, b: b == a - step,
            "k": lambda a, b: b == a - step,
            "pagedown": lambda a, b: b > a + step,
            "pageup": lambda a, b: b < a - step,
            "end": lambda a, b: a < b == last,
        }
        for key, moved in ways.items():
            before = where()
            await press(self.pilot, key)
            # Textual scrolls to an end only after the next refresh.
            await until(self.pilot, partial(_has_moved, moved, before, where))
            self.pressed.append(key)


def _equal(now: Callable[[], str], wanted: str) -> bool:
    return now() == wanted


Tour = Callable[[Keyboard], Awaitable[None]]


async def everywhere(keys: Keyboard) -> None:
    """Keys of the app, on the run screen."""
    app = keys.app
    for key, name in (("p", "parameters"), ("i", "photographs"), ("r", "report"), ("l", "log"),
                      ("?", "help"), ("f1", "help")):  # fmt: skip
        await keys.does(key, partial(_equal, keys.name, name), then=[key])
        assert keys.name() == "run"
    await keys.does("d", lambda: app.theme == "textual-light", then=["d"])
    assert app.theme == "textual-dark"
    await keys.does("y", lambda: "-L 8123:127.0.0.1:8123" in app.clipboard)
    await keys.does("u", lambda: app.clipboard == "http://127.0.0.1:8123/?token=secret")
    await keys.does("ctrl+p", lambda: isinstance(app.screen, CommandPalette), then=["escape"])
    await keys.commands("space", op="pause")
    await keys.commands("c", op="checkpoint")
    await keys.commands("t", op="retry")
    await keys.does("s", lambda: isinstance(app.screen, Confirm), then=["n"])


async def on_the_run(keys: Keyboard) -> None:
    """Stages are chosen and steered."""
    screen = keys.app.screen
    assert isinstance(screen, RunScreen)
    for key, stage in (("up", "verification"), ("k", "matching"), ("down", "verification"),
                       ("j", "mapping")):  # fmt: skip
        await keys.does(key, partial(_equal, lambda: screen.selected, stage))
    await keys.does("f", lambda: screen.selected == "mapping", first=["up", "up"])
    await keys.commands("x", op="run-until", stage="mapping")
    await keys.commands("T", op="retry", stage="mapping", confirm=False)


async def on_the_parameters(keys: Keyboard) -> None:
    """Values are drafted, applied, taken back, looked up, saved."""
    screen = keys.app.screen
    assert isinstance(screen, ParametersScreen)
    drafts = screen.drafts
    for key in ("enter", "e"):
        await keys.does(key, lambda: screen.focused is screen.editor, then=["escape"])
    await keys.does("right", lambda: bool(drafts.values), first=["home"])
    await keys.does("left", lambda: not drafts.values)
    await keys.does("a", lambda: keys.run.commands[-1:] != [], first=["right"])
    before = keys.run.commands[-1]
    await keys.does("z", lambda: keys.run.commands[-1] != before)
    await keys.does("b", lambda: not drafts.values, first=["right"])
    await keys.does("/", lambda: screen.focused is screen.search, then=["escape"])
    await keys.says("v", "only live ones", then=["v", "v"])
    await keys.does("h", lambda: screen.has_class("-history"), then=["h"])
    await keys.does("w", lambda: isinstance(keys.app.screen, SaveDialog), then=["escape"])
    await keys.does("tab", lambda: screen.table.selected.startswith("features"), first=["home"])
    await keys.does("shift+tab", lambda: screen.table.selected.startswith("ingest"))
    names = list(drafts.fields)
    await keys.moves(lambda: names.index(screen.table.selected))


async def on_the_photographs(keys: Keyboard) -> None:
    """Found in the table, looked at on the page."""
    screen = keys.app.screen
    assert isinstance(screen, PhotographsScreen)
    table = screen.query_one(PhotographTable)
    await keys.says("/", "words of the name or of the verdict", then=["escape"])
    await keys.says("n", "2 shown", then=["n"])
    await keys.says("o", "by name")
    await keys.says("O", "by name, largest first", then=["O"])
    await keys.moves(lambda: table.cursor)
    await press(keys.pilot, "home")
    await keys.does("enter", lambda: screen.has_class("-page"))
    await until(keys.pilot, lambda: "strongest neighbours" in text_of(keys.pilot))
    await keys.does("right", lambda: table.cursor == 1)
    await keys.does("left", lambda: table.cursor == 0)
    await until(keys.pilot, lambda: "see a point" in text_of(keys.pilot))
    await keys.does("v", lambda: "see a point" not in text_of(keys.pilot))


async def on_the_log(keys: Keyboard) -> None:
    """Filtered, searched, followed."""

    def head() -> str:
        return text_of(keys.pilot).splitlines()[0]

    await keys.does("f", lambda: "stays" in head(), then=["f"])
    await keys.does("e", lambda: "warnings and errors" in head(), then=["e", "e"])
    await keys.does("g", lambda: "ingest" in head())
    await keys.does("G", lambda: "all stages" in head())
    await keys.does("/", lambda: isinstance(keys.app.focused, Input))
    await press(keys.pilot, *"done", "enter")
    await keys.says("N", "info: verification done")
    await keys.says("n", "info: mapping done", then=["escape"])
    await keys.moves(lambda: keys.app.screen.query_one("#list").cursor)  # type: ignore[attr-defined]


def _has_moved(
    moved: Callable[[float, float], bool], before: float, where: Callable[[], float]
) -> bool:
    return moved(before, where())


async def on_the_report(keys: Keyboard) -> None:
    """Scrolled."""
    scroll = keys.app.screen.query_one("VerticalScroll")
    await until(keys.pilot, lambda: scroll.max_scroll_y > 0)  # it is laid out with what it holds
    await press(keys.pilot, "end")
    await until(keys.pilot, lambda: scroll.scroll_offset.y == scroll.max_scroll_y)
    await keys.moves(lambda: scroll.scroll_offset.y)


def long_report(root: Path) -> RecordedRun:
    """A run with more to report than a screen holds."""
    run = in_radiance(root)
    run.add(verdicts=tuple(VerdictView(f"{i:03}.jpg", False, "too few") for i in range(200)))
    return run


TOURS: dict[str, tuple[Callable[[Path], RecordedRun], str, Tour]] = {
    "app": (growing, "", everywhere),
    "run": (growing, "", on_the_run),
    "parameters": (as_far_as_mapping, "p", on_the_parameters),
    "photographs": (lambda root: mapped_run(root, count=60), "i", on_the_photographs),
    "log": (in_radiance, "l", on_the_log),
    "report": (long_report, "r", on_the_report),
}


@pytest.mark.parametrize("name", TOURS)
def test_every_key_does_what_the_help_says(root: Path, name: str) -> None:
    async def scenario() -> None:
        make, opener, tour = TOURS[name]
        run = make(root)
        async with shown(app_of(run), SIZE) as pilot:
            await press(pilot, *opener)
            keys = Keyboard(pilot, run)
            await tour(keys)
            if name == "app":
                await pilot.press("q")
                assert pilot.app.return_value == "left"
                keys.pressed.append("q")
        table = APP_KEYS if name == "app" else SCREEN_KEYS[name]
        names = {"question_mark": "?", "slash": "/"}
        told = {names.get(key, key) for entry in table for key in entry.keys.split(",")}
        assert set(keys.pressed) == told

    assert {*SCREEN_KEYS, "app"} == set(TOURS)
    drive(scenario())


@pytest.mark.parametrize(("opener", "name"), [(TOURS[n][1], n) for n in SCREEN_KEYS])
def test_the_help_tells_the_keys_of_the_screen_it_was_opened_from(
    root: Path, opener: str, name: str
) -> None:
    async def scenario() -> None:
        run = TOURS[name][0](root)
        async with shown(app_of(run), (120, 50)) as pilot:
            await press(pilot, *opener, "?")
            # Long ones are wrapped, beside those that work everywhere.
            lines = [line[:59].strip() for line in text_of(pilot).splitlines()]
            told = " ".join(" ".join(lines).split())
            for key in SCREEN_KEYS[name]:
                assert f"{key.all_shown} {key.help}" in told, told
            await press(pilot, "?")
            assert Keyboard(pilot, run).name() == name
            await press(pilot, "?", *(opener or "l"))
            assert Keyboard(pilot, run).name() == (name if opener else "log")

    drive(scenario())


def test_the_help_does_not_lose_drafts(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(as_far_as_mapping(root)), SIZE) as pilot:
            await press(pilot, "p")  # and what is read in a thread
            await press(pilot, "home", "right", "?", "l")
            assert isinstance(pilot.app.screen, Confirm)
            await press(pilot, "n", "?", "q")
            assert isinstance(pilot.app.screen, Confirm) and pilot.app.is_running
            await press(pilot, "n")
            screen = pilot.app.screen
            assert isinstance(screen, ParametersScreen) and screen.drafts.values

    drive(scenario())


@pytest.mark.parametrize(
    ("opener", "words", "true"),
    [
        ("l", "warnings and errors", lambda text: "  warnings and errors  " in text),
        ("i", "not registered", lambda text: "2 shown" in text),
        ("", "checkpoint", lambda text: "Done so." in text),
    ],
    ids=["log", "photographs", "run"],
)
def test_the_palette_runs_what_it_offers(
    root: Path, opener: str, words: str, true: Callable[[str], bool]
) -> None:
    async def scenario() -> None:
        run = mapped_run(root)
        async with shown(app_of(run), SIZE) as pilot:
            await press(pilot, *opener)
            assert not true(text_of(pilot))
            await press(pilot, "ctrl+p", *words)
            await until(pilot, lambda: "Key: " in text_of(pilot))
            await press(pilot, "enter", "enter")
            await until(pilot, lambda: true(text_of(pilot)))

    drive(scenario())


@pytest.mark.parametrize("name", SCREEN_KEYS)
def test_the_palette_offers_the_actions_of_the_screen(root: Path, name: str) -> None:
    async def scenario() -> None:
        make, opener, _ = TOURS[name]
        for readonly in (False, True):
            app = app_of(make(root), readonly=readonly)
            async with shown(app, SIZE) as pilot:
                await press(pilot, *opener)
                offered = [command.title for command in app.get_system_commands(app.screen)]
                keys = (*SCREEN_KEYS[name], *APP_KEYS)
                assert offered == [
                    f"{key.label}: {key.help}"
                    for key in keys
                    if not key.moves and not (readonly and key.steers) and key.keys != "ctrl+p"
                ]

    drive(scenario())
