"""What a run is to do, how far it is, and what of that has to be done anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipeline.checkpoint_file import drop_checkpoint
from pipeline.engine.orders import ChangeField, RunStage, StageEnd
from pipeline.engine.parameters import Parameters
from pipeline.run_directory import RunDirectory
from pipeline.stages import StageEntry, plan


class Course:
    """The stages of a run in their order, and those that are up to date in this pass."""

    def __init__(self, directory: RunDirectory, parameters: Parameters) -> None:
        self._directory = directory
        self._parameters = parameters
        self._ends: dict[str, StageEnd] = {}
        self._anew: set[str] = set()

    def planned(self) -> tuple[StageEntry, ...]:
        """The stages of this run."""
        request = self._parameters.request
        return plan(route=request.route, until=request.until)

    def names(self) -> tuple[str, ...]:
        """All stages that this run could have, planned or not."""
        return tuple(entry.name for entry in plan(route=self._parameters.request.route))

    def after(self, stage: str) -> tuple[str, ...]:
        """A stage and all that come after it, planned or not: one that is no longer planned may be
        finished, or about to be."""
        names = self.names()
        return names[names.index(stage) :]

    def next(self) -> StageEntry | None:
        """The first stage that is not up to date; None where all are."""
        return next((entry for entry in self.planned() if entry.name not in self._ends), None)

    def follower(self, entry: StageEntry) -> StageEntry | None:
        """The stage that runs after this one; None for the last, and where the plan has changed."""
        planned = self.planned()
        if entry not in planned[:-1]:
            return None
        later = planned[planned.index(entry) + 1]
        return None if later.name in self._ends else later

    def is_finished(self, stage: str) -> bool:
        """Whether a stage is up to date in this pass."""
        return stage in self._ends

    def has_run(self, stage: str) -> bool:
        """Whether a stage has been finished, in whatever pass."""
        return stage in self._ends or self._directory.entry(stage) is not None

    def outcomes(self) -> tuple[StageEnd, ...] | None:
        """How the planned stages ended; None where one of them is not up to date."""
        names = [entry.name for entry in self.planned()]
        if any(name not in self._ends for name in names):
            return None
        return tuple(self._ends[name] for name in names)

    def finish(self, end: StageEnd) -> None:
        """A stage is up to date."""
        self._ends[end.stage] = end

    def reopen(self, stage: str) -> bool:
        """A stage is not up to date any more; whether it was."""
        return self._ends.pop(stage, None) is not None

    def reopen_all(self) -> None:
        """Look at all stages anew."""
        self._ends.clear()

    def order(self, entry: StageEntry) -> RunStage:
        """The order to run a stage with the parameters that hold now."""
        parameters = self._parameters
        return RunStage(
            stage=entry.name,
            route=parameters.request.route,
            config=parameters.config,
            changed=tuple(map(ChangeField.of, parameters.changes_of(entry.name))),
        )

    def knows_its_parameters(self, entry: StageEntry) -> bool:
        """Whether a finished stage was made with the parameters that hold now: a live change may
        come after the stage's last step."""
        recorded = self._directory.entry(entry.name)
        section = getattr(self._parameters.config, entry.name).model_dump(mode="json")
        return recorded is not None and recorded.ingredients.config == section

    def begin_anew(self, stage: str) -> None:
        """Note that a stage and all after it are to run from their beginning: see `forget`."""
        self._anew.update(self.after(stage))

    async def forget(self) -> None:
        """Forget durably what is to run anew; call it when no stage runs, which could record itself
        as done. Raises PipelineError where the disk refuses: then it is still to be done."""
        if self._anew:
            stages = sorted(self._anew)
            await asyncio.to_thread(forget_stages, self._directory, stages)
            self._anew.difference_update(stages)


def forget_stages(directory: RunDirectory, stages: Sequence[str]) -> None:
    """Forget that stages are done, and how far they were: they run again from their beginning. What
    is stored of photographs and pairs stays. Raises PipelineError where the disk refuses."""
    directory.forget(*stages)
    for stage in stages:
        drop_checkpoint(directory.root, stage)
