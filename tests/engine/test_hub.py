"""The hub: one bounded memory, clients at any pace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from pipeline.engine import hub as module
from pipeline.engine.event_log import Entry
from pipeline.engine.hub import SECONDS_BETWEEN_BATCHES, Hub
from pipeline.events import Event, Metric, Progress, Record, Report, StageChanged, Warned


def offer(hub: Hub, record: Record, stage: str = "a") -> None:
    event = Event(hub.seq + 1, 1e9, 1.0, stage, record)
    data = event.to_json()
    hub.offer(Entry(event, data, json.dumps(data).encode()))


def seqs(events: Sequence[dict[str, Any]] | None) -> list[int]:
    assert events is not None
    return [event["seq"] for event in events]


def test_often_told_records_replace_each_other_and_the_others_stand() -> None:
    hub = Hub(10)
    for stage in ("a", "b"):
        for record in (
            StageChanged(stage, "started"),  # 11, 18
            Progress(1, 2, "photos"),
            Metric("loss", 1.0),
            Metric("gain", 1.0),  # 14, 21
            Warned("x"),  # 15, 22
            Progress(2, 2, "photos"),  # 16, 23
            Metric("loss", 2.0),  # 17, 24
        ):
            offer(hub, record, stage)
    offer(hub, StageChanged("a", "done"))
    assert seqs(hub.since(10)) == [11, 14, 15, 16, 17, 18, 21, 22, 23, 24, 25]
    assert seqs(hub.since(17)) == [18, 21, 22, 23, 24, 25]
    assert seqs(hub.since(23)) == [24, 25]
    assert hub.since(25) == []
    assert hub.since(9) is None  # before its time
    assert hub.since(26) is None  # not of this engine


def test_the_oldest_events_go_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 10)
    hub = Hub(0)
    offer(hub, Progress(1, 2, "photos"))
    for number in range(15):
        offer(hub, Warned(f"{number}"))
    assert hub.since(5) is None
    assert seqs(hub.since(6)) == list(range(7, 17))
    for _ in range(50):
        offer(hub, Progress(1, 2, "photos"))  # takes one place only
    assert seqs(hub.since(7)) == [*range(8, 17), 66]


def test_memory_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    hub = Hub(0)
    for number in range(30):
        offer(hub, Report({"text": "x" * 3000}), f"stage {number}")
    assert seqs(hub.since(27)) == [28, 29, 30]
    assert hub.since(26) is None
    offer(hub, Report({"text": "x" * 20_000}))
    assert hub.since(30) is None
    offer(hub, Warned("small"))
    assert seqs(hub.since(31)) == [32]


def test_a_subscription_begins_now_and_misses_nothing() -> None:
    async def main() -> None:
        hub = Hub(0)
        offer(hub, Warned("before"))
        place = hub.subscribe()
        waiting = asyncio.create_task(place.next_batch())
        await asyncio.sleep(0)
        offer(hub, Warned("first"))
        offer(hub, Warned("second"))
        batch = await waiting
        assert batch is not None
        assert [event["message"] for event in batch] == ["first", "second"]
        offer(hub, Warned("third"))
        batch = await place.next_batch()
        assert batch is not None and [event["message"] for event in batch] == ["third"]
        place.close()

    asyncio.run(main())


def test_batches_come_at_most_four_times_a_second() -> None:
    async def main() -> None:
        hub = Hub(0)
        place = hub.subscribe()
        loop = asyncio.get_running_loop()

        async def talk() -> None:
            while True:
                offer(hub, Progress(1, 2, "photos"))
                await asyncio.sleep(0.005)

        talking = asyncio.create_task(talk())
        times = []
        for _ in range(4):
            batch = await place.next_batch()
            assert batch is not None and len(batch) == 1
            times.append(loop.time())
        talking.cancel()
        gaps = [b - a for a, b in pairwise(times)]
        assert min(gaps) >= SECONDS_BETWEEN_BATCHES * 0.99

    asyncio.run(main())


def test_a_client_that_is_too_slow_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EVENTS", 10)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_BATCHES", 0.0)

    async def main() -> None:
        hub = Hub(0)
        slow, quick = hub.subscribe(), hub.subscribe()
        for number in range(100):
            offer(hub, Warned(f"{number}"))
            batch = await quick.next_batch()
            assert batch is not None and len(batch) == 1
        assert await slow.next_batch() is None
        offer(hub, Warned("after"))
        batch = await slow.next_batch()
        assert batch is not None and [event["message"] for event in batch] == ["after"]

    asyncio.run(main())
