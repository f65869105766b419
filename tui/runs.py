"""Which run the user means, and how it stands: with a living engine or from what it left behind."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.engine.messages import RunView
from pipeline.engine.runtime import EngineFile, find_engine, known_runs
from pipeline.errors import PipelineError
from pipeline.run_directory import MANIFEST, RUNS
from pipeline.run_lock import lock_owner
from tui.client import EngineClient, EngineGone, EngineSilent

_LIVING = ("starting", "running", "paused", "stopping")
_FINISHED = ("done", "skipped")
_SECONDS_TO_ANSWER = 2.0


@dataclass(frozen=True)
class RunStatus:
    """How a run stands.

    state: as in RunView, or `interrupted` (its engine died in the middle), `silent` (its engine
    does not answer or cannot be found), `new` (nothing is recorded of it), in a list `unreadable`
    (what is recorded is damaged, or not for us). view: None where there is none. engine: None where
    none is found on this host. host: where it runs or ran, "" if that is not known. elsewhere: an
    engine on another host holds it, for all that can be seen from here.
    """

    root: Path
    state: str
    view: RunView | None = None
    engine: EngineFile | None = None
    host: str = ""
    elsewhere: bool = False

    @property
    def name(self) -> str:
        """The run's name."""
        return self.root.name

    def to_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        view = self.view
        return {
            "run": self.name,
            "root": str(self.root),
            "state": self.state,
            "stage": stage_at_hand(view),
            "progress": share_done(view),
            "started": view.started if view is not None else None,
            "host": self.host,
            "engine": self.engine is not None,
        }


def resolve_run(text: str | None) -> Path:
    """The run directory that the user means, as an absolute path.

    text: a run directory, the name of a folder in `runs`, or the name of a run on this host; None:
    the last started run with a living engine, or else the last started one. Raises PipelineError
    where there is none, or where several have that name.
    """
    if text is None:
        return _newest_run()
    for candidate in (Path(text), RUNS / text):
        if _is_run(candidate):
            return candidate.resolve()
    here = {path.parent.name: path.parent.resolve() for path in RUNS.glob(f"*/{MANIFEST}")}
    known = known_runs()
    named = [run.root for run in known if run.name == text]
    if len(named) == 1:
        return named[0]
    if named:
        raise PipelineError(
            "Which run?",
            f"Several runs on this host are called {text}: {', '.join(map(str, sorted(named)))}.",
            "Name the folder instead.",
        )
    names = sorted({*here, *(run.name for run in known)})
    nearest = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    hint = f"Did you mean {nearest[0]}? " if nearest else ""
    hint += f"Runs: {', '.join(names)}." if names else "Start one with `barfield run PHOTOS`."
    raise PipelineError(
        "No such run",
        f"{text} is not a run directory, neither is {RUNS / text}, and no run on this host has "
        "that name.",
        hint,
    )


def status_of(root: Path) -> RunStatus:
    """How a run stands now."""
    engine = find_engine(root)
    if engine is not None:
        try:
            view = EngineClient(engine.socket, _SECONDS_TO_ANSWER).state()
        except EngineSilent:
            silent = _left_behind(root)
            return replace(silent, state="silent", engine=engine, host=engine.identity.host)
        except EngineGone:
            return _left_behind(root)
        return RunStatus(root, view.state, view, engine, engine.identity.host)
    return _left_behind(root)


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run directory. Raises PipelineError where that cannot be seen."""
    try:
        return (folder / MANIFEST).exists()
    except OSError as error:
        raise PipelineError(
            "Cannot read",
            f"{folder} cannot be looked into: {error.strerror}.",
            "Give yourself the right to read it (chmod u+rwX), or choose another run.",
        ) from error


def status_in_list(root: Path) -> RunStatus:
    """How a run stands, among others: `unreadable` where `status_of` would say what is wrong."""
    try:
        return status_of(root)
    except PipelineError:
        return RunStatus(root, "unreadable")


def engine_of(root: Path) -> EngineFile:
    """The living engine of a run. Raises PipelineError saying why there is none and what to do."""
    engine = find_engine(root)
    if engine is None:
        raise no_engine(status_of(root))
    return engine


def no_engine(status: RunStatus) -> PipelineError:
    """The error for a command that only a living engine can carry out."""
    name = status.name
    change = (
        f"parameters can be changed with `barfield resume {name} --set STAGE.FIELD=VALUE`, and the "
        f"last stage with `barfield run-until {name} STAGE`."
    )
    if status.elsewhere:
        return PipelineError(
            "The run is on another host",
            f"An engine on {status.host} holds {status.root}.",
            f"Give the command there: ssh {status.host} barfield ...",
        )
    if status.state == "silent":
        return PipelineError(
            "The engine cannot be found",
            f"A process works in {status.root}, but its socket is not in the runtime folder.",
            "Was it started with another XDG_RUNTIME_DIR? Otherwise try again in a moment.",
        )
    ended = {
        "interrupted": "its engine was killed in the middle",
        "new": "it was never started",
    }.get(status.state, f"it is {status.state}")
    return PipelineError(
        "The run does not go on",
        f"{status.root}: {ended}.",
        f"Its {change}"
        if status.state == "done"
        else f"`barfield resume {name}` starts it again where it was; its {change}",
    )


def stage_at_hand(view: RunView | None) -> str:
    """The stage that runs, or the one where the run ended; "" before the first."""
    if view is None:
        return ""
    begun = [stage.name for stage in view.stages if stage.state not in ("waiting", "stale")]
    running = [stage.name for stage in view.stages if stage.state == "started"]
    return (running or begun or [""])[-1]


def share_done(view: RunView | None) -> float:
    """How much of the stages is done, from 0 to 1; all stages count the same."""
    if view is None or not view.stages:
        return 0.0
    done = 0.0
    for stage in view.stages:
        if stage.state in _FINISHED:
            done += 1.0
        elif stage.total:
            done += min(1.0, stage.done / stage.total)
    return round(done / len(view.stages), 4)


def _left_behind(root: Path) -> RunStatus:
    """How a run stands that has no engine on this host."""
    # Only here: with a living engine, a command answers a tenth of a second sooner without.
    from pipeline.engine.state import read_view

    view, owner = read_view(root), lock_owner(root)
    state: str = "new" if view is None else view.state
    host = "" if view is None else view.host
    alive = owner.alive() if owner is not None else False
    if owner is not None and alive is None:
        return RunStatus(root, state, view, host=owner.host, elsewhere=True)
    if state in _LIVING or (alive and view is None):
        state = "silent" if alive else "interrupted"
    return RunStatus(root, state, view, host=host)


def _newest_run() -> Path:
    known = known_runs()
    here = sorted(RUNS.glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    roots = [run.root for run in known] or [path.parent.resolve() for path in reversed(here)]
    if not roots:
        raise PipelineError(
            "No runs", "No run was started on this host.", "Start one: `barfield run PHOTOS`."
        )
    return next(filter(_is_alive, roots), roots[0])


def _is_alive(root: Path) -> bool:
    """Whether an engine of this host works on a run; a damaged run is not to hide the others."""
    try:
        return find_engine(root) is not None
    except PipelineError:
        return False
