"""Every key of the dashboard, once: bindings, footer, help screen and command palette come from
here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding, BindingType

Group = Literal["Look", "Steer", "Leave"]


@dataclass(frozen=True)
class Key:
    """What a key does.

    keys: as Textual names them, with commas between. action: of the app or the screen. label: for
    the footer. help: a sentence. footer: whether the footer has room for it. steers: it changes the
    run, so it is off with --readonly.
    """

    keys: str
    action: str
    label: str
    help: str
    group: Group = "Look"
    footer: bool = False
    steers: bool = False

    @property
    def shown(self) -> str:
        """The first of the keys as people write it."""
        first = self.keys.partition(",")[0]
        return {
            "question_mark": "?",
            "space": "Space",
            "up": "Up",
            "down": "Down",
            "enter": "Enter",
            "slash": "/",
        }.get(first, first.replace("ctrl+", "^"))

    def binding(self) -> Binding:
        """For Textual."""
        return Binding(
            self.keys, self.action, self.label, show=self.footer, key_display=self.shown,
            tooltip=self.help,
        )  # fmt: skip


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

# Keys of the run screen.
RUN_KEYS: tuple[Key, ...] = (
    Key("up,k", "select(-1)", "Stage", "Look at the stage above."),
    Key("down,j", "select(1)", "Stage", "Look at the stage below."),
    Key("f", "follow", "Follow", "Look at the stage that runs, from now on."),
    Key("x", "run_until", "Run until", "Make the selected stage the last one; again: all stages.",
        "Steer", steers=True),
    Key("T", "retry_from", "Run again", "Run the selected stage again from its beginning, and all "
        "after it; asks first.", "Steer", steers=True),
)  # fmt: skip

# Keys of the parameters' screen; not in ALL_KEYS, because its footer and title tell them.
PARAMETER_KEYS: tuple[Key, ...] = (
    Key("enter,e", "edit", "Edit", "Type a value for the parameter.", "Steer", footer=True,
        steers=True),
    Key("left", "step(-1)", "Choice", "The choice before.", "Steer", steers=True),
    Key("right", "step(1)", "Choice", "The next choice.", "Steer", steers=True),
    Key("a", "apply", "Apply", "Apply what was changed.", "Steer", footer=True, steers=True),
    Key("z", "undo", "Undo", "Drop the last draft, or take the last change back.", "Steer",
        footer=True, steers=True),
    Key("b", "default", "Default", "Back to the default.", "Steer", steers=True),
    Key("slash", "search", "Search", "Look for parameters.", footer=True),
    Key("v", "filter", "View", "All, only live ones, only those that differ from the default."),
    Key("h", "history", "History", "Who changed what, and when.", footer=True),
    Key("w", "save", "Save", "Save as a TOML file for --config.", footer=True),
)  # fmt: skip

# Esc of a screen that says so in a line of its own: the footer has no room for it at 80 columns.
LEAVE = Binding("escape", "leave", "Back", show=False)
# Keys of the photographs' screen and of the log's; a line of the screen tells them.
PHOTOGRAPH_KEYS: tuple[Key, ...] = (
    Key("slash", "filter", "Filter", "Type words of the name or of the verdict."),
    Key("n", "only_missing", "Missing", "Only photographs that are not registered; again: all."),
    Key("o", "order(1)", "Order", "Order by the next column."),
    Key("O", "order(0)", "Turn", "Turn the order round."),
    Key("left", "turn_page(-1)", "Before", "The photograph before."),
    Key("right", "turn_page(1)", "Next", "The next photograph."),
    Key("v", "keypoints", "Keypoints", "Draw the keypoints, or the photograph alone."),
)
LOG_KEYS: tuple[Key, ...] = (
    Key("f", "follow", "Follow", "Follow what comes, or stay."),
    Key("e", "level", "Level", "All, warnings and errors, errors alone."),
    Key("g", "stage(1)", "Stage", "One stage after the other, then all."),
    Key("G", "stage(-1)", "Stage", "The stage before."),
    Key("slash", "search", "Search", "Type words to look for."),
    Key("n", "next(1)", "Next", "The next line with the words."),
    Key("N", "next(-1)", "Before", "The line before with the words."),
)

ALL_KEYS = APP_KEYS + RUN_KEYS
GROUPS: tuple[Group, ...] = ("Look", "Steer", "Leave")
_STEERING = frozenset(key.action.partition("(")[0] for key in ALL_KEYS if key.steers)


def bindings(keys: tuple[Key, ...]) -> list[BindingType]:
    """For the class attribute BINDINGS of an app or a screen."""
    return [key.binding() for key in keys]


def steers(action: str) -> bool:
    """Whether an action changes the run."""
    return action in _STEERING


def keys_of(group: Group) -> Iterator[Key]:
    """The keys of a group, in their order."""
    return (key for key in ALL_KEYS if key.group == group)
