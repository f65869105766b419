"""What a change of parameters would do, before it is made; what was changed, and how to undo it.

The engine decides; this foresees it by the same rules, so that a user sees what a change costs
while typing it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import JsonValue, ValidationError

from pipeline.config import RunConfig
from pipeline.config_base import Applies
from pipeline.engine.messages import ConfigAnswer, StageView
from pipeline.engine.parameters import parameters_at_rest
from pipeline.errors import PipelineError
from pipeline.events import ParameterChanged
from pipeline.request import RunRequest
from pipeline.run_directory import read_request
from pipeline.settings import SettingsError, changed_config, parameter, parameters
from tui.dashboard.link import Source
from tui.dashboard.model import Model
from tui.dashboard.parameters_form import FormField, value_in_words
from tui.words import duration_in_words

_FINISHED = ("done", "skipped")


@dataclass(frozen=True)
class Known:
    """What is known of a run's configuration.

    answer: the parameters as they are; of the last engine, where `problem` says why none answers.
    request: what the run was asked for, with the changes since; None where that is not known.
    """

    answer: ConfigAnswer
    request: RunRequest | None = None
    problem: str = ""

    @cached_property
    def config(self) -> RunConfig | None:
        """The configuration as it is; None where it is not known, or has parameters that we do not
        know."""
        if not self.answer.parameters:
            return None
        sections: dict[str, dict[str, Any]] = {}
        for name, view in self.answer.parameters.items():
            stage, _, field = name.partition(".")
            sections.setdefault(stage, {})[field] = view.value
        try:
            return RunConfig.model_validate(sections)
        except ValidationError:
            return None

    def with_changes(self, changes: Mapping[str, JsonValue]) -> RunConfig | None:
        """The configuration with some parameters changed, and with what follows from that.

        Raises SettingsError where it is not possible; None where we cannot tell.
        """
        if self.config is None:
            return None
        request = self.request
        if request is None:
            return changed_config(self.config, changes)
        if request.current_config() == self.config:
            return request.current_config(changes)  # as the engine does
        return changed_config(self.config, changes, request.route)


def look_up(source: Source) -> Known:
    """Ask the engine for the parameters, and look what was asked of the run; blocks.

    Where no engine answers, the parameters are those that the run was left with.
    """
    problem, answer = "", ConfigAnswer(revision=0, parameters={})
    try:
        answer = source.config()
    except PipelineError as error:
        problem = error.title
    try:
        request = read_request(source.root)
        if problem and request is not None:
            answer = parameters_at_rest(request)
    except (PipelineError, OSError, ValueError) as error:
        return Known(answer, None, problem or str(error))
    return Known(answer, request, problem)


@dataclass(frozen=True)
class Effect:
    """What changes would do.

    follows: parameters that change with them. reruns: stages that run again, with lost_s seconds of
    work. live: stages that take something between two steps. later: those that have not begun.
    fixed: parameters that cannot change while a run goes on. nowhere: sections of stages that this
    run does not have.
    """

    follows: Mapping[str, JsonValue]
    reruns: tuple[str, ...] = ()
    lost_s: float = 0.0
    live: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    nowhere: tuple[str, ...] = ()

    def in_words(self) -> str:
        """In one line; "" where nothing would change."""
        parts = []
        if self.reruns:
            lost = f" ({duration_in_words(self.lost_s)} of work)" if self.lost_s >= 1 else ""
            parts.append(f"stale: {', '.join(self.reruns)}{lost}")
        if self.live:
            parts.append(f"taken between two steps of {', '.join(self.live)}")
        if self.later:
            parts.append(f"waits until {', '.join(self.later)} begins")
        if self.nowhere:
            parts.append(f"no effect: this run has no stage {', '.join(self.nowhere)}")
        if self.follows:
            told = (f"{name} to {value_in_words(value)}" for name, value in self.follows.items())
            parts.append(f"also sets {', '.join(told)}")
        if self.fixed:
            parts.append(
                f"fixed while a run goes on: {', '.join(self.fixed)} (w saves it for the next run)"
            )
        return "; ".join(parts)


def effect_of(
    known: Known, changes: Mapping[str, JsonValue], stages: Sequence[StageView]
) -> Effect:
    """What some changes would do now. Raises SettingsError where they are not possible."""
    after = known.with_changes(changes)
    if known.config is None or after is None:
        return Effect({})
    differ = {
        name: parameter(after, name)
        for name in parameters()
        if parameter(known.config, name) != parameter(after, name)
    }
    follows = {name: value for name, value in differ.items() if name not in changes}
    return replace(_spread({name: parameters()[name].applies for name in differ}, stages),
                   follows=follows)  # fmt: skip


def reach_of(field: FormField, stages: Sequence[StageView]) -> Effect:
    """What a change of a parameter would do now, whatever its new value is."""
    return _spread({field.name: field.view.applies}, stages)


def _spread(applies: Mapping[str, Applies], stages: Sequence[StageView]) -> Effect:
    """What changes of parameters do, from when each of them applies."""
    names = [stage.name for stage in stages]
    first = len(names)
    live: list[str] = []
    later: list[str] = []
    fixed: list[str] = []
    nowhere: list[str] = []
    for name, when in applies.items():
        section = name.partition(".")[0]
        stage = next((entry for entry in stages if entry.name == section), None)
        if when == "restart":
            fixed.append(name)
        elif stage is None:
            nowhere.append(section)
        elif stage.state in _FINISHED or (stage.state == "started" and when != "live"):
            first = min(first, names.index(section))
        else:
            (live if stage.state == "started" else later).append(section)
    again = [stage for stage in stages[first:] if stage.state in (*_FINISHED, "started")]
    reruns = tuple(stage.name for stage in again)
    return Effect(
        follows={},
        reruns=reruns,
        lost_s=sum(stage.seconds for stage in again),
        live=tuple(name for name in dict.fromkeys(live) if name not in reruns),
        later=tuple(dict.fromkeys(later)),
        fixed=tuple(fixed),
        nowhere=tuple(dict.fromkeys(nowhere)),
    )


def objection(known: Known, changes: Mapping[str, JsonValue]) -> str:
    """Why the configuration cannot be so, in words; "" where it can."""
    try:
        known.with_changes(changes)
    except SettingsError as error:
        message = error.message.partition("the change: ")[2] or error.message
        return f"{message} {error.hint}".strip()
    return ""


@dataclass(frozen=True)
class Entry:
    """A change that was made. time: seconds since the epoch. step: of its stage at which it took
    effect; None where the stage did not run, or has not come to it."""

    time: float
    change: ParameterChanged
    step: int | None


def history(model: Model) -> list[Entry]:
    """Who changed what and when, oldest first."""
    steps: dict[tuple[str, str], deque[int]] = {}
    for mark in model.marks:
        steps.setdefault((mark.parameter, repr(mark.new)), deque()).append(mark.step)
    entries = []
    for time, change in model.changes:
        at = steps.get((change.parameter, repr(change.new)))
        entries.append(Entry(time, change, at.popleft() if at else None))
    return entries


def undoable(changes: Iterable[ParameterChanged]) -> ParameterChanged | None:
    """The newest change that has not been taken back; None where there is none.

    A change that takes back the one before it undoes both, so that undoing goes on backwards.
    """
    made: list[ParameterChanged] = []
    for change in changes:
        before = made[-1] if made else None
        if (
            before is not None
            and (before.parameter, before.old, before.new)
            == (change.parameter, change.new, change.old)
        ):  # fmt: skip
            made.pop()
        else:
            made.append(change)
    return made[-1] if made else None
