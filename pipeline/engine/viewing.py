"""Those who look at the scene of a run: their cameras go down to a worker, its frames come back.

While training runs, its worker renders between two steps. When the run is at rest and has a trained
field, a worker of its own renders, and ends when nobody asks any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

from pipeline.engine.orders import AcknowledgeView, LeaveView, RenderView
from pipeline.engine.worker_process import WorkerProcess
from pipeline.errors import PipelineError
from pipeline.stages import VIEW_SERVER, VIEWED_STAGE
from pipeline.view_requests import MOST_UNACKNOWLEDGED, FrameHeader, ViewFrame, ViewRequest

MOST_VIEWERS = 16
IDLE_S = 120.0  # without a request or a picture; then its worker gives its memory back

StartWorker = Callable[[tuple[str, ...]], Coroutine[Any, Any, WorkerProcess]]


class Viewing:
    """All viewers of a run. Everything belongs to the event loop.

    start: starts a worker. has_field: whether a trained field is there.
    """

    def __init__(
        self, start: StartWorker, has_field: Callable[[], bool], idle_s: float = IDLE_S
    ) -> None:
        self._start = start
        self._has_field = has_field
        self._idle_s = idle_s
        self._windows: dict[str, ViewerWindow] = {}
        self._numbers = itertools.count(1)
        self._worker: WorkerProcess | None = None
        self._running = False
        self._own: asyncio.Task[None] | None = None
        self._asked = 0.0
        self._others: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def open(self) -> ViewerWindow:
        """A place for one more viewer. Raises PipelineError where there are too many."""
        if len(self._windows) >= MOST_VIEWERS:
            raise PipelineError(
                "Too many viewers", f"{MOST_VIEWERS} look at this run already.", "Close one."
            )
        window = ViewerWindow(self, f"viewer-{next(self._numbers)}")
        self._windows[window.name] = window
        return window

    def attach(self, worker: WorkerProcess) -> None:
        """A worker has taken up what can be looked at: it gets the requests from now on."""
        self._worker = worker
        for window in self._windows.values():
            if window.request is not None:
                worker.order(RenderView(request=window.request))

    def detach(self) -> None:
        """The worker has nothing to show any more."""
        self._worker = None

    @property
    def run_at_work(self) -> bool:
        """Whether the run is at work, or about to be."""
        return self._running

    def end_with_rest(self, end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call this too when the run goes to work: what else has a worker while it is at rest."""
        self._others.append(end)

    async def run_begins(self) -> None:
        """The run goes to work: there must be no worker beside its own."""
        self._running = True
        if self._own is not None:
            self._own.cancel()
            await asyncio.wait({self._own})
            self._own = None
        for end in self._others:
            await end()

    def run_rests(self) -> None:
        """The run has come to an end, for now."""
        self._running = False

    def deliver(self, frame: ViewFrame) -> None:
        """A worker has rendered a frame; one for a viewer that has left goes nowhere."""
        window = self._windows.get(frame.header.viewer)
        if window is not None:
            window.take(frame)
            if self._worker is not None:  # a large picture may take longer than viewers stay idle
                self._asked = asyncio.get_running_loop().time()

    def ask(self, request: ViewRequest) -> None:
        """Pass a request on to whoever can render it; else its viewer is told why nobody can."""
        self._asked = asyncio.get_running_loop().time()
        if self._worker is not None:
            self._worker.order(RenderView(request=request))
        elif self._running:
            self._refuse(request, f"the run is at work, and not at {VIEWED_STAGE}: wait for that")
        elif not self._has_field():
            self._refuse(request, f"the run has no trained field: {VIEWED_STAGE} is not done")
        elif self._own is None or self._own.done():
            self._own = asyncio.create_task(self._serve_at_rest())

    def acknowledge(self, viewer: str) -> None:
        """A viewer has taken a frame, or will not get it."""
        if self._worker is not None:
            self._worker.order(AcknowledgeView(viewer=viewer))

    def leave(self, viewer: str) -> None:
        """A viewer is gone."""
        if self._windows.pop(viewer, None) is not None and self._worker is not None:
            self._worker.order(LeaveView(viewer=viewer))

    async def _serve_at_rest(self) -> None:
        """Have a worker render until nobody asks any more, or the run goes to work."""
        left_at = -1.0
        while self._asked > left_at:  # again, where somebody asked while the worker was leaving
            try:
                worker = await self._start((VIEW_SERVER[0],))
            except PipelineError as error:
                self._refuse_all(f"{error.message} {error.hint}")
                return
            left_at = await self._serve_with(worker)

    async def _serve_with(self, worker: WorkerProcess) -> float:
        """Have a worker render; when it was asked for the last time."""
        try:
            self.attach(worker)
            serving = asyncio.create_task(worker.serve_views())
            done: set[asyncio.Task[Any]] = set()
            while not done and (left_s := self._left_s()) > 0.0:
                done, _ = await asyncio.wait({serving}, timeout=left_s)
            if done and serving.result().error:
                self._refuse_all(serving.result().error)
        finally:
            self.detach()
            asked = self._asked
            await _to_its_end(asyncio.create_task(worker.close()))
        return asked

    def _left_s(self) -> float:
        return self._asked + self._idle_s - asyncio.get_running_loop().time()

    def _refuse_all(self, why: str) -> None:
        for window in self._windows.values():
            if window.request is not None:
                self._refuse(window.request, why)

    def _refuse(self, request: ViewRequest, why: str) -> None:
        self.deliver(ViewFrame(FrameHeader(viewer=request.viewer, seq=request.seq, error=why)))


async def _to_its_end(task: asyncio.Task[None]) -> None:
    """Wait for a task, also where the wait is cancelled meanwhile: a run that begins must find no
    worker, and cancels whoever is just seeing one off."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


class ViewerWindow:
    """The place of one viewer: see `pipeline.engine.interface.Window`."""

    def __init__(self, viewing: Viewing, name: str) -> None:
        self.name = name
        self.request: ViewRequest | None = None
        self._viewing = viewing
        self._frame: ViewFrame | None = None
        self._unacknowledged = 0
        self._changed = asyncio.Event()

    def ask(self, request: ViewRequest) -> None:
        """Look from a camera, in the place of the last one."""
        if self.request is not None and request.seq <= self.request.seq:
            raise ValueError(f"request {request.seq} comes after {self.request.seq}")
        self.request = request.model_copy(update={"viewer": self.name})
        self._viewing.ask(self.request)

    async def next_frame(self) -> ViewFrame:
        """The newest frame that was not taken yet."""
        while self._frame is None or self._unacknowledged >= MOST_UNACKNOWLEDGED:
            self._changed.clear()
            await self._changed.wait()
        frame, self._frame = self._frame, None
        self._unacknowledged += 1
        return frame

    def acknowledge(self) -> None:
        """A frame has been shown: room for another one."""
        if self._unacknowledged == 0:
            raise ValueError("there is no frame to acknowledge")
        self._unacknowledged -= 1
        self._viewing.acknowledge(self.name)
        self._changed.set()

    def close(self) -> None:
        """Forget the viewer."""
        self._viewing.leave(self.name)

    def take(self, frame: ViewFrame) -> None:
        """Keep a frame, in the place of one that nobody has taken."""
        if self._frame is not None:
            self._viewing.acknowledge(self.name)
        self._frame = frame
        self._changed.set()
