"""What the engine costs: the same photographs through it and through the plain runner, in turn; and
through an engine with clients that take nothing.

``python -m tests.bench.bench_engine [PHOTOGRAPHS [ROUNDS]]`` on the sample scene; all of its
photographs, five rounds. Ends with 1 where a bar is missed. It wants an idle machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.runtime import find_engine
from pipeline.machine import usable_cores
from pipeline.request import GivenPaths, RunRequest
from pipeline.thread_limits import thread_limits
from tests.engine_runs import CHECKOUT, STREAM_REQUEST, Host, engine_of, own_host
from tests.run_files import model_files
from tui.launch import ENGINE_COMMAND

DESK = CHECKOUT / "sample_scenes" / "desk" / "images"
PHOTOGRAPHS = 36
FEW = 4
ROUNDS = 5
STARTS = 7
MOST_EXTRA_SHARE, MOST_EXTRA_S = 0.03, 1.5
MOST_READY_S = 0.7
_TICKS = os.sysconf("SC_CLK_TCK")
_HEAVY = re.compile(r"/(torch|open3d|cv2|numba|llvmlite|numpy|scipy|textual)/")


@dataclass(frozen=True)
class Life:
    """A living process: memory now and at most in MB, processor seconds, and which of the heavy
    libraries are loaded into it."""

    rss_mb: float
    peak_rss_mb: float
    cpu_s: float
    heavy: frozenset[str]


class Watch:
    """Looks at the engine of a run until it ends; `last` is what was seen last."""

    def __init__(self, root: Path) -> None:
        self.last: Life | None = None
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            engine = find_engine(self._root)
            if engine is not None:
                with suppress(OSError):  # it has ended meanwhile
                    self.last = life_of(engine.identity.pid)


def life_of(pid: int) -> Life:
    """What the system tells of a living process. Raises OSError if it has ended."""
    folder = Path(f"/proc/{pid}")
    status = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+)", (folder / "status").read_text(), re.M))
    heavy = frozenset(_HEAVY.findall((folder / "maps").read_text()))
    return Life(int(status["VmRSS"]) / 1024, int(status["VmHWM"]) / 1024, cpu_s_of(pid), heavy)


def cpu_s_of(pid: int) -> float:
    """Processor seconds that a process has used. Raises OSError if it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def copied_photos(folder: Path, count: int) -> Path:
    """The first photographs of the sample scene in a folder of their own."""
    folder.mkdir()
    for photo in sorted(DESK.iterdir())[:count]:
        shutil.copy(photo, folder)
    return folder


def timed(host: Host, *arguments: str) -> float:
    """Wall seconds of a command. Raises RuntimeError with its words if it fails."""
    begin = time.perf_counter()
    called = host.call(*arguments)
    seconds = time.perf_counter() - begin
    if called.code:
        raise RuntimeError(f"{' '.join(arguments)} ended with {called.code}:\n{called.err}")
    return seconds


