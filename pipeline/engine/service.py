"""What clients can ask of the engine: state, events, commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from pipeline.engine.audience import Audience
from pipeline.engine.deaths import last_lines
from pipeline.engine.filming import Filming
from pipeline.engine.interface import Subscription, Window
from pipeline.engine.journal import Journal
from pipeline.engine.messages import (
    Answer,
    CancelRender,
    Command,
    ConfigAnswer,
    EventsAnswer,
    LogAnswer,
    MetricAnswer,
    Pause,
    RenderPath,
    Resume,
    Retry,
    RunUntil,
    RunView,
    SaveCheckpoint,
    SetParameters,
    Stop,
)
from pipeline.engine.parameters import Parameters, Proposal, as_record
from pipeline.engine.preparing import Preparing
from pipeline.engine.retrying import retry_from, unknown_stage
from pipeline.engine.supervisor import Supervisor
from pipeline.engine.viewing import Viewing
from pipeline.errors import PipelineError
from pipeline.events import ENDED
from pipeline.run_directory import RunDirectory
from pipeline.scene_answer import SceneAnswer
from pipeline.view_requests import ViewFrame, ViewRequest


class Service:
    """The `Engine` that the server sees. One command is carried out at a time."""

    def __init__(
        self,
        directory: RunDirectory,
        parameters: Parameters,
        journal: Journal,
        supervisor: Supervisor,
        audience: Audience,
        viewing: Viewing,
        preparing: Preparing,
        filming: Filming,
    ) -> None:
        self._directory = directory
        self._parameters = parameters
        self._journal = journal
        self._supervisor = supervisor
        self._audience = audience
        self._viewing = viewing
        self._preparing = preparing
        self._filming = filming
        self._one_at_a_time = asyncio.Lock()

    def view(self) -> RunView:
        """The whole state."""
        self._audience.touch()
        view = self._journal.view()
        trouble = self._journal.trouble
        return view.model_copy(
            update={
                "revision": self._parameters.revision,
                "until": self._parameters.request.until,
                # Not an event: it would have to be written where nothing can be written.
                "warnings": (*view.warnings, trouble) if trouble else view.warnings,
            }
        )

    async def events_since(self, engine: str, seq: int, wait_s: float) -> EventsAnswer:
        """Events after `seq`; waits up to `wait_s` seconds for the first one."""
        with self._audience.listening():
            answer = await self._journal.events_since(engine, seq, wait_s)
        return answer if answer.view is None else answer.model_copy(update={"view": self.view()})

    def subscribe(self) -> Subscription:
        """A place in the stream, beginning now."""
        return _Listener(self._journal.subscribe(), self._audience.listening())

    def config(self) -> ConfigAnswer:
        """The current configuration."""
        return self._parameters.answer()

    async def log_tail(self, stage: str, lines: int) -> LogAnswer:
        """The last lines of a stage's log; KeyError for an unknown stage."""
        if stage not in self._supervisor.course.names():
            raise KeyError(stage)
        path = self._directory.log_path(stage)
        return LogAnswer(stage=stage, lines=tuple(await asyncio.to_thread(last_lines, path, lines)))

    async def metric(self, stage: str, name: str, buckets: int) -> MetricAnswer:
        """A metric, decimated; KeyError for an unknown one."""
        return await self._journal.metric(stage, name, buckets)

    async def scene(self) -> SceneAnswer:
        """What there is to see."""
        self._audience.touch()
        return await self._preparing.scene()

    def look(self) -> Window:
        """A place before the scene."""
        return _Looker(self._viewing.open(), self._audience.listening())

    async def command(self, command: Command, by: str) -> Answer:
        """Carry out a command. by: who asks, for the record."""
        self._audience.touch()
        async with self._one_at_a_time:
            try:
                answer = await self._carry_out(command, by)
            except PipelineError as error:
                answer = Answer(ok=False, message=error.message, hint=error.hint)
        return answer.model_copy(update={"revision": self._parameters.revision})

    async def _carry_out(self, command: Command, by: str) -> Answer:
        match command:
            case Pause():
                return self._pause(by)
            case Resume():
                return self._resume()
            case Stop():
                self._supervisor.stop()
                return Answer(ok=True, message="The run stops after the step at hand.")
            case SaveCheckpoint():
                return self._checkpoint()
            case Retry():
                return self._retry(command, by)
            case RunUntil():
                return await self._run_until(command.stage)
            case SetParameters():
                return await self._set(command, by)
            case RenderPath() | CancelRender():
                return await self._filming.command(command, by)

    def _pause(self, by: str) -> Answer:
        supervisor = self._supervisor
        if supervisor.state in ENDED or supervisor.state == "stopping":
            return Answer(ok=False, message=f"The run is {supervisor.state}: nothing to pause.")
        if supervisor.pausing and not supervisor.waits_for_room:
            return Answer(ok=True, message="The run is paused already.")
        held = supervisor.state == "paused"
        supervisor.pause(f"by {by}")
        if held:
            return Answer(ok=True, message="The run stays paused, also when there is room again.")
        return Answer(ok=True, message="The run pauses after the step at hand.")

    def _resume(self) -> Answer:
        if not self._supervisor.pausing:
            hint = (
                "`retry` tries a failed stage again." if self._supervisor.state == "failed" else ""
            )
            state = self._supervisor.state
            return Answer(ok=False, message=f"The run is {state}, not paused.", hint=hint)
        self._supervisor.resume()
        return Answer(ok=True, message="The run goes on.")

    def _checkpoint(self) -> Answer:
        if not self._supervisor.checkpoint():
            return Answer(ok=False, message="No stage runs now: all that is finished is kept.")
        return Answer(ok=True, message="A checkpoint is saved after the step at hand.")

    def _retry(self, command: Retry, by: str) -> Answer:
        if command.stage is not None:
            return retry_from(self._supervisor, command.stage, command.confirm, by)
        state = self._supervisor.state
        if state != "failed":
            hint = "`resume` goes on after a pause." if state == "paused" else ""
            return Answer(ok=False, message=f"The run is {state}, not failed.", hint=hint)
        self._supervisor.again()
        return Answer(ok=True, message="The failed stage is tried again.")

    async def _run_until(self, stage: str | None) -> Answer:
        names = self._supervisor.course.names()
        if stage is not None and stage not in names:
            return unknown_stage(stage, names)
        await self._parameters.set_until(stage)
        self._supervisor.plan_changed()
        return Answer(ok=True, message=f"The last stage is {stage or names[-1]}.")

    async def _set(self, command: SetParameters, by: str) -> Answer:
        base = command.base_revision
        if base is not None and base != self._parameters.revision:
            return Answer(
                ok=False,
                message=f"The parameters are at revision {self._parameters.revision}, "
                f"and you changed revision {base}.",
                hint="Look at them again, then repeat the change.",
            )
        proposal = self._parameters.propose(command.changes, by)
        if not proposal.changes:
            return Answer(ok=True, message="They have these values already.")
        fixed = [name for name, applies in proposal.applies.items() if applies == "restart"]
        if fixed:
            return Answer(
                ok=False,
                message=f"{fixed[0]} is fixed while a run goes on.",
                hint=f"Stop the run and start it again with --set {fixed[0]}=...",
            )
        reruns = self._reruns(proposal)
        if reruns and not command.confirm:
            return Answer(
                ok=False,
                message=f"{', '.join(reruns)} would run again.",
                hint="Confirm the change to do so.",
                reruns=reruns,
            )
        await self._parameters.accept(proposal)
        for change in proposal.changes:
            self._journal.tell(change.parameter.partition(".")[0], as_record(change))
        self._take_effect(proposal)
        told = ", ".join(f"{c.parameter} is {c.new!r}, was {c.old!r}" for c in proposal.changes)
        return Answer(ok=True, message=f"{told}.", reruns=reruns)

    def _take_effect(self, proposal: Proposal) -> None:
        """Hand live changes to the stage that runs, and run again what needs it. Looked at anew: a
        stage may have ended while the change was being written."""
        reruns = self._reruns(proposal)
        if reruns:
            names = ", ".join(change.parameter for change in proposal.changes)
            self._supervisor.rerun_from(reruns[0], f"{names} changed")
        for change in proposal.changes:
            stage = change.parameter.partition(".")[0]
            if stage == self._supervisor.running and stage not in reruns:
                self._supervisor.change(change)

    def _reruns(self, proposal: Proposal) -> tuple[str, ...]:
        """The stages that are done or running and would have to run again."""
        supervisor = self._supervisor
        course, names = supervisor.course, supervisor.course.names()
        first = len(names)
        for name, applies in proposal.applies.items():
            stage = name.partition(".")[0]
            begun = course.is_finished(stage) or (stage == supervisor.running and applies != "live")
            if begun:
                first = min(first, names.index(stage))
        begun_after = [
            name for name in names[first:] if course.is_finished(name) or name == supervisor.running
        ]
        return tuple(begun_after)


class _Listener:
    """A subscription that counts as audience as long as it is open."""

    def __init__(self, inner: Subscription, presence: AbstractContextManager[None]) -> None:
        self._inner = inner
        self._presence = presence
        presence.__enter__()

    async def next_batch(self) -> Sequence[dict[str, Any]] | None:
        return await self._inner.next_batch()

    def close(self) -> None:
        self._inner.close()
        self._presence.__exit__(None, None, None)


class _Looker:
    """A window that counts as audience as long as it is open."""

    def __init__(self, inner: Window, presence: AbstractContextManager[None]) -> None:
        self._inner = inner
        self._presence = presence
        presence.__enter__()

    def ask(self, request: ViewRequest) -> None:
        self._inner.ask(request)

    async def next_frame(self) -> ViewFrame:
        return await self._inner.next_frame()

    def acknowledge(self) -> None:
        self._inner.acknowledge()

    def close(self) -> None:
        self._inner.close()
        self._presence.__exit__(None, None, None)
