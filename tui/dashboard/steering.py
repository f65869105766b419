"""What a user asks of a run, as the engine's commands; and a new engine where there is none.

Everything here blocks: it belongs in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.engine.messages import Answer
from pipeline.errors import PipelineError
from pipeline.run_directory import read_request
from tui.address import FREE_PORT
from tui.dashboard.link import Source
from tui.launch import Started, start_engine
from tui.retry_at_rest import begin_anew, stages_to_repeat


def give(link: Source, command: Mapping[str, Any]) -> Answer:
    """Give a command; a failure to do so is an answer too."""
    try:
        return link.command(command)
    except PipelineError as error:
        return Answer(ok=False, message=f"{error.title}: {error.message}", hint=error.hint)


def ask_to_repeat(link: Source, stage: str, *, at_rest: bool, confirmed: bool) -> Answer:
    """Ask for a stage and all after it to run again from their beginning; `reruns` are to be
    confirmed. at_rest: no engine works on the run, so that what it has left behind answers; once
    it was confirmed, all is ready for an engine to be started."""
    if not at_rest:
        return give(link, {"op": "retry", "stage": stage, "confirm": confirmed})
    try:
        request = read_request(link.root)
        if request is None:
            return _asked_for_nothing(link.root)
        request = request.model_copy(update={"out": link.root})
        answer = stages_to_repeat(request, stage)
        if answer.reruns and confirmed:
            begin_anew(link.root, request, stage)
        return answer
    except PipelineError as error:
        return Answer(ok=False, message=f"{error.title}: {error.message}", hint=error.hint)


class Restarter:
    """Starts a run at rest again, with what was asked of it before, and with a viewer, as `barfield
    resume` does.

    started: the engines, as long as this lives; whoever outlives them reaps their processes.
    """

    def __init__(self) -> None:
        self.started: list[Started] = []

    def __call__(self, root: Path) -> Answer:
        """Start the engine of a run. The answer says how that went."""
        try:
            request = read_request(root)
            if request is None:
                return _asked_for_nothing(root)
            # The folder may have been moved since.
            self.started.append(
                start_engine(request.model_copy(update={"out": root}), port=FREE_PORT)
            )
        except PipelineError as error:
            return Answer(ok=False, message=f"{error.title}: {error.message}", hint=error.hint)
        return Answer(ok=True, message="The run goes on where it was.")


def _asked_for_nothing(root: Path) -> Answer:
    return Answer(
        ok=False,
        message=f"{root.name} does not say what was asked of the run.",
        hint=f"Start it with `barfield run PHOTOS --out {root}`.",
    )
