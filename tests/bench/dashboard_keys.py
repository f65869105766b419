"""How long the dashboard's keys take to answer while a thousand events a second arrive."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import fake_engine_process
from tests.bench import flooding_worker
from tests.engine_runs import FAKE_BARFIELD, Host, own_host
from tests.fake_host import write_photographs
from tests.tui.visit import is_line
from tests.tui.watched import WatchedTerminal, watched
from tui import launch

PHOTOGRAPHS = 300
MOST_ANSWER_S = 0.1
_COLUMNS = f"{'median':>8}{'p95':>8}{'max':>8}"
_PAUSE_S = 0.13  # between two keys; no multiple of the dashboard's own turns


@dataclass(frozen=True)
class Press:
    """A key. answered: what the screen shows once it has been understood; None: anything new, on
    screens that stay as they are by themselves. complete: what to wait for before the next key."""

    key: str
    answered: Callable[[str], bool] | None = None
    complete: Callable[[str], bool] | None = None


def is_run(text: str) -> bool:
    """Whether the run screen is shown."""
    return is_line("ingest", "done")(text)


def opens(key: str, complete: Callable[[str], bool]) -> Press:
    """A key that opens another screen from the run's."""
    return Press(key, lambda text: not is_run(text), complete)


# By screen, in the order of typing. The last key of each goes back to the run.
TOURS: dict[str, tuple[Press, ...]] = {
    "help": (opens("?", is_line("On this screen")), Press("?", is_run)),
    "log": (
        opens("l", is_line("Log", "following")),
        Press("e", is_line("Log", "warnings and errors")),
        Press("e", is_line("Log", "errors alone")),
        Press("e", is_line("Log", "all levels")),
        Press("g", lambda text: "all stages" not in text),
        Press("G", is_line("Log", "all stages")),
        Press("f", is_line("f follows")),
        Press("f", is_line("Log", "following")),
        Press("/", is_line("words to look for")),
        Press("9"),
        Press("\r", lambda text: "words to look for" not in text),
        Press("l", is_run),
    ),
    "parameters": (
        opens("p", is_line("Parameters", "revision")),
        *(Press("j") for _ in range(6)),
        *(Press("k") for _ in range(4)),
        *(Press("v") for _ in range(3)),
        Press("p", is_run),
    ),
    "photographs": (
        opens("i", is_line(f"{PHOTOGRAPHS} photographs")),
        *(Press("j") for _ in range(6)),
        Press("o"),
        Press("O"),
        Press("i", is_run),
    ),
    "report": (opens("r", is_line("what is known so far")), Press("r", is_run)),
}


@dataclass
class Answers:
    """The keys of a screen, with the seconds until each was answered, and with those of them in
    which the dashboard did not wait for a busy processor."""

    keys: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    own_s: list[float] = field(default_factory=list)

    def add(self, key: str, seconds: float, queued_s: float) -> None:
        """One more."""
        self.keys.append(key)
        self.seconds.append(seconds)
        self.own_s.append(seconds - queued_s)

    def row(self, name: str) -> str:
        """A line of the table, in milliseconds."""
        slowest = self.keys[self.own_s.index(max(self.own_s))]
        told = "".join(map(_figures, (self.seconds, self.own_s)))
        return f"{name:<13}{len(self.keys):>6}{told}   {slowest!r}"


def _figures(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    figures = (statistics.median(ordered), p95, ordered[-1])
    return "".join(f"{1000 * figure:>8.0f}" for figure in figures)


@contextmanager
def flooded_host(seconds: float) -> Iterator[Host]:
    """A host whose engines have fake stages that flood for so long."""
    before = dict(os.environ), launch.ENGINE_COMMAND
    os.environ |= {
        fake_engine_process.WORKER: flooding_worker.MODULE,
        flooding_worker.FLOOD_S: str(seconds),
    }
    vars(launch)["ENGINE_COMMAND"] = fake_engine_process.COMMAND
    try:
        with own_host(FAKE_BARFIELD) as host:
            yield host
    finally:
        os.environ.clear()
        os.environ.update(before[0])
        vars(launch)["ENGINE_COMMAND"] = before[1]


def queued_s(pid: int) -> float:
    """Seconds that the main thread of a process was ready to run, and others had the processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def answer_of(terminal: WatchedTerminal, press: Press) -> tuple[float, float]:
    """Press a key; the seconds until the screen shows that it was understood, and those of them
    in which the dashboard waited for a processor that others had."""
    terminal.watch(_PAUSE_S)
    before = terminal.screen.look
    queued = queued_s(terminal.process.pid)
    begin = time.perf_counter()
    terminal.type(press.key)
    terminal.until(press.answered or (lambda _: terminal.screen.look != before))
    seconds = time.perf_counter() - begin
    queued = queued_s(terminal.process.pid) - queued
    if press.complete is not None:
        terminal.until(press.complete)
    return seconds, queued


def measure(size: tuple[int, int], seconds: float) -> tuple[dict[str, Answers], float]:
    """The answers of each screen for so long, and the events that arrived in a second."""
    answers: dict[str, Answers] = {name: Answers() for name in TOURS}
    with tempfile.TemporaryDirectory() as folder, flooded_host(seconds + 30) as host:
        photos, run = write_photographs(Path(folder) / "photos", PHOTOGRAPHS), Path(folder) / "run"
        host.begin(photos, run)
        command = [*FAKE_BARFIELD, "attach", str(run)]
        with watched(command, size, os.environ) as terminal:
            terminal.until(is_line("▶ pairs"))
            terminal.watch(2.0)
            begin, before = time.perf_counter(), _logged(run)
            while time.perf_counter() < begin + seconds:
                for name, tour in TOURS.items():
                    for press in tour:
                        answers[name].add(press.key, *answer_of(terminal, press))
            rate = (_logged(run) - before) / (time.perf_counter() - begin)
            terminal.type("q")
            terminal.end()
        host.call("stop", str(run))
    return answers, rate


def _logged(run: Path) -> int:
    """How many events the run's log holds: those that every client is told of, one by one."""
    return (run / "events.jsonl").read_bytes().count(b"\n")


def print_keys(size: tuple[int, int], seconds: float) -> bool:
    """Measure and print; whether the bar is kept."""
    answers, rate = measure(size, seconds)
    print(f"\nkeys at {size[0]}x{size[1]}, {rate:.0f} events a second; milliseconds")
    print(f"{'':<19}{'all in all':>24}{'on a free processor':>24}")
    print(f"{'screen':<13}{'keys':>6}{_COLUMNS}{_COLUMNS}   slowest")
    every = Answers()
    for name, answer in answers.items():
        print(answer.row(name))
        every.keys += answer.keys
        every.seconds += answer.seconds
        every.own_s += answer.own_s
    print(every.row("all"), flush=True)
    return max(every.own_s) <= MOST_ANSWER_S
