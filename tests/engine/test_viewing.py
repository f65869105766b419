"""Those who look at a run, as the engine sees them, with workers that only take orders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pipeline.engine.orders import AcknowledgeView, LeaveView, RenderView, Served
from pipeline.engine.viewing import MOST_VIEWERS, Viewing
from pipeline.errors import PipelineError
from pipeline.view_requests import FrameHeader, ViewFrame
from tests.radiance.test_view_service import request

SECONDS = 20.0


class FakeWorker:
    """Takes orders; serves until it is closed, or dies."""

    def __init__(self) -> None:
        self.orders: list[Any] = []
        self.end: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
        self.closed = False
        self.stays: asyncio.Event | None = None

    def order(self, order: Any) -> None:
        self.orders.append(order)

    async def serve_views(self) -> Served:
        return await self.end

    async def close(self) -> None:
        self.closed = True
        if not self.end.done():
            self.end.set_result(Served())
        if self.stays is not None:
            await self.stays.wait()


class Stand:
    """A run at rest, with or without a field."""

    def __init__(self, has_field: bool = True, idle_s: float = SECONDS) -> None:
        self.workers: list[FakeWorker] = []
        self.refusal = ""
        self.viewing = Viewing(self._start, lambda: has_field, idle_s)

    async def _start(self, preload: tuple[str, ...]) -> Any:
        await asyncio.sleep(0)
        if self.refusal:
            raise PipelineError("No worker", self.refusal)
        self.workers.append(FakeWorker())
        return self.workers[-1]


def frame(viewer: str, seq: int, level: Any = 8) -> ViewFrame:
    return ViewFrame(FrameHeader(viewer=viewer, seq=seq, level=level), b"jpeg")


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(SECONDS):
            await work()

    asyncio.run(limited())


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def attached(stand: Stand) -> FakeWorker:
    """A worker at the stage that can be looked at."""
    worker = FakeWorker()
    stand.viewing.attach(worker)  # type: ignore[arg-type]
    return worker


def test_requests_go_down_with_a_name_and_frames_come_back_newest_only() -> None:
    async def work() -> None:
        stand = Stand()
        worker = attached(stand)
        window, other = stand.viewing.open(), stand.viewing.open()
        window.ask(request("somebody else", seq=1))
        (order,) = worker.orders
        name = order.request.viewer
        assert isinstance(order, RenderView) and name == window.name != other.name
        with pytest.raises(ValueError, match="1 comes after 1"):
            window.ask(request(seq=1))

        stand.viewing.deliver(frame(name, 1, 8))
        stand.viewing.deliver(frame(name, 1, 4))  # the first one was not taken yet
        assert worker.orders[1:] == [AcknowledgeView(viewer=name)]
        assert (await window.next_frame()).header.level == 4
        stand.viewing.deliver(frame(name, 1, 2))
        assert (await window.next_frame()).header.level == 2

        stand.viewing.deliver(frame(name, 1, 1))
        waiting = asyncio.create_task(window.next_frame())
        await asyncio.sleep(0.01)
        assert not waiting.done()  # two are unacknowledged
        window.acknowledge()
        assert (await waiting).header.level == 1
        window.acknowledge()
        window.acknowledge()
        assert len(worker.orders) == 5
        with pytest.raises(ValueError, match="no frame"):
            window.acknowledge()

        window.close()
        window.close()
        assert worker.orders[5:] == [LeaveView(viewer=name)]
        stand.viewing.deliver(frame(name, 2))  # on its way when the viewer left

    run(work)


def test_a_stage_that_begins_hears_of_those_who_wait() -> None:
    async def work() -> None:
        stand = Stand(has_field=False)
        await stand.viewing.run_begins()
        window = stand.viewing.open()
        window.ask(request(seq=1))
        assert "at work" in (await window.next_frame()).header.error
        window.ask(request(seq=2))
        worker = attached(stand)
        assert [order.request.seq for order in worker.orders] == [2]
        stand.viewing.detach()
        stand.viewing.run_rests()
        window.acknowledge()
        window.ask(request(seq=3))
        assert "no trained field" in (await window.next_frame()).header.error
        assert len(worker.orders) == 1 and not stand.workers

    run(work)


def test_a_run_at_rest_gets_a_worker_for_its_viewers_as_long_as_they_ask() -> None:
    async def work() -> None:
        stand = Stand(idle_s=0.05)
        window = stand.viewing.open()
        window.ask(request(seq=1))
        window.ask(request(seq=2))
        await until(lambda: stand.workers and stand.workers[0].orders)
        assert [order.request.seq for order in stand.workers[0].orders] == [2]
        await until(lambda: stand.workers[0].closed)
        assert len(stand.workers) == 1
        await asyncio.sleep(0.01)
        window.ask(request(seq=3))
        await until(lambda: len(stand.workers) == 2 and stand.workers[1].orders)
        await stand.viewing.run_begins()  # the run goes to work: it must be gone by then
        assert stand.workers[1].closed
        window.ask(request(seq=4))
        assert "at work" in (await window.next_frame()).header.error

    run(work)


def test_a_run_begins_only_when_a_worker_that_is_leaving_is_gone() -> None:
    async def work() -> None:
        stand = Stand(idle_s=0.02)
        stand.viewing.open().ask(request(seq=1))
        await until(lambda: stand.workers and stand.workers[0].orders)
        stand.workers[0].stays = asyncio.Event()
        await until(lambda: stand.workers[0].closed)
        begins = asyncio.create_task(stand.viewing.run_begins())
        await asyncio.sleep(0.01)
        assert not begins.done()
        stand.workers[0].stays.set()
        await begins

    run(work)


def test_who_asks_while_the_worker_is_leaving_gets_the_next_one() -> None:
    async def work() -> None:
        stand = Stand(idle_s=0.02)
        window = stand.viewing.open()
        window.ask(request(seq=1))
        await until(lambda: stand.workers and stand.workers[0].orders)
        stand.workers[0].stays = asyncio.Event()
        await until(lambda: stand.workers[0].closed)
        window.ask(request(seq=2))
        stand.workers[0].stays.set()
        await until(lambda: len(stand.workers) == 2 and stand.workers[1].orders)
        assert [order.request.seq for order in stand.workers[1].orders] == [2]
        await until(lambda: stand.workers[1].closed)
        await asyncio.sleep(0.01)
        assert len(stand.workers) == 2

    run(work)


def test_a_worker_stays_while_its_pictures_come() -> None:
    async def work() -> None:
        stand = Stand(idle_s=0.1)
        window = stand.viewing.open()
        window.ask(request(seq=1))
        await until(lambda: stand.workers and stand.workers[0].orders)
        for level in (8, 4, 2, 1):
            await asyncio.sleep(0.06)
            assert not stand.workers[0].closed
            stand.viewing.deliver(frame(window.name, 1, level))
        await until(lambda: stand.workers[0].closed)
        assert len(stand.workers) == 1

    run(work)


@pytest.mark.parametrize("dies", [True, False])
def test_a_worker_that_cannot_serve_is_told_to_those_who_wait(dies: bool) -> None:
    async def work() -> None:
        stand = Stand()
        stand.refusal = "" if dies else "too many processes"
        window = stand.viewing.open()
        window.ask(request(seq=1))
        if dies:
            await until(lambda: stand.workers)
            stand.workers[0].end.set_result(Served(error="it was killed"))
        told = (await window.next_frame()).header
        assert (told.seq, told.final) == (1, True)
        assert ("killed" if dies else "too many processes") in told.error
        await until(lambda: not dies or stand.workers[0].closed)
        stand.refusal = ""
        window.ask(request(seq=2))  # the next one tries again
        await until(lambda: len(stand.workers) == (2 if dies else 1))

    run(work)


def test_viewers_are_limited() -> None:
    async def work() -> None:
        viewing = Stand().viewing
        windows = [viewing.open() for _ in range(MOST_VIEWERS)]
        with pytest.raises(PipelineError, match=f"{MOST_VIEWERS}"):
            viewing.open()
        windows[3].close()
        viewing.open()

    run(work)
