"""The stages of a run, one a line."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from pipeline.engine.messages import StageView
from tui.dashboard.look import STATE_STYLES, Look, safe
from tui.dashboard.model import Model
from tui.dashboard.widgets import Line
from tui.words import amount_in_words, duration_in_words

_NAME_CELLS = 13
_BAR_CELLS = 10


class StageList(Vertical):
    """Every stage with state, progress, rate, elapsed and left. The selected one is marked."""

    DEFAULT_CSS = "StageList { height: auto; }"

    class Chosen(Message):
        """The user clicked on a stage."""

        def __init__(self, stage: str) -> None:
            super().__init__()
            self.stage = stage

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._names: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        """Nothing before the first view."""
        return iter(())

    def show(self, model: Model, selected: str) -> None:
        """Show all stages as they are now."""
        names = tuple(stage.name for stage in model.stages)
        if names != self._names:
            self._names = names
            self.remove_children()
            self.mount_all(StageLine(name) for name in names)
        last = model.view.until if model.view is not None else None
        for line in self.children:
            if isinstance(line, StageLine):
                stage = model.stage(line.stage)
                if stage is not None:
                    width = self.size.width
                    line.show(stage_text(model, stage, self._look, width, last == stage.name))
                    line.set_class(stage.name == selected, "-selected")


class StageLine(Line):
    """One stage."""

    DEFAULT_CSS = "StageLine.-selected { background: $boost; text-style: bold; }"

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def on_click(self, event: events.Click) -> None:
        """Select the stage."""
        self.post_message(StageList.Chosen(self.stage))


def stage_text(model: Model, stage: StageView, look: Look, width: int, is_last: bool) -> Text:
    """A stage in one line of a number of cells: what matters most comes first."""
    state = model.state_of(stage)
    style = STATE_STYLES.get(state, "")
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{look.sign(state)} ", style=style)
    text.append(f"{safe(stage.name, _NAME_CELLS):<{_NAME_CELLS}}", style=style)
    text.append(f"{'running' if state == 'started' else state:<9}", style=style)
    if stage.state == "started":
        if stage.total and width >= 70:
            text.append(look.bar(stage.done / stage.total, _BAR_CELLS) + " ", style="cyan")
        text.append(amount_in_words(stage))
        if stage.rate is not None:
            text.append(f"  {stage.rate:.1f}/s")
        seconds = f"  {duration_in_words(stage.seconds)}"
        # All are done, but not the stage: nobody knows how long the rest of it takes.
        is_known = stage.left_s is not None and (stage.total is None or stage.done < stage.total)
        left = f"  {duration_in_words(stage.left_s or 0.0)} left" if is_known else ""
        if not left or text.cell_len + len(seconds) + len(left) <= width:
            text.append(seconds, style="dim")
        text.append(left, style="bold")
    elif stage.seconds or stage.unit:
        if stage.total is not None:
            text.append(f"{amount_in_words(stage)}  ")
        seconds = f"{stage.seconds:.1f} s" if stage.seconds < 60 else ""
        text.append(seconds or duration_in_words(stage.seconds), style="dim")
    if stage.warnings:
        plural = "s" * (stage.warnings > 1)
        text.append(f"  {stage.warnings} warning{plural}", style="yellow")
    if is_last:
        text.append("  last", style="bold")
    if stage.why and stage.state != "started":
        text.append(f"  {safe(stage.why, 120)}", style=style)
    return text
