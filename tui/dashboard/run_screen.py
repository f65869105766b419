"""The run: its stages, the live panel of one of them, how the machine is doing, the viewer."""

from __future__ import annotations

import os
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical

from tui.dashboard.keys import RUN_KEYS, bindings
from tui.dashboard.look import LEVEL_STYLES, STATE_STYLES, joined, safe
from tui.dashboard.model import Model
from tui.dashboard.panels import panel_class
from tui.dashboard.panels.base import Panel
from tui.dashboard.retrying import retry_from
from tui.dashboard.screens import DashboardScreen
from tui.dashboard.stage_list import StageList
from tui.dashboard.tunnel import tunnel_command, viewer_url
from tui.dashboard.widgets import Line, Prose, Quiet
from tui.words import duration_in_words

_WIDE_CELLS = 130
_OLD_S = 5.0
_ROWS_FOR_BOTH = 24  # the viewer's address and the way to it


class RunScreen(DashboardScreen, inherit_bindings=False):
    """What runs, how far it is, whether it goes well."""

    NAME: ClassVar[str] = "run"
    BINDINGS: ClassVar[list[BindingType]] = bindings(RUN_KEYS)
    CSS = """
    RunScreen #banner { display: none; max-height: 3; background: $warning 30%; color: $text; }
    RunScreen #banner.-on { display: block; }
    RunScreen #body { layout: vertical; height: 1fr; }
    RunScreen #stages { margin: 0 0 1 0; }
    RunScreen.-wide #body { layout: horizontal; }
    RunScreen #left { height: auto; }
    RunScreen #recent { display: none; }
    RunScreen.-wide #left { width: 60; height: 1fr; margin: 0 1 0 0; }
    RunScreen.-wide #recent { display: block; height: 1fr; }
    RunScreen #panel { height: 1fr; }
    RunScreen #tunnel { display: none; }
    RunScreen #tunnel.-on { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._selected = ""  # "": the stage that runs
        self._panel: Panel | None = None
        self._panel_of = ("", "")

    def content(self) -> ComposeResult:
        """From the top: name and state, what is wrong with the connection, stages and panel, the
        machine, the viewer."""
        yield Line(id="title")
        yield Prose(id="banner")
        with Container(id="body"):
            with Vertical(id="left"):
                yield StageList(self.dashboard.look, id="stages")
                yield Quiet(id="recent")
            yield Vertical(id="panel")
        yield Line(id="system")
        yield Line(id="tunnel")
        yield Line(id="viewer")

    @property
    def selected(self) -> str:
        """Name of the stage that is looked at; "" before the first view."""
        model = self.dashboard.model
        if self._selected and model.stage(self._selected) is not None:
            return self._selected
        return model.current.name if model.current is not None else ""

    def show(self, model: Model) -> None:
        """Show the run as it is."""
        self.query_one("#title", Line).show(self._title(model))
        self._show_banner(model)
        self.query_one(StageList).show(model, self.selected)
        self._show_recent(model)
        self._show_panel(model)
        self.query_one("#system", Line).show(self._system(model))
        self._show_viewer(model)

    def on_resize(self, event: events.Resize) -> None:
        """Stages beside the panel where there is room, else above it."""
        self.set_class(event.size.width >= _WIDE_CELLS, "-wide")
        self.call_after_refresh(self.show_now)

    def on_stage_list_chosen(self, message: StageList.Chosen) -> None:
        """A stage was clicked."""
        self._select(message.stage)

    def action_select(self, by: int) -> None:
        """Look at the stage above or below."""
        names = [stage.name for stage in self.dashboard.model.stages]
        if names:
            at = names.index(self.selected)
            self._select(names[max(0, min(len(names) - 1, at + by))])

    def action_follow(self) -> None:
        """Look at the stage that runs."""
        self._select("")

    def action_run_until(self) -> None:
        """Make the selected stage the last one; where it is already, run all."""
        view = self.dashboard.model.view
        until = None if view is not None and view.until == self.selected else self.selected
        self.dashboard.give({"op": "run-until", "stage": until})

    def action_retry_from(self) -> None:
        """Run the selected stage and all after it again, after a question."""
        if self.selected and not self.dashboard.readonly:
            retry_from(self.dashboard, self.selected)

    def _select(self, stage: str) -> None:
        self._selected = stage
        self.show_now()

    def _title(self, model: Model) -> Text:
        text = Text()
        look, state = self.dashboard.look, model.state
        text.append(safe(model.view.run if model.view else self.dashboard.run_name, 40), "bold")
        text.append(f"  {look.sign('started' if state == 'running' else state or 'waiting')} ")
        text.append(state or "looking for the run", STATE_STYLES.get(state, "bold"))
        if model.view is not None:
            text.append(f"  {duration_in_words(model.view.seconds)}", "dim")
            if model.view.until and model.view.state != "done":  # then the reason says it
                text.append(f"  until {model.view.until}", "dim")
            if model.view.why:
                text.append(f"  {safe(model.view.why, 200)}", "yellow")
        if self.dashboard.readonly:
            text.append("  read only", "dim")
        return text

    def _show_banner(self, model: Model) -> None:
        banner = self.query_one("#banner", Prose)
        connection = model.connection
        wrong = connection.state not in ("live", "connecting") and model.state != "done"
        banner.set_class(wrong, "-on")
        if wrong:
            age = model.age_s(self.dashboard.clock())
            since = f"data of {duration_in_words(age)} ago" if age and age > _OLD_S else ""
            # What is left of a run can be started again, but not by those who only look.
            idle = connection.state == "left" and self.dashboard.readonly
            hint = "" if idle else safe(connection.hint, 120)
            # What to do comes before the age: a narrow terminal has three lines for all this.
            banner.show(joined([safe(connection.words, 160), hint, since]))

    def _show_recent(self, model: Model) -> None:
        """What happened last, below the stages where there is room."""
        recent = self.query_one("#recent", Quiet)
        if not recent.display:
            return
        text = Text("Lately\n", style="bold", no_wrap=True)
        most = max(0, recent.size.height - 1)
        for line in list(model.lines)[len(model.lines) - min(most, len(model.lines)) :]:
            text.append(f"{safe(line.text, 200)}\n", style=LEVEL_STYLES[line.level])
        recent.show(text)

    def _show_panel(self, model: Model) -> None:
        stage = model.stage(self.selected)
        if stage is None:
            return
        # A panel of failures takes the place of the stage's own, and back after a retry.
        wanted = stage.name, "failed" if stage.state == "failed" else ""
        if self._panel is None or wanted != self._panel_of:
            if self._panel is not None:
                self._panel.remove()
            self._panel = panel_class(stage.name, stage.state)(self.dashboard.look)
            self._panel_of = wanted
            self.query_one("#panel", Vertical).mount(self._panel)
        self._panel.show(model, stage, self.dashboard.clock())

    def _system(self, model: Model) -> Text:
        parts = self.dashboard.system.in_words()
        age = model.age_s(self.dashboard.clock())
        if age is not None and model.connection.state != "left":
            parts.append("live" if age < _OLD_S else f"data {duration_in_words(age)} old")
        return Text(joined(parts), style="dim")

    def _show_viewer(self, model: Model) -> None:
        """The viewer's address, after the line that leads there where the user came by SSH."""
        url, ssh = viewer_url(model.viewer), tunnel_command(model.viewer, os.environ)
        by_ssh = bool(os.environ.get("SSH_CONNECTION"))
        has_both = by_ssh and bool(ssh) and self.size.height >= _ROWS_FOR_BOTH
        self.query_one("#tunnel", Line).set_class(has_both, "-on")
        if has_both:
            keys = "  on your machine; y copies it"
            self.query_one("#tunnel", Line).show(self._told("First   ", ssh, (keys, "")))
        if not url:
            text = self._without_viewer(model)
        elif by_ssh and not has_both:
            all_keys = ("  y copies the line, u the URL", "  y, u copy", "")
            text = self._told("Viewer  ", ssh, all_keys)
        else:
            keys = "  u copies it" if has_both else "  u copies it, y an ssh line to it"
            if len(url) + len("Viewer  ") > self.size.width:  # half a token lets nobody in
                url, keys = url.partition("?")[0], "  u copies the whole of it"
            text = self._told("Viewer  ", url, (keys, "  u copies it", ""))
        self.query_one("#viewer", Line).show(text)

    def _told(self, label: str, what: str, keys: tuple[str, ...]) -> Text:
        """A line to type or to open, and as much as there is room for of how to copy it."""
        text = Text(label, style="dim")
        text.append(what, style="bold")
        room = self.size.width - text.cell_len
        text.append(next(words for words in keys if len(words) <= room or not words), "dim")
        return text

    def _without_viewer(self, model: Model) -> Text:
        if model.view is None:
            return Text()
        if model.connection.state == "left":
            name = safe(self.dashboard.run_name, 30)
            return Text(f"Viewer  `barfield view {name}` shows the run in a browser.", "dim")
        return Text("No viewer: start the run with --port N to look at it in a browser.", "dim")
