"""A run directory with photographs, and workers on it, for tests of the engine's side."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from pipeline.config import RunConfig
from pipeline.engine.orders import ChangeField, RunStage, StageEnd
from pipeline.engine.worker_process import Listeners, WorkerProcess, WorkerSpec
from pipeline.events import Record
from pipeline.request import GivenPaths
from pipeline.run_directory import RunDirectory
from pipeline.stages import STAGE_NAMES
from pipeline.version import VERSION
from pipeline.view_requests import ViewFrame
from tests.engine.fake_worker import COMMAND

RecordT = TypeVar("RecordT", bound=Record)
MOST_SECONDS = 60.0


@dataclass
class Bench:
    """Workers on one run directory, and what was heard of them."""

    directory: RunDirectory
    photos: Path
    command: tuple[str, ...] = COMMAND
    told: list[tuple[str, Record]] = field(default_factory=list)
    paused: list[bool] = field(default_factory=list)
    views: list[ViewFrame] = field(default_factory=list)

    @asynccontextmanager
    async def worker(self, preload: tuple[str, ...] = ()) -> AsyncIterator[WorkerProcess]:
        """A worker, which is closed in the end."""
        spec = WorkerSpec(
            root=self.directory.root,
            lock_fd=self.directory.lock_fd,
            paths=GivenPaths(photos=self.photos),
            log=self.directory.root / "engine.log",
            threads=2,
            preload=preload,
            command=self.command,
        )
        listeners = Listeners(self._tell, self.paused.append, self.views.append)
        worker = await WorkerProcess.start(spec, listeners)
        try:
            yield worker
        finally:
            await worker.close(grace_s=20.0)

    def of(self, kind: type[RecordT]) -> list[RecordT]:
        """The records of a kind that were heard so far."""
        return [record for _, record in self.told if isinstance(record, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds, on the event loop; TimeoutError after a minute."""
        async with asyncio.timeout(MOST_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)

    def _tell(self, stage: str, records: Sequence[Record]) -> None:
        self.told += [(stage, record) for record in records]


def open_bench(folder: Path) -> Bench:
    """A bench with four photographs; close its directory in the end."""
    photos = folder / "photos"
    photos.mkdir(exist_ok=True)
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (photos / name).write_text(name)
    return Bench(RunDirectory(folder / "run", VERSION), photos)


def order(stage: str, **fields: JsonValue) -> RunStage:
    """An order to run a stage; fields: those of its configuration that the user has changed."""
    config = RunConfig.model_validate({stage: fields})
    changed = tuple(
        ChangeField(field=field, value=value, revision=1, by="a test")
        for field, value in fields.items()
    )
    return RunStage(stage=stage, route="mapped", config=config, changed=changed)


async def run_until(
    worker: WorkerProcess, last: str, config: RunConfig | None = None
) -> list[StageEnd]:
    """Run the stages up to one."""
    ends = []
    for stage in STAGE_NAMES[: STAGE_NAMES.index(last) + 1]:
        given = RunStage(stage=stage, route="mapped", config=config or RunConfig())
        ends.append(await worker.run_stage(given))
    return ends


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def wait_until(condition: Callable[[], object]) -> None:
    """As `Bench.until`, without an event loop."""
    last = time.monotonic() + MOST_SECONDS
    while not condition():
        if time.monotonic() > last:
            raise TimeoutError
        time.sleep(0.02)


def kill_if_alive(pid: int) -> None:
    """For the end of a test that failed."""
    if not gone(pid):
        os.kill(pid, signal.SIGKILL)
