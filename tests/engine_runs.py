"""Real engines for tests: `barfield` as a process, on a host that knows no other runs.

All that is started through a `Host`, engines and workers too, is found again by its environment,
however it came loose from its parents.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pipeline.engine.messages import RunView, StageView
from pipeline.engine.runtime import EngineFile, find_engine
from pipeline.engine.state import read_view
from pipeline.events import ENDED
from pipeline.process_identity import ProcessIdentity
from pipeline.request import GivenPaths, RunRequest
from tui.cli import main
from tui.client import EngineClient, EngineGone
from tui.launch import start_engine

CHECKOUT = Path(__file__).resolve().parents[1]
BARFIELD = (sys.executable, "-m", "tui.cli")
FAKE_BARFIELD = (sys.executable, "-m", "tests.fake_cli")
MOST_SECONDS = 120.0
# How a client of the stream begins that need not read the answer.
STREAM_REQUEST = (
    b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
T = TypeVar("T")
_PLACES = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME")


class Called(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Host:
    """Runtime and state folders of its own. program: what stands for `barfield`."""

    def __init__(self, folder: Path, program: tuple[str, ...]) -> None:
        self._mark = f"{_PLACES[0]}={folder}".encode()
        self._program = program
        self._started: list[subprocess.Popen[Any]] = []

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in a session of its own; its output is thrown away unless `options`
        (of subprocess) say otherwise."""
        nowhere: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        process: subprocess.Popen[str] = subprocess.Popen(
            [*self._program, *arguments],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            start_new_session=True,
            text=True,
            **{**nowhere, **options},
        )
        self._started.append(process)
        return process

    def call(self, *arguments: str) -> Called:
        """Run a command to its end."""
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=MOST_SECONDS)
        return Called(process.returncode, out, err)

    def call_here(self, *arguments: str) -> Called:
        """Run a command to its end in this process, which has imported it already."""
        out, err = io.StringIO(), io.StringIO()
        before, sys.argv = sys.argv, ["barfield", *arguments]
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as end:
            return Called(int(end.code or 0), out.getvalue(), err.getvalue())
        finally:
            sys.argv = before
        raise AssertionError("a command ends with an exit code")

    def begin(self, photos: Path, run: Path, port: int | None = None) -> EngineFile:
        """Start the engine of a run, as `run --detach` does. port: where it listens besides."""
        request = RunRequest(paths=GivenPaths(photos=photos), out=run)
        started = start_engine(request, port=port)
        self._started.append(started.process)
        return started.engine

    def wait_until_empty(self) -> None:
        """Wait until nothing that was started here is left, and see that nothing is."""
        until(lambda: not self.processes())

    def processes(self) -> list[int]:
        """All living processes that were started on this host, by whatever way."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                with suppress(OSError):
                    variables = (folder / "environ").read_bytes().split(b"\0")
                    if self._mark in variables:
                        found.append(int(folder.name))
        return found

    def clear(self) -> None:
        """Kill what is left of all that was started."""
        killed = set()
        while left := self.processes():
            for pid in left:
                kill(pid)
            killed.update(left)
        # What ends has no environment any more a moment before it counts as ended.
        until(lambda: all(map(gone, killed)))
        for process in self._started:
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


@contextmanager
def own_host(program: tuple[str, ...] = BARFIELD) -> Iterator[Host]:
    """A host for the time of the block; nothing that was started there outlives it."""
    before = {name: os.environ.get(name) for name in _PLACES}
    # Short, because the path of a socket has to be.
    with tempfile.TemporaryDirectory(prefix="bf-") as folder:
        os.environ.update(dict.fromkeys(_PLACES, folder))
        host = Host(Path(folder), program)
        try:
            yield host
        finally:
            host.clear()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def engine_of(root: Path) -> EngineFile:
    """The engine of a run, once there is one."""
    return until(lambda: find_engine(root))


def state_of(root: Path) -> RunView | None:
    """What the living engine of a run says, or None."""
    engine = find_engine(root)
    try:
        return None if engine is None else EngineClient(engine.socket).state()
    except EngineGone:
        return None


def view_in(root: Path, *states: str) -> RunView:
    """What the engine of a run says, or said at its end, as soon as the run is in one of these
    states."""

    def looked() -> RunView | None:
        view = state_of(root)
        if view is None:
            left = read_view(root)
            view = left if left is not None and left.state in ENDED else None
        return view if view is not None and view.state in states else None

    return until(looked)


def stage_of(view: RunView, name: str) -> StageView:
    """A stage as that view has it."""
    return next(stage for stage in view.stages if stage.name == name)


def progress_of(root: Path, stage: str) -> int:
    """How many items or steps of a stage are done."""
    view = state_of(root)
    stages = {} if view is None else {entry.name: entry for entry in view.stages}
    return stages[stage].done if stage in stages else 0


def workers_of(engine_pid: int) -> dict[int, str]:
    """The worker processes of an engine, with the stage that each has in hand ("": none)."""
    children: list[str] = []
    for thread in Path(f"/proc/{engine_pid}/task").glob("*"):  # any of them may have started one
        with suppress(OSError):
            children += (thread / "children").read_text().split()
    return {int(pid): _stage_at_hand(int(pid)) for pid in children}


def _stage_at_hand(pid: int) -> str:
    """A worker prints into the log of its stage, `stages/NAME/stdout.log`."""
    try:
        printing_to = Path(f"/proc/{pid}/fd/1").readlink()
    except OSError:
        return ""
    return printing_to.parent.name if printing_to.name == "stdout.log" else ""


def peak_rss_mb(pid: int) -> float:
    """The most memory in MB that a living process has used so far. Raises OSError if it is gone."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise ProcessLookupError(f"{pid} waits to be reaped")
    return int(found[1]) / 1024


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    return ProcessIdentity.of(pid) is None


def until(found: Callable[[], T | None], most_s: float = MOST_SECONDS, every_s: float = 0.03) -> T:
    """Wait for something that is true; TimeoutError if it does not come. every_s: to look more
    often costs what is waited for its time."""
    last = time.monotonic() + most_s
    while not (result := found()):
        if time.monotonic() > last:
            raise TimeoutError
        time.sleep(every_s)
    return result


def states_in_log(root: Path, stage: str) -> list[str]:
    """The states that a stage has gone through, by the run's log of events."""
    events = [json.loads(line) for line in (root / "events.jsonl").read_text().splitlines()]
    return [e["state"] for e in events if e["kind"] == "stage" and e["stage"] == stage]
