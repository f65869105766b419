"""Progress of a run: bars with rate and time left in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from pipeline.events import Progress, Record, StageChanged, Warned

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES = 2.0
_LONGEST_DOING = 40


class Display(Protocol):
    """Shows the records of a run; called with the stage's name and the record."""

    def __call__(self, stage: str, record: Record) -> None: ...


@contextmanager
def progress_display(stream: IO[str]) -> Iterator[Display]:
    """Bars where the stream is a terminal, plain lines elsewhere."""
    if not stream.isatty():
        yield PlainLines(stream)
        return
    from rich.console import Console

    console = Console(file=stream)
    with _bars(console) as bars:
        yield LiveBars(bars)


class PlainLines:
    """A line when a stage begins or ends, for warnings, and every two seconds in between."""

    def __init__(self, stream: IO[str] = sys.stdout) -> None:
        self._stream = stream
        self._last = 0.0
        self._rate = Rate()

    def __call__(self, stage: str, record: Record) -> None:
        """Show one record."""
        now = time.monotonic()
        if isinstance(record, StageChanged):
            self._rate = Rate()
            self._last = now
            self._say(stage, state_in_words(record))
        elif isinstance(record, Warned):
            self._say(stage, warning_in_words(record))
        elif isinstance(record, Progress):
            self._rate.add(record.done, now)
            if now - self._last >= _SECONDS_BETWEEN_LINES:
                self._last = now
                self._say(stage, progress_in_words(record, self._rate))

    def _say(self, stage: str, text: str) -> None:
        self._stream.write(f"{stage:<13}{text}\n")
        self._stream.flush()


class LiveBars:
    """A bar for each stage that runs; finished stages stay above it as lines."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def __call__(self, stage: str, record: Record) -> None:
        """Show one record."""
        from rich.text import Text

        if isinstance(record, StageChanged):
            if self._task is not None:
                self._bars.remove_task(self._task)
                self._task = None
            if record.state == "started":
                self._task = self._bars.add_task(stage, total=None, unit="", doing=record.why)
            else:
                line = Text(f"{stage:<13}{state_in_words(record)}", style=_STYLES[record.state])
                self._bars.console.print(line)
        elif isinstance(record, Warned):
            text = Text(f"{stage:<13}{warning_in_words(record)}", style="yellow")
            self._bars.console.print(text)
        elif isinstance(record, Progress) and self._task is not None:
            self._bars.update(
                self._task,
                completed=record.done,
                total=record.total,
                unit=record.unit,
                doing=_one_line(record.doing),
                refresh=True,
            )


_STYLES = {"done": "green", "skipped": "dim", "failed": "bold red", "stopped": "yellow"}


class Rate:
    """Items a second since the first progress record of a stage."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def add(self, done: int, now: float) -> None:
        """Note that `done` items were finished at the time `now` in seconds."""
        self._first = self._first or (done, now)
        self._last = (done, now)

    @property
    def per_second(self) -> float | None:
        """None while there is nothing to tell it from."""
        if self._first is None or self._last[1] <= self._first[1]:
            return None
        rate = (self._last[0] - self._first[0]) / (self._last[1] - self._first[1])
        return rate if rate > 0 else None


def state_in_words(record: StageChanged) -> str:
    """What became of a stage, for one line."""
    if record.state == "done":
        return f"done in {record.seconds:.1f} s"
    return f"{record.state}: {record.why}" if record.why else record.state


def warning_in_words(record: Warned) -> str:
    """A warning for one line."""
    subject = f"{_one_line(record.subject, 200)}: " if record.subject else ""
    return f"warning: {subject}{_one_line(record.message, 500)}"


def progress_in_words(record: Progress, rate: Rate) -> str:
    """Done, rate, time left and what happens now, for one line."""
    of = f"/{record.total}" if record.total is not None else ""
    parts = [f"{record.done}{of} {record.unit}"]
    if rate.per_second is not None:
        parts.append(f"{rate.per_second:.1f}/s")
        if record.total is not None:
            parts.append(f"{(record.total - record.done) / rate.per_second:.0f} s left")
    if record.doing:
        parts.append(_one_line(record.doing))
    return "  ".join(parts)


def _one_line(text: str, longest: int = _LONGEST_DOING) -> str:
    """Text of photographs' names, which may hold newlines, cut to a length."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _bars(console: object) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class DoneColumn(ProgressColumn):
        """Finished items, their unit, and items a second."""

        def render(self, task: Task) -> Text:
            of = f"/{int(task.total)}" if task.total is not None else ""
            speed = f"  {task.speed:.1f}/s" if task.speed else ""
            unit = task.fields["unit"]
            return Text(f"{int(task.completed)}{of} {unit}{speed}" if unit else "")

    if not isinstance(console, Console):
        raise TypeError("a rich console is needed")
    return RichProgress(
        TextColumn("{task.description:<12}", markup=False),
        BarColumn(bar_width=30),
        DoneColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[doing]}", markup=False, style="dim"),
        console=console,
        transient=True,
        refresh_per_second=4,
    )
