"""What a worker has open while it works: the workspace, executors, the stages' products."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.checkpoint_file import checkpoint_path
from pipeline.engine.executor import Executors
from pipeline.engine.orders import Begin, RunStage, StageEnd, WriteReport
from pipeline.engine.post import Mailbox, Outbox
from pipeline.engine.worker_control import WorkerControl
from pipeline.errors import PipelineError
from pipeline.events import Progress, Warned
from pipeline.machine import peak_rss_mb, usable_cores
from pipeline.products import RadianceField
from pipeline.run_report import Usage, write_report
from pipeline.runner import (
    StageOutcome,
    StageRunner,
    failures_in_words,
)
from pipeline.stage_work import FieldChange
from pipeline.stages import ENTRIES, VIEW_SERVER, VIEWED_STAGE, StageEntry
from pipeline.version import VERSION
from pipeline.view_desk import LiveDesk
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.inputs import GivenInputs

_MADE = {product for entry in ENTRIES for product in entry.makes}


class Workplace:
    """Where stages run, one after the other; `close` it in the end.

    heeded: is set when a stage has noticed that the engine is gone. desk: where those who look at
    the scene ask. Raises PipelineError where the run directory cannot be used.
    """

    def __init__(
        self,
        begin: Begin,
        lock: int,
        mailbox: Mailbox,
        outbox: Outbox,
        heeded: threading.Event,
        desk: LiveDesk,
    ) -> None:
        self.workspace = Workspace(begin.root, VERSION, lock=lock)
        self._paths = begin.paths
        self._outbox = outbox
        self._open = ExitStack()
        cores = usable_cores()
        # Of this machine: stages may have executors on machines that lack the user's files.
        self._threads = self._open.enter_context(ThreadPoolExecutor(cores, "hash"))
        executors = self._open.enter_context(Executors(self.workspace.root, cores, begin.cluster))
        self._control = WorkerControl(
            self.workspace.store, self._threads, cores, mailbox, outbox, heeded, desk
        )
        self._stages = StageRunner(self.workspace, self._control, outbox.tell, executors)

    def run(self, entry: StageEntry, order: RunStage) -> StageEnd:
        """Bring a stage up to date. Raises Stopped, and PipelineError where it failed."""
        self._control.start_over()
        with failures_in_words(entry.name, self.workspace):
            given = None if set(entry.needs) <= _MADE else self._read_inputs(order)
            changed = [FieldChange(c.field, c.value, c.by, c.revision) for c in order.changed]
            outcome = self._stages.run(entry, order.config, given, changed)
        return StageEnd(
            stage=entry.name,
            state=outcome.state,
            seconds=outcome.seconds,
            report=_plain(outcome.report),
        )

    def write_report(self, order: WriteReport, entries: Sequence[StageEntry]) -> dict[str, Any]:
        """Write `report.json`; its content. entries: all stages of the method. Raises
        PipelineError."""
        outcomes = [
            StageOutcome(
                end.stage,
                "skipped" if end.state == "skipped" else "done",
                end.seconds,
                end.report,
            )
            for end in order.outcomes
        ]
        usage = Usage(order.wall_s, max(order.peak_rss_mb, peak_rss_mb()))
        product = self._stages.product
        return _plain(write_report(self.workspace, order.config, entries, outcomes, product, usage))

    def serve_views(self) -> None:
        """Render views of the run's radiance field for those who look, until the engine stops it.
        Raises PipelineError where there is none that could be rendered."""
        self._control.start_over()
        with failures_in_words("radiance", self.workspace):
            open_field = getattr(import_module(VIEW_SERVER[0]), VIEW_SERVER[1])
            field, step = self._newest_field()
            open_field(field, self._control.views, step)
            try:
                self._control.serve_until_stopped()
            finally:
                self._control.begin(None)

    def _newest_field(self) -> tuple[Any, int]:
        """The trained field, or that of the checkpoint of a training that was stopped since; and
        the step of the training that it is of."""
        root = self.workspace.root
        if checkpoint_path(root, VIEWED_STAGE).exists():
            from pipeline.field_reading import read_newest_field

            found = read_newest_field(root)
            if found.step is not None:
                # Of the other two, neither is looked at.
                return RadianceField(found.arrays, held_out=(), size_px=1), found.step
        entry = self.workspace.entry(VIEWED_STAGE)
        steps = entry.report.get("steps") if entry is not None else None
        return self._stages.product("radiance"), steps if isinstance(steps, int) else 0

    def close(self) -> None:
        """Finish what goes on in the background; what fails there is told as a warning."""
        try:
            self._stages.finish()
        except PipelineError as error:
            words = f"database.db is not written: {error.message} The next run writes it."
            self._outbox.tell("verification", Warned(words, "database.db"))
        try:
            self.workspace.store.flush()
        except PipelineError as error:
            self._outbox.tell("", Warned(f"{error.message} {error.hint}"))
        self._open.close()

    def _read_inputs(self, order: RunStage) -> GivenInputs:
        """The user's files, looked at anew: they may have been mended after a failure."""
        # It reads pictures; most workers have no use for that.
        from pipeline.inputs import find_files, read_inputs

        def told(done: int, total: int) -> None:
            self._control.poll()
            if self._control.due():
                doing = "reading photographs"
                self._outbox.tell(order.stage, Progress(done, total, "photographs", doing))

        found = find_files(self._paths, order.config, self.workspace.root)
        given = read_inputs(self._paths, found, self.workspace, self._threads, told)
        self.workspace.claim(given.scene, given.photos)
        return given


def _plain(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report as it stands in files."""
    plain: dict[str, Any] = json.loads(json.dumps(report))
    return plain
