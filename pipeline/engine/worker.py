"""The worker process: `python -m pipeline.engine.worker`, started by an engine.

One thread does all the work, as the engine orders; threads of the post bring orders and carry what
there is to say. Without its engine a worker saves a checkpoint and ends.
"""

from __future__ import annotations

import argparse
import faulthandler
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Protocol

from pipeline import stages
from pipeline.engine.orders import (
    AcknowledgeView,
    Begin,
    End,
    Filmed,
    FilmProgress,
    LeaveView,
    PrepareCloud,
    Prepared,
    RenderFilm,
    RenderView,
    Reported,
    RunStage,
    Served,
    ServeViews,
    StageEnd,
    WriteReport,
)
from pipeline.engine.post import EngineGone, Letter, Mailbox, Outbox, read_orders
from pipeline.engine.view_post import note_view, open_desk
from pipeline.errors import PipelineError, Stopped
from pipeline.machine import peak_rss_mb
from pipeline.run_directory import stage_log

if TYPE_CHECKING:
    from pipeline.engine.workplace import Workplace

SECONDS_TO_POLL = 10.0  # after the end of the engine
SECONDS_TO_END = 20.0  # after that poll
SECONDS_BETWEEN_FRAMES = 0.25  # of a film, that are told
_ENGINE_GONE = 75  # exit code; nobody is left to look at it but the system's own logs


class Plan(Protocol):
    """As `pipeline.stages.plan`."""

    def __call__(
        self, *, route: stages.Route = ..., until: str | None = ...
    ) -> Sequence[stages.StageEntry]: ...


class Worker:
    """Carries out orders, one after the other."""

    def __init__(
        self, mailbox: Mailbox, outbox: Outbox, lock: int, heeded: threading.Event, plan: Plan
    ) -> None:
        self._mailbox = mailbox
        self._outbox = outbox
        self._lock = lock
        self._heeded = heeded
        self._plan = plan
        self._desk = open_desk(outbox)
        self._output = _Output()
        self._begin: Begin | None = None
        self._preload = deque(["pipeline.engine.workplace"])
        self._place: Workplace | None = None

    def serve(self) -> bool:
        """Returns true when the engine has ordered the end, and all is finished; false when the
        engine is gone, and all that was made is durable."""
        while True:
            match letter := self._next():
                case Begin():
                    self._begin = letter
                    self._preload.extend(letter.preload)
                case RunStage():
                    self._outbox.say(self._run_stage(letter))
                case WriteReport():
                    self._outbox.say(self._write_report(letter))
                case ServeViews():
                    self._outbox.say(self._serve_views())
                case PrepareCloud():
                    self._outbox.say(self._prepare_cloud(letter))
                case RenderFilm():
                    self._outbox.say(self._render_film(letter))
                case RenderView() | AcknowledgeView() | LeaveView():
                    note_view(letter, self._desk)
                case End():
                    if self._place is not None:
                        self._place.close()
                    return True
                case EngineGone():
                    if self._place is not None:
                        self._place.workspace.store.flush()
                    return False
                case _:  # meant for a stage that had ended before it came
                    pass

    def _next(self) -> Letter:
        """The next letter; while there is none, imports what will be needed later."""
        while True:
            letter = self._mailbox.take_put_off() or self._mailbox.take_now()
            if letter is not None:
                return letter
            if not self._preload:
                return self._mailbox.take()
            try:
                import_module(self._preload.popleft())
            except Exception:  # the stage that needs it tells the user, in its own words
                traceback.print_exc()

    def _run_stage(self, order: RunStage) -> StageEnd:
        begin = time.monotonic()
        try:
            entry = self._entry(order)
            place = self._open()
            place.workspace.check_in_place()  # before a log makes it anew
            with self._output.to(place.workspace.log_path(order.stage)):
                end = place.run(entry, order)
        except Stopped:
            end = StageEnd(stage=order.stage, state="stopped", seconds=time.monotonic() - begin)
        except PipelineError as error:
            end = StageEnd.of_failure(order.stage, error, time.monotonic() - begin)
        return end.model_copy(update={"peak_rss_mb": peak_rss_mb()})

    def _write_report(self, order: WriteReport) -> Reported:
        try:
            entries = self._plan(route=order.route)
            return Reported(report=self._open().write_report(order, entries))
        except PipelineError as error:
            return Reported(error=f"{error.message} {error.hint}")

    def _serve_views(self) -> Served:
        try:
            place = self._open()
            log = place.workspace.log_path("views")
            # A run that can only be read can be looked at all the same.
            writable = os.access(place.workspace.root, os.W_OK)
            with self._output.to(log) if writable else nullcontext():
                place.serve_views()
        except PipelineError as error:
            return Served(error=f"{error.message} {error.hint}")
        return Served()

    def _prepare_cloud(self, order: PrepareCloud) -> Prepared:
        """Without a workplace: a stage could load what does not bear open3d."""
        from pipeline.cloud_making import make_cloud

        try:
            if self._begin is None:
                raise RuntimeError("the first order is not Begin")
            with self._output.to(stage_log(self._begin.root, "clouds")):
                make_cloud(self._begin.root, order.cloud, order.without_open3d)
        except PipelineError as error:
            return Prepared(error=f"{error.message} {error.hint}")
        return Prepared()

    def _render_film(self, order: RenderFilm) -> Filmed:
        """Without a workplace: the run may be one that can only be read, but for its films."""
        from pipeline.film_making import make_film
        from pipeline.render_request import RenderProgress, RenderRequest

        told = -math.inf

        def tell(progress: RenderProgress) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= SECONDS_BETWEEN_FRAMES or progress.done == progress.total:
                told = now
                self._outbox.say(FilmProgress(**asdict(progress)))

        size = order.width, order.height
        request = RenderRequest(
            order.name, order.frames, size, order.fps, keyframes=order.keyframes
        )
        try:
            if self._begin is None:
                raise RuntimeError("the first order is not Begin")
            with self._output.to(stage_log(self._begin.root, "films")):
                file, note = make_film(self._begin.root, order.name, request, tell)
        except PipelineError as error:
            return Filmed(error=f"{error.message} {error.hint}")
        return Filmed(file=file, note=note)

    def _entry(self, order: RunStage) -> stages.StageEntry:
        entries = self._plan(route=order.route, until=order.stage)
        return entries[-1]

    def _open(self) -> Workplace:
        """Where this worker works, with numpy and all; opened at the first need."""
        if self._place is None:
            from pipeline.engine.workplace import Workplace

            if self._begin is None:
                raise RuntimeError("the first order is not Begin")
            self._place = Workplace(
                self._begin,
                self._lock,
                self._mailbox,
                self._outbox,
                self._heeded,
                self._desk,
            )
        return self._place


