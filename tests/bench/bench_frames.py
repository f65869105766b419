"""Novel views for many at a time: who reads slowly, who has a slow link, and what training pays.

``python -m tests.bench.bench_frames`` measures one row after the other, and ends with 1 where a bar
is missed: twelve viewers alone, and with four more that read slowly; one viewer through a link of
5 Mbit/s with a round trip of 80 ms, at three sizes; the steps a second of a training, without and
with sixteen viewers. It wants an idle machine.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from pipeline.engine.interface import Window
from pipeline.engine.orders import StopStage
from pipeline.engine.viewing import Viewing
from pipeline.engine.worker_process import WorkerProcess
from pipeline.view_requests import ViewFrame
from tests.bench.frames_load import Manner, Seen, ShowingEngine, look_from_outside
from tests.bench.slow_link import slow_link
from tests.engine import viewing_worker
from tests.engine.worker_bench import open_bench, order
from tests.viewer.fake_engine import ENGINE, FakeEngine
from viewer.access import Access
from viewer.app import create_app, serve

FAST, SLOW = 12, 4
SLOW_PAUSE_S = 2.0
SECONDS = 8.0
MOST_LOSS = 0.1  # of a fast viewer's pictures, by those that are slow
MOST_MB = 40.0  # that the server grows by
MOST_AGE_MS = 500
LINK_MBIT, LINK_TRIP_S = 5.0, 0.08
SIZES = ((640, 360), (1280, 720), (1920, 1080))
SHARE = 0.5  # `tests.engine.viewing_worker` renders for so much of its time


@asynccontextmanager
async def served(engine: FakeEngine, folder: Path) -> AsyncIterator[tuple[int, str]]:
    """A server of an engine: its port and a token."""
    access = Access.fresh(ENGINE)
    app = create_app(engine, access, client=folder / "none")
    async with serve(app, folder / "s" / "socket", ports=(0,)) as where:
        assert where.port is not None
        yield where.port, access.view_token


def rss_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def ages(seen: Sequence[Seen]) -> tuple[float, float, float]:
    """Median, 95 % and most, in ms."""
    told = sorted(age for one in seen for age in one.ages_ms)
    return median(told), told[int(0.95 * (len(told) - 1))], told[-1]


class Table:
    """Rows as they are measured, and whether they pass."""

    def __init__(self) -> None:
        self.missed = 0
        print(f"{'':52} {'pictures/s':>10} {'age ms: p50':>12} {'p95':>6} {'most':>6}  bar")

    def row(self, name: str, seen: Sequence[Seen], bar: str = "", ok: bool = True) -> float:
        """One row; pictures a second of each viewer."""
        rate = sum(len(one.ages_ms) for one in seen) / len(seen) / SECONDS
        middle, late, most = ages(seen)
        self.line(name, f"{rate:10.1f} {middle:12.0f} {late:6.0f} {most:6.0f}", bar, ok)
        return rate

    def line(self, name: str, value: str, bar: str, ok: bool) -> None:
        """One line with what was measured, and whether it passes."""
        self.missed += not ok
        verdict = f"{bar}: {'ok' if ok else 'MISSED'}" if bar else ""
        print(f"{name:52} {value:>10}  {verdict}", flush=True)


async def crowd(table: Table, folder: Path) -> None:
    """Fast viewers, alone and beside slow ones."""
    engine = ShowingEngine()
    showing = asyncio.create_task(engine.show())
    fast = Manner(seconds=SECONDS)
    slow = Manner(seconds=SECONDS, pause_s=SLOW_PAUSE_S)
    async with served(engine, folder) as (port, token):
        base = f"http://127.0.0.1:{port}"
        await look_from_outside(base, token, [Manner(seconds=1.0)])
        alone = await look_from_outside(base, token, [fast] * FAST)
        rate_alone = table.row(f"{FAST} viewers at 640x360", alone)
        gc.collect()
        before = rss_mb()
        most = asyncio.create_task(_most_memory())
        both = await look_from_outside(base, token, [fast] * FAST + [slow] * SLOW)
        grown = await _stopped(most) - before
        rate = sum(len(one.ages_ms) for one in both[:FAST]) / FAST / SECONDS
        ok = rate >= (1.0 - MOST_LOSS) * rate_alone
        bar = f">= {(1.0 - MOST_LOSS) * rate_alone:.1f}"
        table.row(f"the same beside {SLOW} that read slowly", both[:FAST], bar, ok)
        table.row(f"those {SLOW}", both[FAST:])
        table.line(
            "memory of the server grows by",
            f"{grown:.1f} MB",
            f"<= {MOST_MB:.0f} MB",
            grown <= MOST_MB,
        )
    showing.cancel()


async def _most_memory() -> float:
    most = 0.0
    while True:
        most = max(most, rss_mb())
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return most


async def _stopped(task: asyncio.Task[float]) -> float:
    task.cancel()
    return await task


async def link(table: Table, folder: Path) -> None:
    """One viewer far away, whose camera moves, and one whose camera rests now and then."""
    engine = ShowingEngine()
    showing = asyncio.create_task(engine.show())
    async with served(engine, folder) as (port, token):
        with slow_link(port, LINK_MBIT, LINK_TRIP_S) as way:
            base = f"http://127.0.0.1:{way.port}"
            for width, height in SIZES:
                for words, rests in (("camera moves", False), ("rests each second", True)):
                    manner = Manner(SECONDS, width, height, 1.0 if rests else 15.0, rests=rests)
                    seen = await look_from_outside(base, token, [manner])
                    ok = max(seen[0].ages_ms) <= MOST_AGE_MS
                    name = f"{width}x{height} through {LINK_MBIT:g} Mbit/s, {words}"
                    table.row(name, seen, f"<= {MOST_AGE_MS} ms", ok)
    showing.cancel()


class TrainingEngine(FakeEngine):
    """Its viewers look at what a worker trains."""

    def __init__(self) -> None:
        super().__init__()
        self.viewing = Viewing(_no_worker, lambda: False)

    def look(self) -> Window:
        return self.viewing.open()


async def _no_worker(preload: tuple[str, ...]) -> WorkerProcess:
    raise NotImplementedError


async def training(table: Table, folder: Path) -> None:
    """Steps a second, with one look at the beginning and the end, and with sixteen that look on."""
    bench = open_bench(folder)
    bench.command = viewing_worker.COMMAND
    engine = TrainingEngine()

    class Delivering(list[ViewFrame]):
        def append(self, frame: ViewFrame) -> None:
            engine.viewing.deliver(frame)

    bench.views = Delivering()
    with bench.directory:
        async with bench.worker() as worker, served(engine, folder) as (port, token):
            stage = asyncio.create_task(worker.run_stage(order("ingest")))
            engine.viewing.attach(worker)
            base = f"http://127.0.0.1:{port}"
            few = Manner(seconds=SECONDS, cameras_per_s=2.0, width=64, height=36)
            many = Manner(seconds=SECONDS, cameras_per_s=15.0)
            alone = _steps_per_s((await look_from_outside(base, token, [few]))[0])
            watched_by = await look_from_outside(base, token, [many] * (FAST + SLOW))
            watched = max(map(_steps_per_s, watched_by))
            loss = 1.0 - watched / alone
            bar = f"<= {SHARE:.2f} of {alone:.0f}/s"
            table.line(
                f"training loses, with {FAST + SLOW} viewers",
                f"{loss:.2f}",
                bar,
                loss <= SHARE + 0.03,
            )
            worker.order(StopStage())
            await stage


def _steps_per_s(seen: Seen) -> float:
    (begin, first), (end, last) = seen.steps[0], seen.steps[-1]
    return (last - first) / (end - begin)


async def main() -> int:
    """All rows."""
    table = Table()
    for part in (crowd, link, training):
        with tempfile.TemporaryDirectory(prefix="bf-") as folder:
            await part(table, Path(folder))
    return 1 if table.missed else 0


if __name__ == "__main__":
    begin = time.monotonic()
    code = asyncio.run(main())
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(code)
