"""Has a film rendered that a client has asked for: one at a time, by a worker of its own.

Only while the run is at rest: a film takes minutes, and beside a training it would take that one's
cores and, on a GPU, the memory that it counts on. Where the run goes to work again, the film ends.
Beside those who look at the scene of a run at rest it goes on at a low priority.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.engine.messages import Answer, CancelRender, FilmView, RenderPath
from pipeline.engine.orders import Filmed, FilmProgress, RenderFilm
from pipeline.engine.worker_process import WorkerProcess
from pipeline.errors import PipelineError
from pipeline.events import FilmChanged
from pipeline.film_making import check_size, free_name, remove_work

_log = logging.getLogger(__name__)
NICE = 10
PRELOAD = ("pipeline.radiance.films",)

StartWorker = Callable[[tuple[str, ...]], Coroutine[Any, Any, WorkerProcess]]


class Filming:
    """The films of a run. Everything belongs to the event loop, and none of it blocks.

    start: starts a worker. tell: is told how far the film is. at_work: whether the run is.
    has_field: whether there is something to render. staying: a block during which the engine is not
    to end for want of clients.
    """

    def __init__(
        self,
        root: Path,
        start: StartWorker,
        tell: Callable[[str, FilmChanged], None],
        at_work: Callable[[], bool],
        has_field: Callable[[], bool],
        staying: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._root = root
        self._start = start
        self._tell = tell
        self._at_work = at_work
        self._has_field = has_field
        self._staying = staying
        self._film: FilmChanged | None = None
        self._task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def view(self) -> FilmView | None:
        """The film that was asked for last."""
        return None if self._film is None else FilmView(**asdict(self._film))

    async def command(self, command: RenderPath | CancelRender, by: str) -> Answer:
        """Begin a film, or end it."""
        async with self._one_at_a_time:
            if isinstance(command, CancelRender):
                return await self._cancelled(by)
            try:
                return await self._begun(command)
            except PipelineError as error:
                return Answer(ok=False, message=error.message, hint=error.hint)

    async def end(self, why: str = "the run goes on, or its engine ends") -> None:
        """End the film that is being rendered, if there is one; returns when its worker is gone."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
            if self._film is not None and self._film.state == "rendering":
                self._change(state="cancelled", left_s=None, why=why)

    async def _begun(self, command: RenderPath) -> Answer:
        film = self._rendered()
        if film is not None:
            done = f"{film.done} of {film.total} frames"
            return _no(f"The film {film.name} is being rendered: {done}.", "Wait, or cancel it.")
        size = command.width, command.height
        await asyncio.to_thread(check_size, command.frame_count, *size)
        name = await asyncio.to_thread(free_name, self._root, command.name)
        # Looked at last, with nothing awaited after it: the run may have gone to work meanwhile.
        if self._at_work():
            return _no(
                "The run is at work, and a film would take its cores and memory.",
                "Wait until it is at rest, or use `barfield render` in a terminal.",
            )
        if not self._has_field():
            return _no("The run has no radiance field yet.", "Let the stage radiance run.")
        order = RenderFilm(
            name=name,
            keyframes=command.way,
            frames=command.frame_count,
            fps=command.fps,
            width=command.width,
            height=command.height,
        )
        self._show(FilmChanged(name, "rendering", total=order.frames))
        self._task = asyncio.create_task(self._render(order))
        return Answer(ok=True, message=f"The film {name} of {order.frames} frames is rendered now.")

    async def _cancelled(self, by: str) -> Answer:
        film = self._rendered()
        if film is None:
            return _no("No film is being rendered.", "")
        await self.end(f"by {by}")
        return Answer(ok=True, message=f"The film {film.name} is not rendered any more.")

    def _rendered(self) -> FilmChanged | None:
        """The film that is being rendered."""
        return None if self._task is None or self._task.done() else self._film

    async def _render(self, order: RenderFilm) -> None:
        """Have a film rendered, and tell how that ended."""
        with self._staying():
            try:
                filmed = await self._filmed(order)
            except asyncio.CancelledError:
                await asyncio.to_thread(remove_work, self._root, order.name)
                raise
            except Exception:  # a fault of ours, which nobody else would hear of
                _log.exception("the film %s", order.name)
                filmed = Filmed(error="the engine failed at it; its log says why")
            if filmed.error:
                await asyncio.to_thread(remove_work, self._root, order.name)
                self._change(state="failed", left_s=None, why=filmed.error)
            else:
                self._change(
                    state="done", done=order.frames, left_s=0.0, file=filmed.file, why=filmed.note
                )

    async def _filmed(self, order: RenderFilm) -> Filmed:
        try:
            worker = await self._start(PRELOAD)
        except PipelineError as error:  # the system starts no process
            return Filmed(error=f"{error.message} {error.hint}")
        try:
            filmed = await worker.render_film(order, self._progress)
        except asyncio.CancelledError:
            await worker.close(grace_s=0.0)  # it would hear of its end only when it is done
            raise
        await worker.close()
        return filmed

    def _progress(self, told: FilmProgress) -> None:
        self._change(done=told.done, total=told.total, left_s=told.left_s)

    def _change(self, **changes: Any) -> None:
        if self._film is not None:
            self._show(replace(self._film, **changes))

    def _show(self, film: FilmChanged) -> None:
        self._film = film
        self._tell("", film)


def _no(message: str, hint: str) -> Answer:
    return Answer(ok=False, message=message, hint=hint)
