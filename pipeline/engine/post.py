"""A worker's post: orders come in and sayings go out in threads of their own.

The thread that does the work never waits for the engine, unless the engine is far behind.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.engine.channel import (
    MOST_BODY_BYTES,
    MOST_HEADER_BYTES,
    BrokenChannel,
    Parcel,
    read_parcel,
    write_parcel,
)
from pipeline.engine.orders import ORDER, Frame, Order
from pipeline.events import Metric, Progress, Record

SECONDS_BETWEEN_BATCHES = 0.05
RECORDS_IN_BATCH = 500
BYTES_IN_BATCH = 2**20
_MOST_WAITING = 20_000
_CAN_WAIT = (Progress, Metric)


class EngineGone:
    """In the mailbox, instead of an order: the engine has ended, or hung up."""


Letter = Order | EngineGone


class Mailbox:
    """Orders in the order in which they came; only one thread takes them out."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._put_off: deque[Letter] = deque()

    def put(self, letter: Letter) -> None:
        """Add a letter; from any thread."""
        self._arrived.put(letter)

    def take_now(self) -> Letter | None:
        """The next letter, or None if there is none."""
        if self._arrived.empty():
            return None
        return self._arrived.get()

    def take(self) -> Letter:
        """The next letter; waits for it."""
        return self._arrived.get()

    def put_off(self, letter: Letter) -> None:
        """Keep a letter for later: `take_put_off` gives it back."""
        self._put_off.append(letter)

    def take_put_off(self) -> Letter | None:
        """The first letter that was put off, or None."""
        return self._put_off.popleft() if self._put_off else None


def read_orders(descriptor: int, mailbox: Mailbox, gone: Callable[[], None]) -> None:
    """Body of the thread that puts orders into the mailbox; calls `gone` when no more can come."""
    try:
        while (parcel := read_parcel(descriptor)) is not None:
            # Not pydantic's own parser: names of files may hold lone surrogates.
            mailbox.put(ORDER.validate_python(json.loads(parcel.header)))
    except (BrokenChannel, ValueError, OSError) as error:
        # Half an order is what a killed engine leaves; of another version it cannot be.
        print(f"the engine's orders ended: {error}", flush=True)
    gone()


@dataclass(frozen=True)
class _Note:
    """A record on its way, as JSON."""

    stage: str
    text: bytes


class Outbox:
    """Sends what the worker says; records go in batches, and at once where it matters.

    `gone` is called when nobody takes them any more; from then on everything is thrown away.
    """

    def __init__(self, descriptor: int, gone: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._gone = gone
        self._waiting: list[_Note | Parcel] = []
        self._urgent = False
        self._closed = False
        self._broken = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._send, name="sayings", daemon=True)
        self._thread.start()

    def tell(self, stage: str, record: Record) -> None:
        """Send a record of a stage. Raises TypeError or ValueError for what JSON cannot hold."""
        text = _as_json(record.to_json())
        if len(text) > MOST_HEADER_BYTES // 2:
            raise ValueError(f"a {record.kind} of {len(text)} bytes is too large to be told")
        self._add(_Note(stage, text), urgent=not isinstance(record, _CAN_WAIT))

    def say(self, saying: Frame, body: bytes = b"") -> None:
        """Send something else, after all records before it. Raises ValueError if it is too large
        for a frame."""
        parcel = Parcel(_as_json(saying.model_dump()), body)
        if len(parcel.header) > MOST_HEADER_BYTES or len(body) > MOST_BODY_BYTES:
            raise ValueError(f"{len(parcel.header) + len(body)} bytes are too many for a frame")
        self._add(parcel, urgent=True)

    def close(self) -> None:
        """Return when everything is sent."""
        with self._changed:
            self._closed = self._urgent = True
            self._changed.notify_all()
        self._thread.join()

    def _add(self, entry: _Note | Parcel, urgent: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _MOST_WAITING)
            self._waiting.append(entry)
            self._urgent |= urgent or len(self._waiting) >= RECORDS_IN_BATCH
            if self._urgent or len(self._waiting) == 1:
                self._changed.notify_all()

    def _send(self) -> None:
        """Body of the thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._changed.wait_for(lambda: self._urgent, SECONDS_BETWEEN_BATCHES)
                entries, self._waiting = self._waiting, []
                self._urgent = self._closed
                self._changed.notify_all()
            if not entries:
                return
            for parcel in _parcels(entries):
                self._write(parcel)

    def _write(self, parcel: Parcel) -> None:
        if self._broken:
            return
        try:
            write_parcel(self._descriptor, parcel)
        except OSError:
            self._broken = True
            self._gone()


def _parcels(entries: list[_Note | Parcel]) -> list[Parcel]:
    """Neighbouring records of the same stage in as few parcels as may be."""
    parcels: list[Parcel] = []
    texts: list[bytes] = []
    stage, size = "", 0

    def pack() -> None:
        if texts:
            head = b'{"is_":"records","stage":%s,"records":[' % _as_json(stage)
            parcels.append(Parcel(head + b",".join(texts) + b"]}"))
            texts.clear()

    for entry in entries:
        if isinstance(entry, Parcel):
            pack()
            parcels.append(entry)
            continue
        if entry.stage != stage or len(texts) >= RECORDS_IN_BATCH or size > BYTES_IN_BATCH:
            pack()
        if not texts:
            stage, size = entry.stage, 0
        texts.append(entry.text)
        size += len(entry.text)
    pack()
    return parcels


def _as_json(data: Any) -> bytes:
    """What of file names is no text becomes question marks: nobody opens these files by them."""
    return json.dumps(data, ensure_ascii=False).encode(errors="replace")