def timed_plain(photos: Path, out: Path) -> float:
    """Wall seconds of the plain runner, in a process with the same limits as a worker has."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-P", "-m", "tests.bench.plain_run", str(photos), str(out)],
        env={**os.environ, **thread_limits(usable_cores()), "PYTHONPATH": str(CHECKOUT)},
        check=True,
    )
    return time.perf_counter() - begin


@contextmanager
def started_engine(request: RunRequest) -> Iterator[tuple[float, float]]:
    """An engine as `barfield run` starts it: wall and processor seconds until it is ready."""
    heard, ready = os.pipe()
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*ENGINE_COMMAND, "--ready-fd", str(ready)],
        stdin=subprocess.PIPE,
        pass_fds=(ready,),
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    os.close(ready)
    assert process.stdin is not None
    with process.stdin as pipe:
        pipe.write(json.dumps(request.model_dump(mode="json")).encode())
    with os.fdopen(heard, "rb") as answer:
        told = answer.readline()
    seconds, cpu_s = time.perf_counter() - begin, cpu_s_of(process.pid)
    try:
        if b'"ok"' not in told:
            raise RuntimeError(f"the engine is not ready: {told!r}")
        yield seconds, cpu_s
    finally:
        process.terminate()
        process.wait()


def starts(photos: Path, folder: Path) -> list[tuple[float, float]]:
    """Wall and processor seconds from the start of an engine until it is ready, several times."""
    found = []
    for number in range(STARTS):
        out = folder / f"start{number}"
        request = RunRequest(paths=GivenPaths(photos=photos), out=out, until="ingest")
        with started_engine(request) as seconds:
            found.append(seconds)
    return found


@contextmanager
def clients_that_take_nothing(host: Host, root: Path) -> Iterator[None]:
    """A stream that nobody reads, and a terminal that is stopped, for the time of the block."""
    engine = engine_of(root)
    attached = host.start("attach", str(root), stdout=subprocess.PIPE)
    assert attached.stdout is not None
    attached.stdout.readline()
    attached.send_signal(signal.SIGSTOP)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(engine.socket))
        deaf.sendall(STREAM_REQUEST)
        yield
    attached.kill()


def timed_engine(host: Host, photos: Path, out: Path, *, stalled: bool) -> tuple[float, Life]:
    """Wall seconds of a whole `barfield run`, and its engine near the end. stalled: it also has
    clients that take nothing."""
    with ExitStack() as stack:
        watch = stack.enter_context(Watch(out))
        begin = time.perf_counter()
        place = ("--out", str(out))
        command = host.start("run", str(photos), *place, "--until", "mapping", "--headless")
        if stalled:
            stack.enter_context(clients_that_take_nothing(host, out))
        if code := command.wait():
            raise RuntimeError(f"the run ended with {code}: see {out / 'engine.log'}")
        seconds = time.perf_counter() - begin
    assert watch.last is not None, "the engine was never seen"
    return seconds, watch.last


def compare(host: Host, photos: Path, folder: Path, rounds: int) -> bool:
    """All ways in turn; prints the table. Whether the engine's bars are kept."""
    taken: dict[str, list[float]] = {way: [] for way in ("plain", "engine", "stalled")}
    print(f"{'round':<9}{'plain s':>9}{'engine s':>10}{'stalled s':>11}{'its cpu s':>11}{'MB':>5}")
    for number in range(rounds):
        outs = {way: folder / f"{way}{number}" for way in taken}
        taken["plain"].append(timed_plain(photos, outs["plain"]))
        for way in ("engine", "stalled"):
            seconds, life = timed_engine(host, photos, outs[way], stalled=way == "stalled")
            taken[way].append(seconds)
            if life.heavy:
                print(f"loaded by the engine: {', '.join(sorted(life.heavy))}")
                return False
            if model_files(outs[way]) != model_files(outs["plain"]):
                print("the models DIFFER")
                return False
        _print_row(f"{number + 1}", [taken[way][-1] for way in taken])
        print(f"{life.cpu_s:>11.2f}{life.peak_rss_mb:>5.0f}", flush=True)
    medians = [statistics.median(seconds) for seconds in taken.values()]
    _print_row("median", medians)
    plain_s, *others_s = medians
    most_s = MOST_EXTRA_SHARE * plain_s + MOST_EXTRA_S
    print(f"\n{'more':<18}{''.join(f'{s - plain_s:>+10.2f}' for s in others_s)}", end="")
    print(f"   at most {most_s:+.2f}")
    return all(seconds - plain_s <= most_s for seconds in others_s)


def _print_row(label: str, seconds: list[float]) -> None:
    print(f"{label:<9}{seconds[0]:>9.2f}{seconds[1]:>10.2f}{seconds[2]:>11.2f}", end="")


def be_ready(host: Host, photos: Path, folder: Path, done: Path) -> bool:
    """How fast everything answers; prints it. Whether the engine is ready in time."""
    walls, cpus = zip(*starts(photos, folder), strict=True)
    detach_s = timed(host, "run", str(photos), "--out", str(folder / "detached"), "--detach")
    living_s = statistics.median(timed(host, "status", str(folder / "detached")) for _ in range(5))
    host.call("stop", str(folder / "detached"))
    ended_s = statistics.median(timed(host, "status", str(done)) for _ in range(5))
    ready_s: float = statistics.median(walls)
    print(f"engine ready after           {ready_s:.2f} s, best {min(walls):.2f} s")
    print(f"  of these on the processor  {statistics.median(cpus):.2f} s")
    print(f"barfield run --detach        {detach_s:.2f} s")
    print(f"barfield status              {living_s:.2f} s, of a run that has ended {ended_s:.2f} s")
    return ready_s <= MOST_READY_S


def main() -> None:
    """Print what came of it; ends with 1 where a bar is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PHOTOGRAPHS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with tempfile.TemporaryDirectory() as name, own_host() as host:
        folder = Path(name)
        photos, few = (copied_photos(folder / str(number), number) for number in (count, FEW))
        timed_plain(few, folder / "warm")  # compiles the kernels, and has them in the file cache
        fast = be_ready(host, few, folder, folder / "warm")
        cheap = compare(host, photos, folder, rounds)
    sys.exit(0 if fast and cheap else 1)


if __name__ == "__main__":
    main()
