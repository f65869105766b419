"""Has the clouds made that somebody wants to see: when first asked for, by a worker of its own.

That worker loads open3d, which does not bear torch in its process; it may go on beside the stage
that is at work, one thread at a low priority, and ends when nothing is left to be made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from pipeline.engine.messages import RunView
from pipeline.engine.orders import PrepareCloud, Prepared
from pipeline.engine.worker_process import WorkerProcess
from pipeline.errors import PipelineError
from pipeline.events import SceneChanged
from pipeline.scene_answer import SceneAnswer
from pipeline.scene_index import CloudSource, missing_clouds, scene_of

_log = logging.getLogger(__name__)
NICE = 10
THREADS = 1
PRELOAD = ("pipeline.cloud_making",)
_FILTERED, _ORDERED = "its points are being filtered", "its points are being put in order"

StartWorker = Callable[[tuple[str, ...]], Coroutine[Any, Any, WorkerProcess]]
Tell = Callable[[str, SceneChanged], None]


class Preparing:
    """What there is to see of a run. Everything belongs to the event loop, and none of it blocks.

    start: starts a worker. view: the state of the run, if there is one. tell: is told when there is
    something new to see.
    """

    def __init__(
        self, root: Path, start: StartWorker, view: Callable[[], RunView | None], tell: Tell
    ) -> None:
        self._root = root
        self._start = start
        self._view = view
        self._tell = tell
        self._wanted: dict[str, CloudSource] = {}
        self._troubles: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._worker: WorkerProcess | None = None

    async def scene(self) -> SceneAnswer:
        """What there is to see. What is missing is made from now on; what could not be made is not
        tried again, and said."""
        self._want(await asyncio.to_thread(missing_clouds, self._root))
        return await self._answer()

    async def close(self) -> None:
        """End the worker, whatever it is at; returns when it is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _answer(self) -> SceneAnswer:
        wanted = self._wanted.items()
        waiting = {key: _ORDERED if source.fused else _FILTERED for key, source in wanted}
        troubles = tuple(self._troubles.values())
        return await asyncio.to_thread(scene_of, self._root, self._view(), waiting, troubles)

    def _want(self, missing: Iterable[CloudSource]) -> None:
        # In the order of these, the largest last: what was wanted before may take longer.
        new = {source.id: source for source in missing if source.id not in self._troubles}
        self._wanted = {**new, **{key: s for key, s in self._wanted.items() if key not in new}}
        if self._wanted and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Make what is wanted, one after the other."""
        try:
            while self._wanted:
                source = next(iter(self._wanted.values()))
                prepared = await self._make(source)
                del self._wanted[source.id]
                if prepared.error:
                    words = f"The cloud {source.name} could not be made: {prepared.error}"
                    self._troubles[source.id] = words
                if not self._wanted:
                    await self._end_worker()  # before the news: a client may ask for more at once
                answer = await self._answer()
                self._tell("", SceneChanged(answer.version))
        finally:
            self._wanted.clear()
            if self._worker is not None:
                # It was interrupted: the worker would hear of its end only when it is done.
                await self._worker.close(grace_s=0.0)

    async def _make(self, source: CloudSource) -> Prepared:
        """Have a cloud made; where a worker dies of that, once more without open3d."""
        try:
            prepared = await self._order(PrepareCloud(cloud=source.id))
            if prepared.died:
                why = f"a worker that had loaded it died: {prepared.error}"
                await self._end_worker()
                prepared = await self._order(PrepareCloud(cloud=source.id, without_open3d=why))
        except PipelineError as error:  # the system starts no process
            return Prepared(error=f"{error.message} {error.hint}")
        except Exception:  # a fault of ours, which nobody else would hear of
            _log.exception("the cloud %s", source.id)
            return Prepared(error="the engine failed at it; its log says why")
        return prepared

    async def _order(self, order: PrepareCloud) -> Prepared:
        if self._worker is None or not self._worker.alive:
            self._worker = await self._start(PRELOAD)
        return await self._worker.prepare_cloud(order)

    async def _end_worker(self) -> None:
        if self._worker is not None:
            await self._worker.close()
            self._worker = None
