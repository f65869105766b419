"""The opening: recent runs to look at, or a folder of photographs to begin with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.filter import LineFilter
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from pipeline.engine.runtime import known_runs
from pipeline.errors import PipelineError
from pipeline.run_directory import MANIFEST, RUNS
from tui.dashboard.dialogs import fit
from tui.dashboard.found import Found, folders_in, look_into
from tui.dashboard.help_screen import OpeningHelp
from tui.dashboard.key_line import KeyLine
from tui.dashboard.keys import OPENING_KEYS, OPENING_LIST_KEYS, bindings
from tui.dashboard.look import STATE_STYLES, AsciiFilter, Look, safe
from tui.dashboard.notices import NOTICES_CSS, show_notice
from tui.dashboard.widgets import Line, Quiet
from tui.runs import RunStatus, share_done, stage_at_hand, status_in_list
from tui.words import duration_in_words, near

MOST_RUNS = 30
MOST_FOLDERS = 500
_WIDE_CELLS = 140


@dataclass(frozen=True)
class Choice:
    """What the user chose: a run directory, or a folder of photographs."""

    run: Path | None = None
    photos: Path | None = None


class Entries(OptionList):
    """A list with the keys that lists have elsewhere."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(OPENING_LIST_KEYS)


class OpeningApp(App[Choice]):
    """Offers runs and folders. folder: where the picker begins. clock: seconds since the epoch."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(OPENING_KEYS)
    TITLE = "barfield"
    ENABLE_COMMAND_PALETTE = False
    CSS = (
        NOTICES_CSS
        + """
    #body { layout: vertical; height: 1fr; }
    #body.-wide { layout: horizontal; }
    #body.-wide #known { width: 3fr; }
    #body.-wide #new { width: 2fr; }
    .part { height: 1fr; padding: 0 1; }
    .title { text-style: bold; }
    OptionList { height: 1fr; border: none; padding: 0; background: $background;
        text-wrap: nowrap; text-overflow: ellipsis; }
    OptionList:focus { border: none; }
    #found { height: auto; max-height: 5; }
    OpeningApp.-ascii * { scrollbar-size: 0 0; }
    """
    )

    def __init__(
        self, look: Look, folder: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._look = look
        super().__init__()
        self.animation_level = "none"
        self.theme = "textual-light" if look.light else "textual-dark"
        self._clock = clock
        self._folder = (folder or Path.cwd()).absolute()
        self._runs: list[Path] = []
        self._folders: list[Path] = []
        self._found = Found()

    def compose(self) -> ComposeResult:
        """Runs beside or above the folders."""
        with Container(id="body"):
            with Vertical(id="known", classes="part"):
                yield Line(id="runs-title", classes="title")
                yield Entries(id="runs")
                yield Line(id="root")
            with Vertical(id="new", classes="part"):
                yield Line(id="folder", classes="title")
                yield Quiet(id="found")
                yield Entries(id="folders")
        yield KeyLine()

    def on_mount(self) -> None:
        """List what there is; how each run stands is asked in a thread."""
        self.set_class(not self._look.unicode, "-ascii")
        self.query_one("#runs-title", Line).show("Runs: looking...")
        self.run_worker(self._look_for_runs, thread=True)
        self._enter(self._folder)

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        body = self.screen_stack[0].query_one("#body")
        body.set_class(event.size.width >= _WIDE_CELLS, "-wide")
        fit(self, event.size)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """ASCII alone where the terminal has no more."""
        filters = super().get_line_filters()
        return filters if self._look.unicode else [*filters, AsciiFilter()]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A run opens; a folder is entered."""
        if event.option_list.id == "runs":
            self.exit(Choice(run=self._runs[event.option_index]))
        else:
            self._enter(self._folders[event.option_index])

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Tell where the marked run is: its line has no room for long paths."""
        if event.option_list.id == "runs":
            root = safe(str(near(self._runs[event.option_index])))
            self.query_one("#root", Line).show(Text(root, style="dim"))

    def action_up(self) -> None:
        """To the folder above."""
        self._enter(self._folder.parent)

    def action_begin(self) -> None:
        """Begin a run with the photographs of the folder."""
        if self._found.photographs and not self._found.problem:
            self.exit(Choice(photos=self._folder))
        else:
            words = self._found.problem or "Still looking into the folder."
            show_notice(self, words)

    def action_help(self) -> None:
        """Every key and what it does."""
        self.push_screen(OpeningHelp())

    def action_detach(self) -> None:
        """Neither."""
        self.exit(None)

    def action_help_quit(self) -> None:
        """Ctrl-C."""
        show_notice(self, "q leaves.")

    def _enter(self, folder: Path) -> None:
        self._folder, self._folders, self._found = folder, [], Found()
        self.query_one("#folders", OptionList).clear_options()
        self.query_one("#folder", Line).show(f"Photographs in {safe(str(folder))}")
        self.query_one("#found", Quiet).show(Text("looking...", style="dim"))
        self.run_worker(partial(self._look_into, folder), thread=True, group="folder")

    def _look_into(self, folder: Path) -> None:
        # In a thread: a folder may be on a disk of another machine, or hold a million files.
        self.call_from_thread(self._show_folders, folder, folders_in(folder)[:MOST_FOLDERS])
        self.call_from_thread(self._show_found, folder, look_into(folder))

    def _show_folders(self, folder: Path, folders: list[Path]) -> None:
        if folder == self._folder:  # the user may have gone on
            self._folders = folders
            options = self.query_one("#folders", OptionList)
            options.add_options(Option(Text(f"{safe(entry.name)}/")) for entry in folders)

    def _show_found(self, folder: Path, found: Found) -> None:
        if folder == self._folder:  # the user may have gone on
            self._found = found
            lines = found.in_words() if found.problem else [*found.in_words(), "g starts the run"]
            text = "\n".join(safe(line) for line in lines)
            self.query_one("#found", Quiet).show(Text(text, style="dim" if found.problem else ""))

    def _look_for_runs(self) -> None:
        roots = [run.root for run in known_runs()]
        roots += [path.parent.resolve() for path in RUNS.glob(f"*/{MANIFEST}")]
        stati = []
        for root in list(dict.fromkeys(roots))[:MOST_RUNS]:
            try:
                stati.append(status_in_list(root))
            except (PipelineError, OSError):
                continue
        self.call_from_thread(self._show_runs, stati)

    def _show_runs(self, stati: list[RunStatus]) -> None:
        self._runs = [status.root for status in stati]
        count = len(stati)
        self.query_one("#runs-title", Line).show(
            "Runs: Enter opens one, Tab goes to the folders"
            if count
            else "No runs yet: choose photographs (Tab)"
        )
        runs = self.query_one("#runs", OptionList)
        runs.add_options(Option(self._row(status)) for status in stati)
        if count:
            runs.highlighted = 0
        runs.focus() if count else self.query_one("#folders").focus()

    def _row(self, status: RunStatus) -> Text:
        sign = self._look.sign("started" if status.state == "running" else status.state)
        text = Text(f"{sign} {safe(status.name, 20):<20} ", no_wrap=True, overflow="ellipsis")
        text.append(f"{status.state:<12}", style=STATE_STYLES.get(status.state, ""))
        text.append(
            f"{share_done(status.view):>4.0%} {stage_at_hand(status.view):<13}", style="dim"
        )
        started = None if status.view is None else status.view.started
        age = "" if started is None else f"{duration_in_words(self._clock() - started)} ago"
        text.append(f"{age:<16}", style="dim")
        return text.append(safe(str(near(status.root.parent))), style="dim")
