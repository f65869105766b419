"""Every key of the dashboard, once: bindings, footer, hints, help screen and command palette come
from here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from textual.binding import Binding, BindingType

Group = Literal["Look", "Steer", "Leave"]


@dataclass(frozen=True)
class Key:
    """What a key does.

    keys: as Textual names them, with commas between. action: of the app, the screen or its list.
    label: for the footer and for hints. help: a sentence. footer: whether the footer has room for
    it. steers: it changes the run, so it is off with --readonly. moves: it only moves a mark, which
    nobody looks up by its name. opens_field: what comes after it is typed into a field.
    """

    keys: str
    action: str
    label: str
    help: str
    group: Group = "Look"
    footer: bool = False
    steers: bool = False
    moves: bool = False
    opens_field: bool = False

    @property
    def shown(self) -> str:
        """The first of the keys as people write it."""
        return _written(self.keys.partition(",")[0])

    @property
    def all_shown(self) -> str:
        """All of them."""
        return " ".join(map(_written, self.keys.split(",")))

    def binding(self) -> Binding:
        """For Textual."""
        return Binding(
            self.keys, self.action, self.label, show=self.footer, key_display=self.shown,
            tooltip=self.help,
        )  # fmt: skip


def _written(key: str) -> str:
    known = {
        "question_mark": "?", "slash": "/", "pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc",
        "backspace": "BkSp",
    }  # fmt: skip
    if key in known or len(key) == 1:
        return known.get(key, key)
    return key.replace("ctrl+", "^") if key.startswith("ctrl+") else key.title()


# Keys of the app: they work on every screen.
APP_KEYS: tuple[Key, ...] = (
    Key("p", "open('parameters')", "Parameters", "See and change the parameters.", footer=True),
    Key("i", "open('photographs')", "Photos", "Photographs: registered or not, and why.",
        footer=True),
    Key("r", "open('report')", "Report", "What came out so far, stage by stage.", footer=True),
    Key("l", "open('log')", "Log", "What happened, and what the stages print.", footer=True),
    Key("question_mark,f1", "open('help')", "Help", "Every key and what it does.", footer=True),
    Key("d", "toggle_light", "Light", "Switch between dark and light colours."),
    Key("y", "copy_tunnel", "Copy ssh", "Copy the `ssh -L` line of the viewer."),
    Key("u", "copy_viewer", "Copy URL", "Copy the viewer's address with its token."),
    Key("ctrl+p", "command_palette", "Palette", "Every action by its name."),
    Key("space", "pause_or_resume", "Pause", "Pause the run after the step at hand, or go on.",
        "Steer", footer=True, steers=True),
    Key("c", "checkpoint", "Checkpoint", "Save a checkpoint after the step at hand.", "Steer",
        steers=True),
    Key("t", "retry", "Retry", "Try the failed stage again, or start a run at rest again.", "Steer",
        steers=True),
    Key("s", "stop", "Stop", "End the run after the step at hand; asks first.", "Steer",
        footer=True, steers=True),
    Key("q", "detach", "Detach", "Leave the dashboard; the run goes on.", "Leave", footer=True),
)  # fmt: skip

# Keys of the opening, which is an app of its own, and of its lists.
OPENING_KEYS: tuple[Key, ...] = (
    Key("g", "begin", "Start the run", "Start a run with the photographs of the folder.",
        footer=True),
    Key("left,backspace", "up", "Folder above", "To the folder above.", footer=True),
    Key("question_mark,f1", "help", "Help", "Every key and what it does.", footer=True),
    Key("q,escape", "detach", "Leave", "Leave; what runs goes on.", "Leave", footer=True),
)  # fmt: skip
OPENING_LIST_KEYS: tuple[Key, ...] = (
    Key("tab", "app.focus_next", "Runs/folders", "From the runs to the folders, and back.",
        footer=True),
    Key("enter", "select", "Open", "Open the run, or enter the folder.", moves=True),
    Key("up,k", "cursor_up", "Up", "The line above.", moves=True),
    Key("down,j", "cursor_down", "Down", "The line below.", moves=True),
    Key("pageup", "page_up", "Page up", "The page above.", moves=True),
    Key("pagedown", "page_down", "Page down", "The page below.", moves=True),
    Key("home", "first", "First", "The first line.", moves=True),
    Key("end", "last", "Last", "The last line.", moves=True),
)  # fmt: skip

# Keys of the run screen.
RUN_KEYS: tuple[Key, ...] = (
    Key("up,k", "select(-1)", "Stage", "Look at the stage above.", moves=True),
    Key("down,j", "select(1)", "Stage", "Look at the stage below.", moves=True),
    Key("f", "follow", "Follow", "Look at the stage that runs, from now on."),
    Key("x", "run_until", "Run until", "Make the selected stage the last one; again: all stages.",
        "Steer", steers=True),
    Key("T", "retry_from", "Run again", "Run the selected stage again from its beginning, and all "
        "after it; asks first.", "Steer", steers=True),
)  # fmt: skip

# Keys of a list of any length; Enter opens a line where there is more to see of it.
MOVE_KEYS: tuple[Key, ...] = (
    Key("up,k", "move(-1)", "Up", "The line above.", moves=True),
    Key("down,j", "move(1)", "Down", "The line below.", moves=True),
    Key("pageup", "page(-1)", "Page up", "The page above.", moves=True),
    Key("pagedown", "page(1)", "Page down", "The page below.", moves=True),
    Key("home", "go(0)", "First", "The first line.", moves=True),
    Key("end", "go(-1)", "Last", "The last line.", moves=True),
)
OPEN_KEY = Key("enter", "open", "Open", "See all that is known of the marked one.", moves=True)

PARAMETER_KEYS: tuple[Key, ...] = (
    Key("enter,e", "edit", "Edit", "Type a value for the parameter.", "Steer", footer=True,
        steers=True, opens_field=True),
    Key("left", "step(-1)", "Choice", "The choice before.", "Steer", steers=True),
    Key("right", "step(1)", "Choice", "The next choice.", "Steer", steers=True),
    Key("a", "apply", "Apply", "Apply what was changed.", "Steer", footer=True, steers=True),
    Key("z", "undo", "Undo", "Drop the last draft, or take the last change back.", "Steer",
        footer=True, steers=True),
    Key("b", "default", "Default", "Back to the default.", "Steer", steers=True),
    Key("slash", "search", "Search", "Look for parameters.", footer=True, opens_field=True),
    Key("v", "filter", "View", "All, only live ones, only those that differ from the default."),
    Key("h", "history", "History", "Who changed what, and when.", footer=True),
    Key("w", "save", "Save", "Save as a TOML file for --config.", footer=True, opens_field=True),
)  # fmt: skip
SECTION_KEYS: tuple[Key, ...] = (
    Key("tab", "section(1)", "Next stage", "The parameters of the next stage.", moves=True),
    Key("shift+tab", "section(-1)", "Stage before", "The parameters of the stage before.",
        moves=True),
)  # fmt: skip

# Esc of a screen that says so in a line of its own: the footer has no room for it at 80 columns.
LEAVE = Binding("escape", "leave", "Back", show=False)
# The table of photographs, and the page of one.
TABLE_KEYS: tuple[Key, ...] = (
    Key("slash", "filter", "Filter", "Type words of the name or of the verdict.", opens_field=True),
    Key("n", "only_missing", "Missing", "Only photographs that are not registered; again: all."),
    Key("o", "order(1)", "Order", "Order by the next column."),
    Key("O", "order(0)", "Turn round", "Turn the order round."),
)
PAGE_KEYS: tuple[Key, ...] = (
    Key("left", "turn_page(-1)", "Before", "The photograph before.", moves=True),
    Key("right", "turn_page(1)", "Next", "The next photograph.", moves=True),
    Key("v", "keypoints", "Keypoints", "Draw the keypoints, or the photograph alone."),
)
PHOTOGRAPH_KEYS = TABLE_KEYS + PAGE_KEYS
LOG_KEYS: tuple[Key, ...] = (
    Key("f", "follow", "Follow", "Follow what comes, or stay."),
    Key("e", "level", "Level", "All, warnings and errors, errors alone."),
    Key("g", "stage(1)", "Stage", "One stage after the other, then all."),
    Key("G", "stage(-1)", "Stage", "The stage before."),
    Key("slash", "search", "Search", "Type words to look for.", opens_field=True),
    Key("n", "next(1)", "Next", "The next line with the words."),
    Key("N", "next(-1)", "Before", "The line before with the words."),
)
# Of what scrolls: Textual's own but for j and k.
SCROLL_KEYS: tuple[Key, ...] = (
    Key("up,k", "scroll(-1)", "Up", "A line up.", moves=True),
    Key("down,j", "scroll(1)", "Down", "A line down.", moves=True),
    Key("pageup", "page_up", "Page up", "A page up.", moves=True),
    Key("pagedown", "page_down", "Page down", "A page down.", moves=True),
    Key("home", "scroll_home", "Top", "To the top.", moves=True),
    Key("end", "scroll_end", "Bottom", "To the bottom.", moves=True),
)

# By the name of the screen, beside those of the app.
SCREEN_KEYS: dict[str, tuple[Key, ...]] = {
    "run": RUN_KEYS,
    "parameters": PARAMETER_KEYS + SECTION_KEYS + MOVE_KEYS,
    "photographs": (OPEN_KEY, *PHOTOGRAPH_KEYS, *MOVE_KEYS),
    "log": LOG_KEYS + MOVE_KEYS,
    "report": SCROLL_KEYS,
}
GROUPS: tuple[Group, ...] = ("Look", "Steer", "Leave")
_STEERING = frozenset(
    key.action.partition("(")[0]
    for keys in (APP_KEYS, *SCREEN_KEYS.values())
    for key in keys
    if key.steers
)


def bindings(keys: Iterable[Key], *, priority: bool = False) -> list[BindingType]:
    """For the class attribute BINDINGS of an app, a screen or a list. priority: carried out before
    the next key is looked at. Over a slow link many keys come at once, and what follows Enter is
    typed into the field that it opens."""
    return [replace(key.binding(), priority=priority) for key in keys]


def hint(keys: Iterable[Key]) -> str:
    """Keys with what they do, in a line that ends with the way back."""
    labels: dict[str, str] = {}
    for key in keys:
        labels.setdefault(key.label, key.shown)  # of two ways only the first
    return "  ".join([*(f"{shown} {label.lower()}" for label, shown in labels.items()), "Esc back"])


def steers(action: str) -> bool:
    """Whether an action changes the run."""
    return action in _STEERING
