"""A thread that appends lines to a file, so that nobody else waits for the disk.

While the disk refuses, lines wait in bounded memory and are tried again; where memory ends, the
least important ones are given up and counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from pipeline.engine.append_file import AppendFile
from pipeline.engine.log_reader import Place

MOST_WAITING_BYTES = 16 * 2**20
FIRST_RETRY_S, LAST_RETRY_S = 0.25, 5.0
Job = Callable[[Place], None]


class Rank(IntEnum):
    """How important a line is: the lowest are given up first, the highest are synced."""

    THINNED = 0
    ORDINARY = 1
    STATE = 2


@dataclass(frozen=True, eq=False)
class _Line:
    text: bytes
    rank: Rank


@dataclass(frozen=True, eq=False)
class _Task:
    """Something to do between two lines."""

    job: Job
    durable: bool
    done: Future[None]


class LineWriter:
    """Appends lines to a file behind a place, in a thread of its own.

    Raises OSError where the file cannot be opened.
    """

    def __init__(self, path: Path, place: Place) -> None:
        self._file = AppendFile(path, place.offset)
        self._place = place
        self._changed = threading.Condition()
        self._queue: deque[_Line | _Task] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._error: OSError | None = None
        self._give_up_at: float | None = None  # on the monotonic clock; set by `close`
        self._thread = threading.Thread(target=self._work, name="line writer", daemon=True)
        self._thread.start()

    @property
    def error(self) -> OSError | None:
        """Why the lines that wait cannot be written at present; None while all is well."""
        return self._error

    def take_dropped(self) -> int:
        """The number of lines that were given up since the last call; 0 while the disk refuses."""
        with self._changed:
            if self._error is not None:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def put(self, text: bytes, rank: Rank) -> None:
        """Append a line soon."""
        with self._changed:
            self._queue.append(_Line(text, rank))
            self._waiting_bytes += len(text)
            if self._waiting_bytes > MOST_WAITING_BYTES:
                self._shed()
            self._changed.notify()

    def after(self, job: Job, *, durable: bool = False) -> Future[None]:
        """Call `job` in the writer's thread when all lines so far are written (durable: and
        synced), with the place behind them. Its error becomes the future's."""
        task = _Task(job, durable, Future())
        with self._changed:
            self._queue.append(task)
            self._changed.notify()
        return task.done

    def close(self, patience_s: float) -> None:
        """Write and sync what waits, and end; tries for `patience_s` where the disk refuses.

        Raises OSError where it refused to the end: the lines that waited are lost.
        """
        last = self.after(_nothing, durable=True)
        with self._changed:
            self._give_up_at = time.monotonic() + patience_s
            self._changed.notify()
        self._thread.join()
        self._file.close()
        if not last.done():
            for left in self._queue:
                if isinstance(left, _Task):
                    left.done.cancel()
            raise self._error or OSError("the writer's thread died")

    def _shed(self) -> None:
        """Give up the oldest lines of the lowest rank, until a quarter of the memory is free."""
        for rank in Rank:
            kept: deque[_Line | _Task] = deque()
            for item in self._queue:
                too_much = self._waiting_bytes > MOST_WAITING_BYTES * 3 // 4
                if too_much and isinstance(item, _Line) and item.rank == rank:
                    self._waiting_bytes -= len(item.text)
                    self._dropped += 1
                else:
                    kept.append(item)
            self._queue = kept

    def _work(self) -> None:
        retry_s = FIRST_RETRY_S
        while batch := self._next_batch():
            try:
                self._write(batch)
            except OSError as error:
                self._error = error
                if not self._try_again(batch, retry_s):
                    return
                retry_s = min(2 * retry_s, LAST_RETRY_S)
            else:
                retry_s = FIRST_RETRY_S

    def _next_batch(self) -> list[_Line | _Task]:
        """The next lines, up to and with the first task; empty when all is done.

        Not too many: what is on its way cannot be given up.
        """
        batch: list[_Line | _Task] = []
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._give_up_at is not None)
            room = MOST_WAITING_BYTES // 16
            while self._queue and room > 0:
                item = self._queue.popleft()
                batch.append(item)
                room = 0 if isinstance(item, _Task) else room - len(item.text)
        return batch

    def _write(self, batch: list[_Line | _Task]) -> None:
        lines = [item.text for item in batch if isinstance(item, _Line)]
        task = batch[-1] if isinstance(batch[-1], _Task) else None
        durable = any(isinstance(item, _Line) and item.rank is Rank.STATE for item in batch)
        self._file.append(b"".join(lines), durable=durable or (task is not None and task.durable))
        self._place = self._place.after(*lines)
        with self._changed:
            self._waiting_bytes -= sum(map(len, lines))
            self._error = None
        if task is not None:
            _carry_out(task, self._place)

    def _try_again(self, batch: list[_Line | _Task], wait_s: float) -> bool:
        """Put the batch back and wait, at most until `close`; false when its patience has ended."""
        with self._changed:
            self._queue.extendleft(reversed(batch))
            if self._give_up_at is None:
                self._changed.wait_for(lambda: self._give_up_at is not None, wait_s)
                return True
            left_s = self._give_up_at - time.monotonic()
        if left_s > 0:
            time.sleep(min(wait_s, left_s))
        return left_s > 0


def _carry_out(task: _Task, place: Place) -> None:
    if not task.done.set_running_or_notify_cancel():
        return  # nobody waits for it any more
    try:
        task.job(place)
    except Exception as error:  # it belongs to whoever asked for the job
        task.done.set_exception(error)
    else:
        task.done.set_result(None)


def _nothing(place: Place) -> None:
    """The job of a task that only waits."""
