"""The configuration of a run while it runs: who changed what, and what a change asks for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pipeline.config import RunConfig
from pipeline.engine.messages import ConfigAnswer, ParameterView
from pipeline.events import ParameterChanged
from pipeline.request import Change, RunRequest
from pipeline.run_directory import RunDirectory
from pipeline.settings import parameter, parameters, settings_as_toml


@dataclass(frozen=True)
class Proposal:
    """Changes that are possible, and the configuration with them.

    applies: when a change takes effect, for each parameter that differs: those that were changed
    and those that follow from them.
    """

    config: RunConfig
    changes: tuple[Change, ...]
    applies: Mapping[str, str]


class Parameters:
    """The current configuration: as it was given, with the changes since.

    The revision counts the changes, so that an edit made in ignorance of another can be refused.
    """

    def __init__(self, directory: RunDirectory, request: RunRequest, logged: int = 0) -> None:
        """logged: the newest revision that the run's journal knows; changes that were discarded
        do not give their numbers to others."""
        self._directory = directory
        self._logged = logged
        self._request = request
        self._config = request.current_config()

    @property
    def config(self) -> RunConfig:
        """What holds now."""
        return self._config

    @property
    def request(self) -> RunRequest:
        """What the run is asked to do, with all changes."""
        return self._request

    @property
    def revision(self) -> int:
        """Of the configuration."""
        newest = max((change.revision for change in self._request.changes), default=0)
        return max(newest, self._logged)

    def changes_since(self, revision: int) -> tuple[Change, ...]:
        """Changes after a revision, oldest first: what was changed while no engine was there."""
        return tuple(change for change in self._request.changes if change.revision > revision)

    def changes_of(self, stage: str) -> tuple[Change, ...]:
        """The newest change of each field of a stage since the run was asked for."""
        newest = {change.parameter: change for change in self._request.changes}
        return tuple(c for name, c in newest.items() if name.partition(".")[0] == stage)

    def propose(self, changes: Mapping[str, JsonValue], by: str) -> Proposal:
        """Check changes of `stage.field`; those that change nothing are left out.

        Raises SettingsError naming the parameter and what is possible.
        """
        config = self._request.current_config(changes)
        now, known = time.time(), parameters()
        found: list[Change] = []
        for name in changes:
            old, new = parameter(self._config, name), parameter(config, name)
            if old != new:
                revision = self.revision + len(found) + 1
                found.append(
                    Change(parameter=name, old=old, new=new, by=by, revision=revision, time=now)
                )
        applies = {
            name: info.applies
            for name, info in known.items()
            if parameter(self._config, name) != parameter(config, name)
        }
        return Proposal(config, tuple(found), applies)

    async def accept(self, proposal: Proposal) -> None:
        """Make a proposal the current configuration, durably.

        Raises PipelineError where the run directory cannot be written; then nothing has changed.
        """
        changes = (*self._request.changes, *proposal.changes)
        await self._keep(self._request.model_copy(update={"changes": changes}), proposal.config)

    async def set_until(self, until: str | None) -> None:
        """Change the last stage, durably. Raises PipelineError as `accept` does."""
        await self._keep(self._request.model_copy(update={"until": until}), self._config)

    async def keep(self) -> None:
        """Write the request and the resolved configuration to the run directory."""
        await self._keep(self._request, self._config)

    async def _keep(self, request: RunRequest, config: RunConfig) -> None:
        def write() -> None:
            self._directory.write_config(settings_as_toml(config))
            self._directory.write_request(request)  # last: this is what the next start goes by

        await asyncio.to_thread(write)
        self._request, self._config = request, config

    def answer(self) -> ConfigAnswer:
        """All parameters with their values, for forms."""
        return _answer(self._config, self.revision)


def parameters_at_rest(request: RunRequest) -> ConfigAnswer:
    """All parameters of a run that nobody works on, for who looks at it."""
    revision = max((change.revision for change in request.changes), default=0)
    return _answer(request.current_config(), revision)


def _answer(config: RunConfig, revision: int) -> ConfigAnswer:
    views = {
        name: ParameterView(
            value=parameter(config, name),
            default=info.default,
            unit=info.unit,
            effect=info.effect,
            applies=info.applies,
            bounds=dict(info.bounds),
        )
        for name, info in parameters().items()
    }
    return ConfigAnswer(revision=revision, parameters=views)


def as_record(change: Change) -> ParameterChanged:
    """The record that tells of a change, before it takes effect."""
    return ParameterChanged(change.parameter, change.old, change.new, change.by, change.revision)
