"""Progress of a run: a bar with rate and time left in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from pipeline.engine.messages import RunView, StageView
from pipeline.events import ENDED, ParameterChanged, Record, RunChanged, StageChanged, Warned
from tui.words import (
    amount_in_words,
    duration_in_words,
    one_line,
    progress_in_words,
    speed_in_words,
)

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES = 2.0
_LONGEST_WARNING = 500
_STYLES = {
    "done": "green",
    "skipped": "dim",
    "failed": "bold red",
    "stopped": "yellow",
    "stale": "yellow",
    "paused": "yellow",
    "stopping": "yellow",
    "warning": "yellow",
}


class Display(Protocol):
    """Shows a run: what happens, and how far it is."""

    def tell(self, stage: str, record: Record) -> None:
        """Something happened, in a stage or (stage "") in the run as a whole."""
        ...

    def see(self, view: RunView) -> None:
        """How far the run is now."""
        ...


@contextmanager
def progress_display(stream: IO[str]) -> Iterator[Display]:
    """A bar where the stream is a terminal, plain lines elsewhere."""
    if not stream.isatty():
        yield PlainLines(stream)
        return
    from rich.console import Console

    console = Console(file=stream)
    with _bars(console) as bars:
        yield LiveBar(bars)


class PlainLines:
    """A line for what happens, and every two seconds for how far the stage is."""

    def __init__(self, stream: IO[str] = sys.stdout) -> None:
        self._stream = stream
        self._last = 0.0
        self._said = ""

    def tell(self, stage: str, record: Record) -> None:
        """Show one record."""
        for line in lines_of(stage, record):
            self._say(line)
        if isinstance(record, StageChanged):
            self._last = time.monotonic()

    def see(self, view: RunView) -> None:
        """Show how far the running stage is, if that is new and the last time is long ago."""
        now, stage = time.monotonic(), running_stage(view)
        if stage is None or now - self._last < _SECONDS_BETWEEN_LINES:
            return
        said = progress_in_words(stage)
        if said and said != self._said:
            self._last, self._said = now, said
            self._say(_labelled(stage.name, said))

    def _say(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class LiveBar:
    """A bar for the stage that runs; what happened stays above it as lines."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._stage = ""

    def tell(self, stage: str, record: Record) -> None:
        """Show one record."""
        from rich.text import Text

        if isinstance(record, StageChanged):
            if record.state == "started":
                self._show_bar(record.stage)
                if not record.why:
                    return
            elif record.stage == self._stage:
                self._show_bar("")
        for line in lines_of(stage, record):
            self._bars.console.print(Text(line, style=_style(record)))

    def see(self, view: RunView) -> None:
        """Move the bar."""
        stage = running_stage(view)
        self._show_bar(stage.name if stage is not None else "")
        if stage is not None and self._task is not None:
            paused = view.state if view.state in ("paused", "stopping") else ""
            self._bars.update(
                self._task,
                completed=stage.done,
                total=stage.total,
                amount=amount_in_words(stage),
                speed=paused or speed_in_words(stage),
                doing=one_line(stage.doing, 40),
                refresh=True,
            )

    def _show_bar(self, stage: str) -> None:
        """A bar for this stage only; for none, if it is ""."""
        if stage == self._stage:
            return
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._bars.refresh()
            self._task = None
        self._stage = stage
        if stage:
            self._task = self._bars.add_task(stage, total=None, amount="", speed="", doing="")


class Silence:
    """Shows nothing."""

    def tell(self, stage: str, record: Record) -> None:
        """Nothing."""

    def see(self, view: RunView) -> None:
        """Nothing."""


def running_stage(view: RunView) -> StageView | None:
    """The stage that is at work, if there is one."""
    return next((stage for stage in view.stages if stage.state == "started"), None)


def records_of(view: RunView) -> Iterator[tuple[str, Record]]:
    """What a client has to be told that comes late: newest warnings, the stages so far, and what
    holds the run."""
    for warning in view.warnings:
        yield "", Warned(warning)
    for stage in view.stages:
        if stage.state != "waiting":
            yield (
                stage.name,
                StageChanged(
                    stage.name, stage.state, stage.seconds, stage.why, stage.hint, stage.log
                ),
            )
    if view.state != "running":
        yield "", RunChanged(view.state, view.why, view.hint)


def lines_of(stage: str, record: Record) -> list[str]:
    """What a record says, in lines; none for what only moves a bar."""
    if isinstance(record, StageChanged):
        if record.state == "waiting":
            return []
        line = _labelled(record.stage, _state_in_words(record))
        return [line, *(f"{'':<13}| {one_line(text, _LONGEST_WARNING)}" for text in record.log)]
    if isinstance(record, RunChanged):
        return _lines_of_run(record)
    if isinstance(record, Warned):
        subject = f"{one_line(record.subject, 200)}: " if record.subject else ""
        text = f"warning: {subject}{one_line(record.message, _LONGEST_WARNING)}"
        return [_labelled(stage or "run", text)]
    if isinstance(record, ParameterChanged):
        since = f" from step {record.step} on" if record.step is not None else f", by {record.by}"
        change = f"{record.parameter} is {record.new!r}, was {record.old!r}{since}"
        return [_labelled(stage or "run", one_line(change, _LONGEST_WARNING))]
    return []


def _lines_of_run(record: RunChanged) -> list[str]:
    # Whoever waited for the end of the run tells of it; that it runs is told by its stages.
    if record.state in ENDED or not (record.why or record.hint):
        return []
    line = _labelled("run", f"{record.state}: {one_line(record.why, _LONGEST_WARNING)}")
    hint = [_labelled("", one_line(record.hint, _LONGEST_WARNING))] if record.hint else []
    return [line, *hint]


def _state_in_words(record: StageChanged) -> str:
    why = one_line(record.why, _LONGEST_WARNING)
    if record.state == "done":
        return f"done in {_seconds_in_words(record.seconds)}"
    return f"{record.state}: {why}" if why else record.state


def _seconds_in_words(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration_in_words(seconds)


def _labelled(label: str, text: str) -> str:
    return f"{label:<13}{text}"


def _style(record: Record) -> str:
    state = getattr(record, "state", record.kind)
    return _STYLES.get(state, "")


def _bars(console: object) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    if not isinstance(console, Console):
        raise TypeError("a rich console is needed")
    return RichProgress(
        TextColumn("{task.description:<12}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[amount]}", markup=False),
        TextColumn("{task.fields[speed]}", markup=False),
        TextColumn("{task.fields[doing]}", markup=False, style="dim"),
        console=console,
        transient=True,
        refresh_per_second=4,
    )
