"""A journal under load, in a process of its own: `python -m tests.engine.load ROOT`.

Tells ten thousand records a second for some seconds, and prints what it measured as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.events import Handle
from itertools import count
from pathlib import Path

from pipeline.engine.journal import Journal
from pipeline.events import Metric, Progress, Record, Report, RunChanged, StageChanged, Warned
from tests.engine.journals import open_journal

RECORDS_A_SECOND = 10_000
FRAMES_A_SECOND = 20
METRICS_IN_TEN = 7
SECONDS_TO_WARM_UP = 1.0
SECONDS = 5.0
SERIES = 21


def frame(number: int) -> list[Record]:
    """The records of a frame: mostly metrics, some of everything else."""
    size = RECORDS_A_SECOND // FRAMES_A_SECOND
    return [record(index) for index in range(number * size, (number + 1) * size)]


def record(index: int) -> Record:
    kind = index % 10
    if kind < METRICS_IN_TEN:
        return Metric(f"m{index % SERIES}", float(index), index // SERIES)
    if kind == METRICS_IN_TEN:
        return Progress(index, None, "steps", f"item {index}")
    if kind == METRICS_IN_TEN + 1:
        return Warned(f"odd {index} " + "x" * 200, "photo.jpg")
    return Report({"at": index, "list": list(range(20))})


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def time_callbacks() -> list[float]:
    """From now on, the processor seconds of each callback of the event loop. Not the wall's: other
    programs may be running."""
    seconds: list[float] = []
    run = Handle._run

    def timed(handle: Handle) -> None:
        begin = time.thread_time()
        run(handle)
        seconds.append(time.thread_time() - begin)

    Handle._run = timed  # type: ignore[assignment, method-assign]
    return seconds


async def flood(journal: Journal, frames: range) -> None:
    """Tell frames at a steady pace."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in frames:
        records = frame(number)
        await asyncio.sleep(max(0.0, begin + (number - frames[0]) / FRAMES_A_SECOND - loop.time()))
        journal.tell_many("mapping", records)


async def follow(journal: Journal, batches: list[tuple[float, int]]) -> None:
    """A client that keeps up: when its batches came and how long they were."""
    place = journal.subscribe()
    for _ in count():
        batch = await place.next_batch()
        batches.append((asyncio.get_running_loop().time(), -1 if batch is None else len(batch)))


async def main(root: Path) -> None:
    """Load a journal; print the figures."""
    async with open_journal(root) as journal:
        journal.tell("", RunChanged("starting"))
        journal.tell("mapping", StageChanged("mapping", "started"))
        stalled = journal.subscribe()
        batches: list[tuple[float, int]] = []
        following = asyncio.create_task(follow(journal, batches))
        warm = int(SECONDS_TO_WARM_UP * FRAMES_A_SECOND)
        last = warm + int(SECONDS * FRAMES_A_SECOND)
        await flood(journal, range(warm))  # what grows once has grown
        before_mb = resident_mb()
        batches.clear()
        callbacks = time_callbacks()
        await flood(journal, range(warm, last))
        after_mb = resident_mb()
        following.cancel()
        late = await stalled.next_batch()
        journal.tell("mapping", StageChanged("mapping", "done"))
        again = await stalled.next_batch()
    figures = {
        "resident_mb": after_mb,
        "grown_mb": after_mb - before_mb,
        "longest_callback_s": max(callbacks),
        "batches_a_second": (len(batches) - 1) / (batches[-1][0] - batches[0][0]),
        "batch_sizes": [size for _, size in batches],
        "late": None if late is None else len(late),
        "again": None if again is None else len(again),
        "values": last * RECORDS_A_SECOND // FRAMES_A_SECOND * METRICS_IN_TEN // 10,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
