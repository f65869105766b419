"""A worker's post: batches, order, and what it does with what cannot be sent."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from pipeline.engine import post
from pipeline.engine.channel import read_parcel
from pipeline.engine.orders import SAYING, Paused, Records, Reported, Saying, StageEnd, StopStage
from pipeline.engine.post import EngineGone, Letter, Mailbox, Outbox, read_orders
from pipeline.events import Metric, Progress, Report, Warned


@dataclass
class Line:
    """An outbox and the other end of its pipe."""

    out: int
    into: int
    gone: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.into, self.gone.set)

    def hear(self) -> Saying:
        """The next saying."""
        parcel = read_parcel(self.out)
        assert parcel is not None
        return SAYING.validate_json(parcel.header)

    def hear_all(self) -> list[Saying]:
        """All that was said, after which nothing more is."""

        def close() -> None:
            self.outbox.close()
            os.close(self.into)

        closing = threading.Thread(target=close)  # it waits until all is read
        closing.start()
        heard = []
        while (parcel := read_parcel(self.out)) is not None:
            heard.append(SAYING.validate_json(parcel.header))
        closing.join()
        return heard


@pytest.fixture
def line() -> Iterator[Line]:
    """A line whose pipes are closed in the end."""
    line = Line(*os.pipe())
    yield line
    with suppress(OSError):  # it is closed already
        os.close(line.out)
    line.outbox.close()
    with suppress(OSError):
        os.close(line.into)


def test_records_come_in_batches_in_order_and_whole(line: Line) -> None:
    for i in range(1200):
        line.outbox.tell("mapping", Metric("loss", float(i), i))
    line.outbox.tell("matching", Progress(1, 2, "pairs"))
    line.outbox.say(Paused(paused=True))
    line.outbox.tell("matching", Warned("careful"))
    *records, paused, warning = line.hear_all()
    assert isinstance(paused, Paused)
    batches = [saying for saying in records if isinstance(saying, Records)]
    assert len(batches) == len(records) < 20
    assert max(len(batch.records) for batch in batches) <= post.RECORDS_IN_BATCH
    assert [batch.stage for batch in batches] == ["mapping"] * (len(batches) - 1) + ["matching"]
    told = [record for batch in batches for record in batch.records]
    assert [record["step"] for record in told[:-1]] == list(range(1200))
    assert isinstance(warning, Records) and warning.records[0]["message"] == "careful"


def test_a_single_record_does_not_wait_for_others(line: Line) -> None:
    line.outbox.tell("mapping", Progress(1, 2, "photographs"))
    heard = line.hear()  # while the stage says nothing more
    assert isinstance(heard, Records) and len(heard.records) == 1


def test_numbers_that_are_none_and_names_that_are_no_text_arrive(line: Line) -> None:
    line.outbox.tell("mapping", Metric("loss", float("nan")))
    line.outbox.tell("mapping", Progress(1, 2, "photographs", "caf\udce9.jpg"))
    line.outbox.say(StageEnd(stage="mapping", state="failed", why="caf\udce9.jpg is dark"))
    *told, end = line.hear_all()
    records = [r for saying in told if isinstance(saying, Records) for r in saying.records]
    assert records[0]["value"] != records[0]["value"]
    assert records[1]["doing"] == "caf?.jpg"
    assert isinstance(end, StageEnd) and end.why == "caf?.jpg is dark"


def test_what_cannot_be_sent_is_an_error_of_who_tells_it(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError):
        line.outbox.tell("mapping", Report({"a": {1, 2}}))  # type: ignore[dict-item]
    monkeypatch.setattr(post, "MOST_HEADER_BYTES", 2000)
    with pytest.raises(ValueError, match="too large"):
        line.outbox.tell("mapping", Warned("x" * 2000))
    with pytest.raises(ValueError, match="too many"):
        line.outbox.say(Reported(report={"x": "x" * 3000}))
    line.outbox.tell("mapping", Warned("x"))
    (told,) = line.hear_all()
    assert isinstance(told, Records) and told.records[0]["message"] == "x"


def test_without_a_listener_everything_is_thrown_away(line: Line) -> None:
    os.close(line.out)
    for i in range(50_000):  # more than may wait
        line.outbox.tell("mapping", Metric("loss", 1.0, i))
    line.outbox.say(Paused(paused=True))
    line.outbox.close()
    assert line.gone.is_set()


def test_orders_arrive_in_order_and_the_end_is_told() -> None:
    out, into = os.pipe()
    mailbox, gone = Mailbox(), threading.Event()
    orders = [
        {"do": "stop"},
        {"do": "set", "field": "\udce9", "value": 1, "revision": 1, "by": "x"},
    ]
    for order in orders:
        header = json.dumps(order).encode()
        os.write(into, len(header).to_bytes(4, "little") + bytes(4) + header)
    os.write(into, b"\x10\0\0\0")  # half an order of an engine that was killed
    os.close(into)
    read_orders(out, mailbox, gone.set)
    os.close(out)
    assert gone.is_set()
    first, second = mailbox.take(), mailbox.take_now()
    assert isinstance(first, StopStage)
    assert second is not None and getattr(second, "field", "") == "\udce9"
    assert mailbox.take_now() is None


def test_what_was_put_off_comes_back_in_order() -> None:
    mailbox = Mailbox()
    letters: list[Letter] = [StopStage(), EngineGone()]
    for letter in letters:
        mailbox.put_off(letter)
    assert [mailbox.take_put_off(), mailbox.take_put_off()] == letters
    assert mailbox.take_put_off() is None
