"""Running stages again from their beginning: what that means in each state of a run, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.engine.messages import Answer

if TYPE_CHECKING:
    from pipeline.engine.supervisor import Supervisor


def unknown_stage(stage: str, names: Sequence[str]) -> Answer:
    """The answer to a command that names no stage of the run."""
    message = f"There is no stage {stage}."
    return Answer(ok=False, message=message, hint=f"Stages: {', '.join(names)}.")


def not_planned(stage: str, last: str) -> Answer:
    """The answer where a stage comes after the last one that is to run."""
    return Answer(
        ok=False,
        message=f"{stage} is not to run: the last stage is {last}.",
        hint=f"`run-until` {stage} makes it run.",
    )


def comes_later(stage: str, due: str, *, failed: bool) -> Answer:
    """The answer where an earlier stage is not done. failed: that one was tried."""
    state = "has failed" if failed else "is not done"
    hint = f"`retry` tries {due} again." if failed else f"{stage} runs after it."
    return Answer(ok=False, message=f"{due} comes before {stage}, and {state}.", hint=hint)


def to_be_confirmed(stages: Sequence[str]) -> Answer:
    """The question before stages run again."""
    return Answer(
        ok=False,
        message=f"{', '.join(stages)} would run again from the beginning.",
        hint="Confirm it to do so.",
        reruns=tuple(stages),
    )


def retry_from(supervisor: Supervisor, stage: str, confirmed: bool, by: str) -> Answer:
    """Run a stage and all after it again, or say why not, or that it has to be confirmed.

    A later stage that runs is stopped for it, and so is the stage itself. Where an earlier one is
    at work or has failed, the stage is going to run in any case, and nothing is done.
    """
    refusal = _refusal(supervisor, stage)
    if refusal is not None:
        return refusal
    course = supervisor.course
    later = [name for name in course.after(stage)[1:] if _has_begun(supervisor, name)]
    stages = (stage, *later)
    if not confirmed:
        return to_be_confirmed(stages)
    supervisor.run_anew_from(stage, f"{stage} is to run again, says {by}")
    goes_on = " when the run goes on" if supervisor.pausing else ""
    verb = "runs" if len(stages) == 1 else "run"
    return Answer(
        ok=True,
        message=f"{', '.join(stages)} {verb} again from the beginning{goes_on}.",
        reruns=stages,
    )


def _refusal(supervisor: Supervisor, stage: str) -> Answer | None:
    names = supervisor.course.names()
    if stage not in names:
        return unknown_stage(stage, names)
    if supervisor.ending:
        return Answer(
            ok=False,
            message=f"The run is {supervisor.state}: nothing is begun any more.",
            hint="Repeat it when the run has stopped.",
        )
    planned = [entry.name for entry in supervisor.course.planned()]
    if stage not in planned:
        return not_planned(stage, planned[-1])
    due = supervisor.course.next()
    if due is not None and names.index(due.name) < names.index(stage):
        return comes_later(stage, due.name, failed=supervisor.state == "failed")
    return None


def _has_begun(supervisor: Supervisor, stage: str) -> bool:
    return stage == supervisor.running or supervisor.course.has_run(stage)
