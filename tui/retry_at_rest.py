"""Running stages of a run again from their beginning where no engine works on it."""

from __future__ import annotations

from pathlib import Path

from pipeline.checkpoint_file import checkpoint_path
from pipeline.engine.course import forget_stages
from pipeline.engine.messages import Answer
from pipeline.engine.retrying import comes_later, not_planned, to_be_confirmed, unknown_stage
from pipeline.request import RunRequest
from pipeline.run_directory import RunDirectory, read_manifest
from pipeline.stages import plan
from pipeline.version import VERSION


def stages_to_repeat(request: RunRequest, stage: str) -> Answer:
    """What running a stage and all after it again would come to: an answer whose `reruns` have to
    be confirmed, or one that says why it cannot be. Raises PipelineError where the run directory
    cannot be read."""
    names = [entry.name for entry in plan(route=request.route)]
    planned = [entry.name for entry in plan(route=request.route, until=request.until)]
    if stage not in names:
        return unknown_stage(stage, names)
    if stage not in planned:
        return not_planned(stage, planned[-1])
    done = read_manifest(request.out).stages
    due = next((name for name in planned if name not in done), None)
    if due is not None and names.index(due) < names.index(stage):
        return comes_later(stage, due, failed=False)
    later = names[names.index(stage) + 1 :]
    begun = [n for n in later if n in done or checkpoint_path(request.out, n).exists()]
    return to_be_confirmed((stage, *begun))


def begin_anew(root: Path, request: RunRequest, stage: str) -> None:
    """Forget what is done of a stage and all after it; the next engine runs them again.

    Raises PipelineError where another process holds the run, or the disk refuses.
    """
    names = [entry.name for entry in plan(route=request.route)]
    with RunDirectory(root, VERSION, wait_s=1.0) as directory:
        forget_stages(directory, names[names.index(stage) :])
