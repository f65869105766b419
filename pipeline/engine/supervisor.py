"""The course of a run: takes the stages one after the other through the workers.

Everything here belongs to one event loop, so there are no locks. The methods that change the course
only note what is wanted; it happens at the next step of the stage that runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from pipeline.engine.audience import Audience, Patience
from pipeline.engine.course import Course
from pipeline.engine.disk_room import ENOUGH_MB, room_again
from pipeline.engine.journal import Journal
from pipeline.engine.orders import (
    ChangeField,
    CheckpointStage,
    PauseStage,
    Reported,
    ResumeStage,
    StageEnd,
    WriteReport,
)
from pipeline.engine.parameters import Parameters, as_record
from pipeline.engine.viewing import Viewing
from pipeline.engine.workers import Workers
from pipeline.errors import PipelineError
from pipeline.events import RunChanged, RunStateName, StageChanged, StageStateName
from pipeline.request import Change
from pipeline.run_directory import RunDirectory
from pipeline.stages import VIEWED_STAGE, StageEntry

_FINISHED = ("done", "skipped")


class Supervisor:
    """Runs the planned stages; `run` returns when the engine is to end."""

    def __init__(
        self,
        directory: RunDirectory,
        parameters: Parameters,
        journal: Journal,
        workers: Workers,
        audience: Audience,
        patience: Patience,
        viewing: Viewing,
    ) -> None:
        self._directory = directory
        self._parameters = parameters
        self._journal = journal
        self._workers = workers
        self._audience = audience
        self._patience = patience
        self._viewing = viewing
        self._state: RunStateName = "starting"
        self._running: str | None = None
        self._course = Course(directory, parameters)
        self._pause_reason: RunChanged | None = None
        self._room_wanted: RunChanged | None = None
        self._stop_wanted = False
        self._given_up: RunChanged | None = None
        self._overtaken: tuple[StageStateName, str] | None = None
        self._again_wanted = False
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> RunStateName:
        """Of the run."""
        return self._state

    @property
    def running(self) -> str | None:
        """The stage that a worker has in hand, paused or not."""
        return self._running

    @property
    def pausing(self) -> bool:
        """Whether a pause is wanted; the state says whether it has begun."""
        return self._pause_reason is not None

    @property
    def waits_for_room(self) -> bool:
        """Whether the pause ends by itself, when the disk has room again."""
        return self._pause_reason is not None and self._pause_reason is self._room_wanted

    @property
    def course(self) -> Course:
        """What the run is to do, and how far it is."""
        return self._course

    @property
    def ending(self) -> bool:
        """Whether nothing is begun any more, because the engine ends."""
        return self._stop_wanted

    async def run(self) -> None:
        """Run the stages, then wait for more to do as long as somebody may want it."""
        try:
            self._tell_run("starting")
            for change in self._parameters.changes_since(self._journal.view().revision):
                self._journal.tell(change.parameter.partition(".")[0], as_record(change))
            for entry in self._course.planned():
                self._tell_stage(entry.name, "waiting")
            await self._pass()
            while not self._stop_wanted and await self._wanted_again():
                await self._pass()
            if self._given_up is not None:
                await asyncio.sleep(self._patience.done_s)  # no file tells later how it ended
        finally:
            for task in self._tasks:
                task.cancel()
            await self._viewing.run_begins()  # no worker of its own any more
            await self._workers.close()

    def pause(self, why: str) -> None:
        """Hold after the step at hand."""
        self._pause_reason = RunChanged("paused", why)
        if self._state == "paused":  # for room; from now on it is the user's
            self._tell_run("paused", why)
        elif self._running is None:
            self._wake.set()
        elif self._workers.current is not None:
            self._tell_run("running", "pausing after the step at hand")
            self._workers.current.order(PauseStage())

    def resume(self) -> None:
        """End a pause."""
        self._pause_reason = None
        self._wake.set()
        if self._state == "running":
            self._tell_run("running")  # the pause had not begun
        if self._running is not None and self._workers.current is not None:
            self._workers.current.order(ResumeStage())

    def stop(self) -> None:
        """End the run after the step at hand, with a checkpoint, and the engine with it."""
        self._stop_wanted = True
        self._wake.set()
        if self._state in ("starting", "running", "paused"):
            self._tell_run("stopping", "after the step at hand")
            self._stop_stage()

    def give_up(self, why: str, hint: str) -> None:
        """End at once, and save nothing: there is no place for it any more."""
        self._given_up = RunChanged("failed", why, hint)
        self._stop_wanted = True
        self._wake.set()
        if self._running is not None and self._workers.current is not None:
            self._start(self._workers.current.stop_stage(grace_s=0.0))

    def checkpoint(self) -> bool:
        """Save a checkpoint after the step at hand; false where no stage runs."""
        if self._running is None or self._workers.current is None:
            return False
        self._workers.current.order(CheckpointStage())
        return True

    def again(self) -> None:
        """Go on after the end of the run: retry what failed, run what is stale or newly planned."""
        self._again_wanted = True
        self._wake.set()

    def change(self, change: Change) -> None:
        """Hand a live change to the stage that runs."""
        if self._workers.current is not None:
            self._workers.current.order(ChangeField.of(change))

    def rerun_from(self, stage: str, why: str) -> None:
        """Mark a stage and all after it as stale, and run them again."""
        for name in self._course.after(stage):
            if name == self._running:
                self._overtake("stale", why)
            elif self._course.reopen(name):
                self._tell_stage(name, "stale", why)
        self.again()

    def run_anew_from(self, stage: str, why: str) -> None:
        """Run a stage and all after it again from their beginning, whatever is done of them."""
        self._course.begin_anew(stage)
        self.rerun_from(stage, why)

    def plan_changed(self) -> None:
        """Stop the running stage if it is not wanted any more, and run those that are now."""
        if self._running is not None and self._running not in [
            entry.name for entry in self._course.planned()
        ]:
            self._overtake("stopped", "not wanted any more")
        if self._state != "failed":  # what failed waits for a retry
            self.again()

    def paused_by_worker(self, paused: bool) -> None:
        """The stage has come to rest, or goes on."""
        if self._stop_wanted or self._state not in ("running", "paused"):
            return
        if paused and self._pause_reason is not None:
            self._tell_run("paused", self._pause_reason.why, self._pause_reason.hint)
        elif not paused:
            self._tell_run("running")

    async def _pass(self) -> None:
        """Bring all planned stages up to date; ends in the state done, failed or stopped."""
        begin = time.monotonic()
        await self._viewing.run_begins()
        if self._state == "failed":
            # A damaged product may be the reason: all stages are looked at anew.
            self._course.reopen_all()
        self._tell_run("running")
        while True:
            await self._while_paused()
            self._again_wanted = False  # all that was wanted so far is looked at now
            refused = await self._forget()
            if self._stop_wanted:
                self._tell_stopped()
                return
            if refused is not None:
                self._tell_run("failed", refused.message, refused.hint)
                return
            entry = self._course.next()
            if entry is None:
                if await self._finish(begin):
                    return
                continue
            end = await self._run_stage(entry)
            if end.state == "failed":
                self._workers.retire()  # whatever state the process is in: the next is a new one
                self._pause_reason = None  # it was meant for what has failed
                self._tell_run("failed", f"{entry.name}: {end.why}", end.hint)
                return

    async def _run_stage(self, entry: StageEntry) -> StageEnd:
        try:
            worker = await self._workers.for_stage(entry)
        except PipelineError as error:  # the system starts no process
            end = StageEnd.of_failure(entry.name, error)
            self._tell_end(end)
            return end
        if self._is_held_up() or self._course.next() != entry:  # an earlier one is to run again
            return StageEnd(stage=entry.name, state="stopped")
        self._prepare_after(entry)
        self._running = entry.name
        if entry.name == VIEWED_STAGE:
            self._viewing.attach(worker)
        try:
            end = await worker.run_stage(self._course.order(entry))
        finally:
            self._running = None
            self._viewing.detach()
        overtaken = self._take_overtaken()
        if end.state == "failed" and (self._stop_wanted or overtaken is not None):
            # It had to be killed on the way to a stop: no failure.
            end = end.model_copy(update={"state": "stopped"})
            self._workers.retire()
        if overtaken is not None:
            self._tell_stage(entry.name, *overtaken)
        elif end.state in _FINISHED and not self._course.knows_its_parameters(entry):
            self._tell_stage(entry.name, "stale", "a parameter changed after its last step")
        elif end.state == "full":
            self._tell_stage(entry.name, "stopped", end.why)
            self._hold_for_room(end)
        else:
            self._tell_end(end)
            if end.state in _FINISHED:
                self._course.finish(end)
        return end

    def _prepare_after(self, entry: StageEntry) -> None:
        """Start the worker of the next stage if it needs another one."""
        later = self._course.follower(entry)
        if later is not None and later.libraries != entry.libraries:
            self._workers.prepare(later)

    def _is_held_up(self) -> bool:
        return self._stop_wanted or self._pause_reason is not None

    def _overtake(self, state: StageStateName, why: str) -> None:
        """Stop the stage that runs, whose outcome is of no use any more."""
        self._overtaken = state, why
        self._stop_stage()

    def _take_overtaken(self) -> tuple[StageStateName, str] | None:
        overtaken, self._overtaken = self._overtaken, None
        return overtaken

    async def _finish(self, begin: float) -> bool:
        """Write the report and let the workers end; false where more is wanted meanwhile."""
        reported = await self._report(begin)
        if reported is not None:
            await self._workers.close()
        if reported is None or self._again_wanted or self._pause_reason is not None:
            return False
        if reported.error:
            self._tell_run("failed", reported.error, "All stages are done: retry writes it again.")
        else:
            until = self._parameters.request.until
            self._tell_run("done", f"up to {until}" if until else "")
        return True

    async def _report(self, begin: float) -> Reported | None:
        """Have the report written; None where a stage is to run again before."""
        try:
            worker = await self._workers.for_stage(self._course.planned()[-1])
        except PipelineError as error:
            return Reported(error=f"{error.message} {error.hint}")
        outcomes = self._course.outcomes()  # a worker takes its time to start
        if outcomes is None:
            return None
        order = WriteReport(
            route=self._parameters.request.route,
            config=self._parameters.config,
            outcomes=outcomes,
            wall_s=time.monotonic() - begin,
            peak_rss_mb=self._workers.peak_rss_mb,
        )
        return await worker.write_report(order)

    async def _while_paused(self) -> None:
        while self._pause_reason is not None and not self._stop_wanted:
            if self._state != "paused":
                self._tell_run("paused", self._pause_reason.why, self._pause_reason.hint)
            self._wake.clear()
            await self._forget()  # what the disk refuses now is tried again with the next stage
            await self._wake.wait()
        if self._state == "paused" and not self._stop_wanted:
            self._tell_run("running")

    async def _forget(self) -> PipelineError | None:
        """Forget what is to run anew; why that was not possible."""
        try:
            await self._course.forget()
        except PipelineError as error:
            return error
        return None

    def _hold_for_room(self, end: StageEnd) -> None:
        """Pause because the disk is full, until there is room or the user says so."""
        if self._pause_reason is not None:
            return  # the user holds it
        hint = (
            f"{end.hint} It goes on when {ENOUGH_MB} MB more are free, or with `barfield resume`."
        )
        self._pause_reason = self._room_wanted = RunChanged("paused", end.why, hint)
        self._start(self._resume_with_room(self._pause_reason))

    async def _resume_with_room(self, reason: RunChanged) -> None:
        if await room_again(self._directory.root, lambda: self._pause_reason is reason):
            self.resume()

    async def _wanted_again(self) -> bool:
        """Wait for more to do; false when the run has ended and nobody listened for a while."""
        self._viewing.run_rests()
        failed = self._state == "failed"
        patience_s = self._patience.failed_s if failed else self._patience.done_s
        self._audience.touch()
        while not self._again_wanted and not self._stop_wanted:
            left_s = patience_s - self._audience.quiet_s()
            if left_s <= 0:
                return False
            self._wake.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return not self._stop_wanted

    def _stop_stage(self) -> None:
        if self._running is not None and self._workers.current is not None:
            self._start(self._workers.current.stop_stage())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell_run(self, state: RunStateName, why: str = "", hint: str = "") -> None:
        self._state = state
        self._journal.tell("", RunChanged(state, why, hint))

    def _tell_stopped(self) -> None:
        if self._given_up is None:
            self._tell_run("stopped")
        else:
            self._tell_run(self._given_up.state, self._given_up.why, self._given_up.hint)

    def _tell_stage(self, name: str, state: StageStateName, why: str = "") -> None:
        self._journal.tell(name, StageChanged(name, state, why=why))

    def _tell_end(self, end: StageEnd) -> None:
        state: StageStateName = "failed" if end.state == "full" else end.state
        why = "up to date" if state == "skipped" else end.why
        changed = StageChanged(end.stage, state, end.seconds, why, end.hint, end.log)
        self._journal.tell(end.stage, changed)