class Lifeline:
    """The tie to the engine. After its end the stage has some seconds to notice, and some more to
    save what it has; then the process ends in any case, so that the run is free for a new engine.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self.heeded = threading.Event()
        self._mailbox = mailbox
        self._lock = threading.Lock()
        self._cut = False

    def cut(self) -> None:
        """The engine is gone; from any thread, as often as one likes."""
        with self._lock:
            first, self._cut = not self._cut, True
        if first:
            self._mailbox.put(EngineGone())
            threading.Thread(target=self._see_to_the_end, name="lifeline", daemon=True).start()

    def _see_to_the_end(self) -> None:
        if self.heeded.wait(SECONDS_TO_POLL):
            time.sleep(SECONDS_TO_END)
        leave(_ENGINE_GONE)


class _Output:
    """Where this process prints to: also what libraries write past Python."""

    def __init__(self) -> None:
        self._usual = os.dup(2)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # what a crash leaves is to be complete

    @contextmanager
    def to(self, path: Path) -> Iterator[None]:
        """Append to a file within the block. Raises PipelineError where it cannot be opened."""
        from pipeline.atomic_files import make_folder, storage_error

        make_folder(path.parent)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise storage_error(error, path) from error
        self._switch(file)
        os.close(file)
        try:
            yield
        finally:
            self._switch(self._usual)

    @staticmethod
    def _switch(file: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(file, 1)
        os.dup2(file, 2)


def leave(code: int) -> NoReturn:
    """End this process at once, and before it all others of its group if it leads one."""
    _end_others()
    os._exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Ends by the signal itself, so that whoever waits for this process sees what ended it."""
    _end_others()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _end_others() -> None:
    if os.getpgrp() == os.getpid():
        for pid in _others_of_group():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _others_of_group() -> list[int]:
    own, group = os.getpid(), str(os.getpgrp())
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != own:
            try:
                stat = (folder / "stat").read_text(errors="replace")
            except OSError:  # it has ended meanwhile
                continue
            # After the name in brackets, which may hold anything: state, parent, group.
            if stat.rpartition(")")[2].split()[2] == group:
                found.append(int(folder.name))
    return found


def main(arguments: Sequence[str] | None = None, plan: Plan = stages.plan) -> None:
    """Serve the engine that has started this process; does not return.

    plan: which stages there are.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches whole groups
    signal.signal(signal.SIGTERM, _terminate)
    faulthandler.enable(2, all_threads=False)
    parser = argparse.ArgumentParser(description="Started by an engine only.")
    for name in ("--orders", "--sayings", "--lock"):
        parser.add_argument(name, type=int, required=True, help="inherited descriptor")
    parser.add_argument("--nice", type=int, default=0)
    options = parser.parse_args(arguments)
    os.nice(options.nice)
    for descriptor in (options.orders, options.sayings, options.lock):
        # What this process starts must not keep pipes and lock open after its end.
        os.set_inheritable(descriptor, False)
    mailbox = Mailbox()
    lifeline = Lifeline(mailbox)
    outbox = Outbox(options.sayings, lifeline.cut)
    reader = threading.Thread(
        target=read_orders, args=(options.orders, mailbox, lifeline.cut), name="orders", daemon=True
    )
    reader.start()
    try:
        ended = Worker(mailbox, outbox, options.lock, lifeline.heeded, plan).serve()
        outbox.close()
    except BaseException:
        traceback.print_exc()
        leave(1)
    # Not through the interpreter's own end: libraries have been seen to crash or hang in it.
    sys.stdout.flush()
    sys.stderr.flush()
    leave(0 if ended else _ENGINE_GONE)


if __name__ == "__main__":
    main()
