"""The newest events of a run, for clients at any pace.

All clients share one bounded memory and differ only in how far they have read: one that never reads
costs nothing, and one that is too late begins again with a view of the whole state.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from pipeline.engine.event_log import Entry
from pipeline.events import FilmChanged, Metric, Progress, Report

MOST_EVENTS = 2000
MOST_BYTES = 16 * 2**20
SECONDS_BETWEEN_BATCHES = 0.25
# The records that come often: here a later one takes the place of an earlier one with its key.
_REPLACED = (Progress, Metric, Report, FilmChanged)


class Hub:
    """Holds the newest events. seq: the number of the newest event that it will never hold."""

    def __init__(self, seq: int) -> None:
        self._entries: OrderedDict[object, Entry] = OrderedDict()  # oldest first
        self._bytes = 0
        self._lost_seq = seq
        self._news = asyncio.Event()
        self.seq = seq

    def offer(self, entry: Entry) -> None:
        """Add the next event."""
        event = entry.event
        key: object = event.seq
        if isinstance(event.record, _REPLACED):
            key = (event.stage, event.record.key)
            self._remove(key)
        self._entries[key] = entry
        self._bytes += len(entry.text)
        while len(self._entries) > MOST_EVENTS or self._bytes > MOST_BYTES:
            oldest = next(iter(self._entries))
            self._lost_seq = self._entries[oldest].event.seq
            self._remove(oldest)
        self.seq = event.seq
        self._news.set()
        self._news = asyncio.Event()

    def since(self, seq: int) -> list[dict[str, Any]] | None:
        """The events after a number, oldest first, with the newest of each key only. None: some of
        them are no longer here, or the number is none of ours."""
        if not self._lost_seq <= seq <= self.seq:
            return None
        found = []
        for entry in reversed(self._entries.values()):
            if entry.event.seq <= seq:
                break
            found.append(entry.data)
        return found[::-1]

    async def news(self, seq: int) -> None:
        """Return when there is an event after a number."""
        while self.seq <= seq:
            await self._news.wait()

    def subscribe(self) -> HubSubscription:
        """A place in the stream, beginning now."""
        return HubSubscription(self)

    def _remove(self, key: object) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.text)


class HubSubscription:
    """A client's place in the stream: see `pipeline.engine.interface.Subscription`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seq = hub.seq
        self._next = 0.0  # on the event loop's clock

    async def next_batch(self) -> Sequence[dict[str, Any]] | None:
        """The events since the last call, at most four times a second. None: the client was too
        slow; the stream goes on from now."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._next - loop.time()))
        await self._hub.news(self._seq)
        batch = self._hub.since(self._seq)
        self._seq = self._hub.seq
        self._next = loop.time() + SECONDS_BETWEEN_BATCHES
        return batch

    def close(self) -> None:
        """Forget the client: the hub never knew of it."""
