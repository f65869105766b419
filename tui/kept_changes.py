"""Changes of parameters since a run was first asked for, when it is started again."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from pipeline.config import RunConfig
from pipeline.request import Change, RunRequest
from pipeline.settings import parameter, parse_assignment


@dataclass(frozen=True)
class Doubt:
    """A parameter that was set to `kept` while the run went on, and that the command says to be
    `asked`, as it did before."""

    parameter: str
    kept: JsonValue
    asked: JsonValue
    by: str


def reconcile(
    config: RunConfig, before: RunRequest | None, keep: Callable[[Doubt], bool]
) -> tuple[Change, ...]:
    """The changes that still hold when a run is started again with a configuration.

    before: what the run was asked to do the last time. A parameter that the command now says to be
    something else than then is the command's; for the others that differ, `keep` decides.
    """
    if before is None:
        return ()
    newest = {change.parameter: change for change in before.changes}
    dropped = set()
    for name, change in newest.items():
        asked = parameter(config, name)
        is_new = asked != parameter(before.config, name)
        if is_new or (asked != change.new and not keep(Doubt(name, change.new, asked, change.by))):
            dropped.add(name)
    return tuple(change for change in before.changes if change.parameter not in dropped)


def with_assignments(
    request: RunRequest, assignments: Sequence[str], logged: int = 0
) -> RunRequest:
    """A request with some more parameters changed; those that change nothing are left out.

    assignments: texts ``stage.field=value``. logged: the newest revision in the run's journal,
    which may be of a change that was discarded. Raises SettingsError naming what is wrong.
    """
    wanted = assigned(assignments)
    before, after = request.current_config(), request.current_config(wanted)
    revision = max((change.revision for change in request.changes), default=0)
    revision = max(revision, logged)
    changes = list(request.changes)
    for name in wanted:
        old, new = parameter(before, name), parameter(after, name)
        if old != new:
            revision += 1
            by = f"terminal of {_user()}"
            change = Change(
                parameter=name, old=old, new=new, by=by, revision=revision, time=time.time()
            )
            changes.append(change)
    return request.model_copy(update={"changes": tuple(changes)})


def assigned(assignments: Sequence[str]) -> dict[str, JsonValue]:
    """Values by `stage.field`, from texts ``stage.field=value``. Raises SettingsError."""
    return {
        f"{stage}.{field}": value
        for text in assignments
        for stage, fields in parse_assignment(text).items()
        for field, value in fields.items()
    }


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without an entry, as in containers
        return f"user {os.getuid()}"
