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
    plural = "s" * (stage.warnings > 1)
    warnings = f"  {stage.warnings} warning{plural}" if stage.warnings else ""
    last = "  last" if is_last else ""
    if stage.state == "started":
        runs = state == "started"  # else nothing comes, whatever the engine told last
        told = stage if runs else stage.model_copy(update={"rate": None, "left_s": None})
        _append_progress(text, told, look, width - len(warnings) - len(last))
    elif stage.seconds or stage.unit:
        # What a skipped stage counted before it was skipped tells nothing of its photographs.
        if stage.total is not None and stage.state != "skipped":
            text.append(f"{amount_in_words(stage)}  ")
        seconds = f"{stage.seconds:.1f} s" if stage.seconds < 60 else ""
        text.append(seconds or duration_in_words(stage.seconds), style="dim")
    text.append(warnings, style="yellow")
    text.append(last, style="bold")
    if stage.why and stage.state != "started":
        text.append(f"  {safe(stage.why, 120)}", style=style)
    return text


def _append_progress(text: Text, stage: StageView, look: Look, width: int) -> None:
    """How far a stage is and how long it takes, up to so many cells: how much is done and the time
    left in any case, of the others what there is room for."""
    amount = amount_in_words(stage)
    # All are done, but not the stage: nobody knows how long the rest of it takes.
    is_known = stage.left_s is not None and (stage.total is None or stage.done < stage.total)
    left = f"  {duration_in_words(stage.left_s or 0.0)} left" if is_known else ""
    room = width - text.cell_len - len(amount) - len(left)
    rate = f"  {stage.rate:.1f}/s" if stage.rate is not None else ""
    rate = rate if len(rate) <= room or not left else ""
    seconds = f"  {duration_in_words(stage.seconds)}"
    has_bar = stage.total and len(rate) + _BAR_CELLS + 1 <= room
    room -= len(rate) + (_BAR_CELLS + 1) * bool(has_bar)
    if stage.total and has_bar:
        text.append(look.bar(stage.done / stage.total, _BAR_CELLS) + " ", style="cyan")
    text.append(amount + rate)
    if not left or len(seconds) <= room:
        text.append(seconds, style="dim")
    text.append(left, style="bold")
