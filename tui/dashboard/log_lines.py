"""The lines of a run's log, from its events and from what its stages print, in bounded memory."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.run_directory import stage_log
from tui.dashboard.model import Level, LogLine, Model
from tui.log_tail import LogTail

MOST_LINES = 20_000
ENGINE, RUN = "engine", "run"
LEVELS: tuple[Level, ...] = ("info", "warning", "error")
_LONGEST = 2000
_ERROR = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b|^Traceback|^\w+(\.\w+)*(Error|Exception)\b")
_WARNING = re.compile(r"\b(WARN|WARNING)\b|\w+Warning:")


@dataclass(frozen=True)
class LogEntry:
    """A line. number: grows by one from line to line. time: seconds since the epoch, None for what
    was printed before anybody looked. stage: its name, `run` or `engine`."""

    number: int
    time: float | None
    stage: str
    level: Level
    text: str


class PrintedLines:
    """Reads what the stages and the engine of a run print; call it in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tails: dict[str, LogTail] = {}

    def read(self, stages: Iterable[str]) -> list[tuple[float, str, str]]:
        """The new lines: when the file was last written, in seconds since the epoch, the stage, the
        text. Of the first look only the last ones; nothing where there is no file."""
        found = []
        for name in (*stages, ENGINE):
            path = self._root / "engine.log" if name == ENGINE else stage_log(self._root, name)
            tail = self._tails.setdefault(name, LogTail(path))
            try:
                lines = tail.new_lines()
                when = path.stat().st_mtime if lines else 0.0
            except OSError:
                continue
            found += [(when, name, line) for line in lines]
        return found


def level_of(printed: str) -> Level:
    """The level that a printed line tells of itself."""
    if _ERROR.search(printed):
        return "error"
    return "warning" if _WARNING.search(printed) else "info"


class LogLines:
    """The newest lines, and those of them that pass a filter. least: the lowest level that passes.
    stage: the only one that passes; "": all do."""

    def __init__(self) -> None:
        self.least: Level = "info"
        self.stage = ""
        self.shown: deque[LogEntry] = deque()
        self.dropped = 0  # of the shown ones, at their beginning, for want of room
        self.lost = 0  # lines that came too fast to be kept
        self._kept: deque[LogEntry] = deque(maxlen=MOST_LINES)
        self._next = 0
        self._told: deque[LogLine] | None = None  # the model's own lines, which end with its engine
        self._told_count = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def stages(self) -> list[str]:
        """The stages that have lines, in the order of these."""
        return list(dict.fromkeys(entry.stage for entry in self._kept))

    def take_events(self, model: Model) -> bool:
        """Take what the model has told since the last call; whether there is something new. Another
        engine's model is told from its beginning, and what was printed stays."""
        if self._told is not model.lines:
            self._told, self._told_count = model.lines, model.lines_seen - len(model.lines)
        new = model.lines_seen - self._told_count
        self._told_count = model.lines_seen
        self.lost += max(0, new - len(model.lines))
        for line in list(model.lines)[max(0, len(model.lines) - new) :] if new else ():
            self._add(line.time, line.stage or RUN, line.level, line.text)
        return new > 0

    def take_printed(self, lines: Sequence[tuple[float, str, str]], old: bool) -> bool:
        """Take lines as `PrintedLines` reads them; whether there are any. old: they were printed
        before anybody looked, so that they are put where the age of their file says."""
        if old:
            self._merge(lines)
        else:
            for when, stage, text in lines:
                self._add(when, stage, level_of(text), text)
        return bool(lines)

    def select(self, least: Level, stage: str) -> None:
        """Another filter."""
        self.least, self.stage = least, stage
        self.shown = deque(filter(self._passes, self._kept))

    def find(self, words: str, start: int, by: int) -> int | None:
        """The next of the shown lines, from `start` on in steps of `by`, that holds the words,
        without regard to case; None where none does."""
        wanted = words.lower()
        shown = list(self.shown)
        at = start
        while 0 <= at < len(shown):
            if wanted in shown[at].text.lower() or wanted in shown[at].stage:
                return at
            at += by
        return None

    def _add(self, time: float | None, stage: str, level: Level, text: str) -> None:
        entry = LogEntry(self._next, time, stage, level, text[:_LONGEST])
        self._next += 1
        self._kept.append(entry)
        if self._passes(entry):
            self.shown.append(entry)
        while self.shown and self.shown[0].number < self._kept[0].number:
            self.shown.popleft()
            self.dropped += 1

    def _merge(self, found: Sequence[tuple[float, str, str]]) -> None:
        """Put lines of unknown time before what was told after their file was last written."""
        old = [(entry.time or 0.0, entry) for entry in self._kept]
        new = [
            (when, LogEntry(0, None, stage, level_of(text), text[:_LONGEST]))
            for when, stage, text in found
        ]
        both = sorted([*new, *old], key=lambda pair: pair[0])
        self._kept.clear()
        self.shown.clear()
        for _, entry in both:
            self._add(entry.time, entry.stage, entry.level, entry.text)

    def _passes(self, entry: LogEntry) -> bool:
        loud = LEVELS.index(entry.level) >= LEVELS.index(self.least)
        return loud and self.stage in ("", entry.stage)
