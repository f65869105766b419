"""A stage at work: what it is made from, the live changes to it, and its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, ValidationError

from pipeline.checkpoint_file import checkpoint_path
from pipeline.config_base import StageConfig, is_live
from pipeline.events import Checkpointed, ParameterChanged, Record, Warned
from pipeline.manifest import Ingredients
from pipeline.stage import Checkpoint

if TYPE_CHECKING:
    from pipeline.workspace import Workspace

_FORMAT = 1


@dataclass(frozen=True)
class FieldChange:
    """A live change of a field of the stage at work: who made it, and the revision of the
    configuration with it."""

    field: str
    value: JsonValue
    by: str
    revision: int


class StageWork:
    """One stage from its start to its end, however often it is paused.

    asked: what it is to be made from. section: its configuration. changed: changes of its fields by
    hand, maybe since an earlier attempt saved a checkpoint. tell: takes the records of what
    happens.
    """

    def __init__(
        self,
        workspace: Workspace,
        asked: Ingredients,
        section: StageConfig,
        changed: Collection[FieldChange],
        tell: Callable[[Record], None],
    ) -> None:
        self.section: Any = section
        self._workspace = workspace
        self._asked = asked
        self._changed = {change.field: change for change in changed}
        self._tell = tell
        self._waiting: list[FieldChange] = []
        self._live: list[list[JsonValue]] = []
        self._began = self._saved = time.monotonic()
        self._earlier_s = 0.0
        self._saved_step: int | None = None
        self._unsaved_change = False

    @property
    def seconds(self) -> float:
        """Time at work so far, without pauses, with that of the attempts it goes on from."""
        return self._earlier_s + time.monotonic() - self._began

    @property
    def unsaved_change(self) -> bool:
        """Whether a live change took effect since the last checkpoint: without another one, a kill
        would let it take effect at an earlier step."""
        return self._unsaved_change

    @property
    def unsaved_s(self) -> float:
        """Time at work that a kill would lose."""
        return time.monotonic() - self._saved

    def is_saved(self, step: int) -> bool:
        """Whether the last checkpoint of this attempt is of a step, with all changes."""
        return step == self._saved_step and not self._unsaved_change

    def rested(self, seconds: float) -> None:
        """Do not count a pause."""
        self._began += seconds
        self._saved += seconds

    def change(self, change: FieldChange) -> None:
        """Let a change wait until the stage asks for its latest configuration."""
        self._waiting.append(change)

    def latest(self, step: int) -> Any:
        """The configuration with the changes that were waiting: they take effect at `step`."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            self._apply(change, step)
        return self.section

    def made_from(self) -> Ingredients:
        """What the stage was made from, with the live changes that took effect."""
        section = self.section.model_dump(mode="json")
        return replace(self._asked, config=section, live=tuple(self._live))

    def save(self, checkpoint: Checkpoint, step: int) -> None:
        """Keep a checkpoint durably. Raises PipelineError where the disk refuses."""
        data = {
            "format": _FORMAT,
            **self._basis(),
            "section": self.section.model_dump(mode="json"),
            "live": self._live,
            "seconds": self.seconds,
            "stage": dict(checkpoint.data),
        }
        self._workspace.save_checkpoint(self._asked.stage, checkpoint.arrays, data)
        self._saved, self._saved_step = time.monotonic(), step
        self._unsaved_change = False
        self._tell(Checkpointed(step))

    def keep_preview(self, name: str, picture: bytes) -> str:
        """Keep a small picture; its path below the run directory."""
        return self._workspace.save_preview(self._asked.stage, name, picture)

    def confirm_saved(self) -> None:
        """Tell again of the last checkpoint, for one who asks while nothing has happened since."""
        if self._saved_step is not None:
            self._tell(Checkpointed(self._saved_step))

    def load(self) -> Checkpoint | None:
        """The checkpoint of an earlier attempt at the same work.

        It may differ in live fields that were changed by hand since: those changes then take effect
        when the stage first asks for its latest configuration. None without one, and, with a
        warning that says why, for one that this work cannot go on from.
        """
        found = self._workspace.load_checkpoint(self._asked.stage)
        for warning in self._workspace.store.take_warnings():  # now, not when the stage has ended
            self._tell(Warned(warning))
        if found is None:
            return None
        arrays, data = found
        wanted = self.section.model_dump(mode="json")
        if why := self._misfit(data, wanted):
            stage, root = self._asked.stage, self._workspace.root
            file = checkpoint_path(root, stage).relative_to(root)
            self._tell(Warned(f"{stage} begins anew: this checkpoint is of {why}", str(file)))
            return None
        section: Any = data["section"]
        others = [name for name in wanted if wanted[name] != section[name]]
        kept: Any = data["live"], data["seconds"], data["stage"]
        self._live, self._earlier_s, content = kept
        self.section = type(self.section).model_validate(section)
        missed = [replace(self._changed[name], value=wanted[name]) for name in others]
        self._waiting = missed + self._waiting
        return Checkpoint(arrays, content)

    def _misfit(self, data: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> str:
        """Of what other work the data of a checkpoint is, in words; "" where it can go on."""
        if data.get("format") != _FORMAT:
            return "another version of barfield"
        basis = self._basis()
        others = [key for key in basis if basis[key] != data.get(key)]
        section = data["section"]
        if "version" in others or not isinstance(section, dict) or section.keys() != wanted.keys():
            return f"another version of {self._asked.stage}"
        if others:
            return "other inputs"
        fixed = [
            name
            for name in wanted
            if wanted[name] != section[name]
            and not (name in self._changed and is_live(self.section, name))
        ]
        return f"another value of {', '.join(fixed)}" if fixed else ""

    def _basis(self) -> dict[str, JsonValue]:
        """What a checkpoint must agree with in any case."""
        asked = self._asked
        given: dict[str, JsonValue] = {name: dict(files) for name, files in asked.given.items()}
        return {"version": asked.version, "needs": dict(asked.needs), "given": given}

    def _apply(self, change: FieldChange, step: int) -> None:
        name = f"{self._asked.stage}.{change.field}"
        before = self.section.model_dump(mode="json")
        try:
            if not is_live(self.section, change.field):
                raise ValueError("it cannot change while its stage runs")
            section = type(self.section).model_validate({**before, change.field: change.value})
        except ValueError as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            # Whoever sent it has checked it before. Days of work do not end for that.
            self._tell(Warned(f"{name} = {change.value!r} was not taken: {why}", name))
            return
        old, new = before[change.field], section.model_dump(mode="json")[change.field]
        if old == new:
            return
        if all(field != change.field for _, field, _ in self._live):
            # What it was at first decides the result, too, and stands nowhere else in the end.
            self._live.append([0, change.field, old])
        self._live.append([step, change.field, new])
        self.section = section
        self._unsaved_change = True
        self._tell(ParameterChanged(name, old, new, change.by, change.revision, step))
