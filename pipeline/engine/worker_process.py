"""A worker process as the engine sees it: orders down, records up, and whatever becomes of it.

Nothing here waits for the worker but with a time limit, and nothing that happens to it is an error
of the engine: a stage whose worker died has failed, with the reason in words.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.engine.channel import (
    BrokenChannel,
    Parcel,
    Sender,
    open_reader,
    receive_parcel,
)
from pipeline.engine.deaths import LOG_LINES, Death, MemoryWatch, describe_death, last_lines
from pipeline.engine.log_cutting import cut_log, file_size
from pipeline.engine.orders import (
    SAYING,
    Begin,
    End,
    Filmed,
    FilmProgress,
    Frame,
    Paused,
    PrepareCloud,
    Prepared,
    Records,
    RenderFilm,
    Reported,
    RunStage,
    Saying,
    Served,
    ServeViews,
    StageEnd,
    StopStage,
    ViewShown,
    WriteReport,
)
from pipeline.engine.view_post import frame_of
from pipeline.errors import PipelineError
from pipeline.events import Record, record_from_json
from pipeline.machine import peak_rss_mb_of
from pipeline.request import GivenPaths
from pipeline.run_directory import stage_log
from pipeline.thread_limits import thread_limits
from pipeline.view_requests import ViewFrame

WORKER_COMMAND = (sys.executable, "-P", "-m", "pipeline.engine.worker")
NICE = 5
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_EXIT = 10.0  # after it has hung up

OnRecords = Callable[[str, Sequence[Record]], None]
OnPaused = Callable[[bool], None]
OnView = Callable[[ViewFrame], None]
OnFilm = Callable[[FilmProgress], None]
AnswerT = TypeVar("AnswerT", bound=Frame)


@dataclass(frozen=True)
class Listeners:
    """Who hears of a worker. on_records: gets a stage's name and some of its records, in order.
    on_paused: whether the stage has come to rest, or goes on. on_view: gets views for viewers."""

    on_records: OnRecords
    on_paused: OnPaused
    on_view: OnView


@dataclass(frozen=True)
class WorkerSpec:
    """How to start a worker.

    root: the run directory. lock_fd: the descriptor that holds its lock. log: takes what the worker
    prints between two stages. threads: how many it may use. cluster: a Dask scheduler or "".
    preload: modules to import while there is nothing to do. command: what is started.
    """

    root: Path
    lock_fd: int
    paths: GivenPaths
    log: Path
    threads: int
    cluster: str = ""
    nice: int = NICE
    preload: tuple[str, ...] = ()
    command: tuple[str, ...] = WORKER_COMMAND


class WorkerProcess:
    """One worker from its start to its end. All methods belong to the event loop."""

    def __init__(
        self,
        spec: WorkerSpec,
        process: asyncio.subprocess.Process,
        sender: Sender,
        listeners: Listeners,
    ) -> None:
        self._spec = spec
        self._process = process
        self._sender = sender
        self._listeners = listeners
        self._memory = MemoryWatch()
        self._peak_rss_mb = 0.0
        self._log: Path | None = None
        self._on_film: OnFilm = lambda progress: None
        self._answers: dict[type[Frame], asyncio.Future[Any]] = {}
        self._told_to_stop = False
        self._fault = ""
        self._alive = True
        self._life: asyncio.Task[None]

    @classmethod
    async def start(cls, spec: WorkerSpec, listeners: Listeners) -> WorkerProcess:
        """Start a worker; it imports what it needs while the engine goes on. Raises PipelineError
        if the system starts no process."""
        try:
            return await cls._started(spec, listeners)
        except (OSError, RuntimeError) as error:  # no pipe, no process, or no thread to start it in
            raise PipelineError(
                "No worker",
                f"{spec.command[0]} could not be started: {_reason(error)}.",
                "Close other programs or raise the limits of processes and open files "
                "(ulimit -u, ulimit -n), then retry.",
            ) from error

    @classmethod
    async def _started(cls, spec: WorkerSpec, listeners: Listeners) -> WorkerProcess:
        # The process comes last, so that what fails before leaves none behind.
        with ExitStack() as ours, ExitStack() as theirs:
            orders_out, orders_in = os.pipe()
            theirs.callback(os.close, orders_out)
            sender = await Sender.open(orders_in)
            ours.callback(sender.close)
            sayings_out, sayings_in = os.pipe()
            theirs.callback(os.close, sayings_in)
            reader, transport = await open_reader(sayings_out)
            ours.callback(transport.close)
            process = await _spawn(spec, orders_out, sayings_in)
            ours.pop_all()
        worker = cls(spec, process, sender, listeners)
        worker._life = asyncio.create_task(worker._live(reader, transport))
        begin = Begin(root=spec.root, paths=spec.paths, cluster=spec.cluster, preload=spec.preload)
        worker.order(begin)
        return worker

    @property
    def alive(self) -> bool:
        """Whether it can take orders."""
        return self._alive

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    @property
    def peak_rss_mb(self) -> float:
        """The most memory that the process has used so far."""
        return self._peak_rss_mb

    async def run_stage(self, order: RunStage) -> StageEnd:
        """Have a stage brought up to date. Any death of the worker gives the state `failed`, or
        `stopped` where it had been told to stop."""
        self._log = stage_log(self._spec.root, order.stage)
        start, begin = file_size(self._log), time.monotonic()
        self._told_to_stop = False
        end = await self._ask(order, StageEnd)
        if end is None:
            end = self._end_by_death(order.stage, time.monotonic() - begin)
        if end.state == "failed":
            lines = await asyncio.to_thread(last_lines, self._log, LOG_LINES, start)
            end = end.model_copy(update={"log": tuple(lines)})
        self._peak_rss_mb = max(self._peak_rss_mb, end.peak_rss_mb)
        return end.model_copy(update={"peak_rss_mb": self._peak_rss_mb})

    async def write_report(self, order: WriteReport) -> Reported:
        """Have `report.json` written; any death of the worker is told as the error."""
        reported = await self._ask(order, Reported)
        return reported or Reported(error=f"The report was not written: {self._death().why}.")

    async def serve_views(self) -> Served:
        """Have views of the run's radiance field rendered until it is closed; any death of the
        worker is told as the error."""
        served = await self._ask(ServeViews(), Served)
        return served or Served(error=f"Views cannot be rendered: {self._death().why}.")

    async def prepare_cloud(self, order: PrepareCloud) -> Prepared:
        """Have a cloud made; any death of the worker is told as the error."""
        prepared = await self._ask(order, Prepared)
        return prepared or Prepared(error=self._death().why, died=True)

    async def render_film(self, order: RenderFilm, told: OnFilm) -> Filmed:
        """Have a film rendered; any death of the worker is told as the error. told: hears how far
        it is."""
        self._on_film = told
        filmed = await self._ask(order, Filmed)
        return filmed or Filmed(error=f"{self._death().why}.")

    async def _ask(self, order: Frame, kind: type[AnswerT]) -> AnswerT | None:
        """Send an order that is answered by a saying of that kind; None if the worker dies of it,
        or has died before."""
        answered = self._answers[kind] = asyncio.get_running_loop().create_future()
        try:
            self.order(order)  # before anything is awaited: other orders for a stage may follow
            return await answered if self._alive else None
        finally:
            del self._answers[kind]

    def order(self, order: Frame) -> None:
        """Send an order; a worker that is dead does not get it."""
        # Not pydantic's own JSON: names of files may hold lone surrogates.
        self._sender.send(Parcel(json.dumps(order.model_dump(mode="json")).encode()))

    async def stop_stage(self, grace_s: float = 20.0, term_s: float = 5.0) -> None:
        """Have the stage end with a checkpoint; returns when it has ended.

        A worker that has not done so after `grace_s` gets SIGTERM, and after `term_s` more its
        whole group is killed.
        """
        stage_end = self._answers.get(StageEnd)
        if stage_end is not None and self._alive:
            self._told_to_stop = True
            self.order(StopStage())
            await self._insist(stage_end, grace_s, term_s)

    async def close(self, grace_s: float = 120.0, term_s: float = 5.0) -> None:
        """Have the worker finish what it writes in the background and exit; returns when it is
        gone, after the same ladder as that of `stop_stage`."""
        if self._alive:
            self._told_to_stop = True
            self.order(End())
        await self._insist(self._life, grace_s, term_s)
        await self._life  # for the errors of those who listened to it

    async def _insist(self, end: asyncio.Future[Any], grace_s: float, term_s: float) -> None:
        """Wait for an end, with growing force."""
        for seconds, number in ((grace_s, signal.SIGTERM), (term_s, signal.SIGKILL)):
            done, _ = await asyncio.wait({end}, timeout=seconds)
            if done:
                return
            self._signal_group(number)
        await asyncio.wait({end})

    async def _live(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        """Hear the worker to its end, and see that nothing of it is left."""
        reaping = asyncio.create_task(self._reap())
        looking = asyncio.create_task(self._look_after())
        try:
            while (parcel := await receive_parcel(reader)) is not None:
                self._hear(_understood(parcel))
        except BrokenChannel as error:
            self._fault = f"it said what makes no sense ({error})"
            self._signal_group(signal.SIGKILL)
        except asyncio.CancelledError:
            raise  # the engine ends in a hurry; the worker learns of it by the end of the pipes
        except BaseException:
            self._signal_group(signal.SIGKILL)
            raise
        finally:
            self._alive = False
            self._sender.close()
            transport.close()
            await self._see_it_end(reaping)
            looking.cancel()
            for answered in self._answers.values():
                _settle(answered, None)

    async def _see_it_end(self, reaping: asyncio.Task[None]) -> None:
        ended, _ = await asyncio.wait({reaping}, timeout=SECONDS_TO_EXIT)
        if not ended:
            self._fault = self._fault or "it hung up without an end"
            self._signal_group(signal.SIGKILL)
            await asyncio.wait({reaping})

    async def _reap(self) -> None:
        await self._process.wait()
        # Its pools may outlive it, and hold the pipes open; the lock is free only without them.
        self._signal_group(signal.SIGKILL)

    def _hear(self, saying: Saying | _Told | ViewFrame) -> None:
        match saying:
            case _Told():
                self._listeners.on_records(saying.stage, saying.records)
            case ViewFrame():
                self._listeners.on_view(saying)
            case Paused():
                self._listeners.on_paused(saying.paused)
            case FilmProgress():
                self._on_film(saying)
            case _ if type(saying) in self._answers:
                _settle(self._answers[type(saying)], saying)

    async def _look_after(self) -> None:
        """See how much memory it uses, and that it does not fill the disk with what it prints."""
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            self._peak_rss_mb = max(self._peak_rss_mb, peak_rss_mb_of(self.pid))
            if self._log is not None:
                await asyncio.to_thread(cut_log, self._log)

    def _end_by_death(self, stage: str, seconds: float) -> StageEnd:
        death = self._death(stage)
        if self._told_to_stop:
            why = f"it had to be forced: {death.why}"
            return StageEnd(stage=stage, state="stopped", seconds=seconds, why=why)
        return StageEnd(
            stage=stage,
            state="failed",
            seconds=seconds,
            title=f"The stage {stage} failed",
            why=death.why,
            hint=death.hint,
        )

    def _death(self, stage: str = "") -> Death:
        if self._fault:
            return Death(self._fault, "This is a fault of the program: report it with the log.")
        code = self._process.returncode
        assert code is not None, "who waits for it learns of the end only after its reaping"
        return describe_death(code, self._peak_rss_mb, self._memory.killed(), stage)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # nobody is left


@dataclass(frozen=True)
class _Told:
    """Records of a stage."""

    stage: str
    records: Sequence[Record]


def _understood(parcel: Parcel) -> Saying | _Told | ViewFrame:
    """What a parcel says. Raises BrokenChannel for what is no saying."""
    try:
        saying = SAYING.validate_json(parcel.header)
        if isinstance(saying, Records):
            return _Told(saying.stage, [record_from_json(data) for data in saying.records])
        if isinstance(saying, ViewShown):
            return frame_of(saying, parcel.body)
    except ValueError as error:
        raise BrokenChannel(str(error)) from error
    return saying


async def _spawn(spec: WorkerSpec, orders: int, sayings: int) -> asyncio.subprocess.Process:
    with spec.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *spec.command,
            *("--orders", str(orders), "--sayings", str(sayings)),
            *("--lock", str(spec.lock_fd), "--nice", str(spec.nice)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(orders, sayings, spec.lock_fd),
            env={**os.environ, **thread_limits(spec.threads)},
            start_new_session=True,
        )


def _settle(answered: asyncio.Future[Any], saying: Frame | None) -> None:
    if not answered.done():
        answered.set_result(saying)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
