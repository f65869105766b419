"""The worker processes of a run: one at a time works, the next one may be warming up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pipeline.engine.worker_process import WorkerProcess
from pipeline.errors import PipelineError
from pipeline.stages import StageEntry

StartWorker = Callable[[tuple[str, ...]], Coroutine[Any, Any, WorkerProcess]]


class Workers:
    """Keeps the worker of the current set of libraries and, ahead of time, that of the next.

    Consecutive stages with the same libraries share a worker. A worker whose turn is over finishes
    what it does in the background (`database.db`) and ends; `close` waits for it.
    """

    def __init__(self, start: StartWorker) -> None:
        self._start = start
        self._current: tuple[str, WorkerProcess] | None = None
        self._ahead: tuple[str, asyncio.Task[WorkerProcess]] | None = None
        self._ending: dict[asyncio.Task[None], str] = {}
        self._peaks_mb: list[float] = [0.0]

    @property
    def current(self) -> WorkerProcess | None:
        """The worker whose turn it is, if there is one and it lives."""
        if self._current is None or not self._current[1].alive:
            return None
        return self._current[1]

    @property
    def peak_rss_mb(self) -> float:
        """Largest memory that one of the workers has used so far."""
        living = self._current[1].peak_rss_mb if self._current is not None else 0.0
        return max(*self._peaks_mb, living)

    async def for_stage(self, entry: StageEntry) -> WorkerProcess:
        """The worker that runs this stage; a new one where there is none that lives. Raises
        PipelineError if the system starts none."""
        if self._current is not None:
            libraries, worker = self._current
            if libraries == entry.libraries and worker.alive:
                return worker
            self.retire()
        # Two workers of one set could write the same database at once.
        await asyncio.gather(
            *(task for task, kind in self._ending.items() if kind == entry.libraries)
        )
        worker = await self._take_ahead(entry.libraries) or await self._start(())
        self._current = entry.libraries, worker
        return worker

    def prepare(self, entry: StageEntry) -> None:
        """Start the worker of a later stage now, so that its imports cost no time then."""
        if self._current is not None and self._current[0] == entry.libraries:
            return
        if self._ahead is None:
            module, _, _ = entry.target.partition(":")
            starting = self._start((module, *entry.imports))
            self._ahead = entry.libraries, asyncio.create_task(starting)

    def retire(self) -> None:
        """Let the current worker end; the next stage gets a new one."""
        if self._current is not None:
            libraries, worker = self._current
            self._current = None
            ending = asyncio.create_task(self._close(worker))
            self._ending[ending] = libraries
            ending.add_done_callback(self._ending.pop)

    async def close(self) -> None:
        """End all workers and wait until they are gone."""
        self.retire()
        if self._ahead is not None:
            worker = await self._take_ahead(self._ahead[0])
            if worker is not None:
                await self._close(worker)
        await asyncio.gather(*self._ending)

    async def _close(self, worker: WorkerProcess) -> None:
        await worker.close()
        self._peaks_mb.append(worker.peak_rss_mb)

    async def _take_ahead(self, libraries: str) -> WorkerProcess | None:
        """The worker that was started ahead for these libraries, if it lives."""
        if self._ahead is None or self._ahead[0] != libraries:
            return None
        task, self._ahead = self._ahead[1], None
        try:
            worker = await task
        except PipelineError:  # the system started none; who needs it tries again
            return None
        if worker.alive:
            return worker
        await self._close(worker)
        return None
