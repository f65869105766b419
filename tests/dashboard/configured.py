"""A recorded run with parameters, which takes changes as an engine does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from pipeline.config import RunConfig
from pipeline.engine.messages import Answer, ConfigAnswer, ParameterView
from pipeline.events import ParameterChanged, Progress, StageChanged
from pipeline.settings import changed_config, parameter, parameters
from tests.dashboard.recorded import RecordedRun, begin, finish
from tui.dashboard.parameters_effect import Known
from tui.dashboard.parameters_form import FormField, fields_of

BY = "terminal of ada"


def answer_of(config: RunConfig, revision: int = 0) -> ConfigAnswer:
    """A configuration as the engine tells it."""
    views = {
        name: ParameterView(
            value=parameter(config, name), default=info.default, unit=info.unit,
            effect=info.effect, applies=info.applies, bounds=dict(info.bounds),
        )
        for name, info in parameters().items()
    }  # fmt: skip
    return ConfigAnswer(revision=revision, parameters=views)


def known_of(**changes: JsonValue) -> Known:
    """What is known of a configuration. changes: values by `stage__field`."""
    values = {name.replace("__", "."): value for name, value in changes.items()}
    return Known(answer_of(changed_config(RunConfig(), values)))


def field_of(name: str) -> FormField:
    """A field of the form, with its default."""
    return fields_of(answer_of(RunConfig()))[name]


class ConfiguredRun(RecordedRun):
    """Takes a change, unless `answer` says that it does not. asked: how often its configuration was
    asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answer = Answer(ok=True)
        self.settings = RunConfig()
        self.revision = 0
        self.asked = 0

    def config(self) -> ConfigAnswer:
        """The parameters as they are."""
        self.asked += 1
        return answer_of(self.settings, self.revision)

    def command(self, command: Mapping[str, Any]) -> Answer:
        """Take a change, and tell of it."""
        answer = super().command(command)
        if command["op"] != "set" or not (answer.ok or command["confirm"]):
            return answer
        for name, value in command["changes"].items():
            self.change(name, value)
        return Answer(ok=True, message="Changed.", revision=self.revision)

    def change(self, name: str, value: JsonValue, step: int | None = 7) -> None:
        """Somebody changes a parameter, which takes effect at a step."""
        old = parameter(self.settings, name)
        self.settings = changed_config(self.settings, {name: value})
        self.revision += 1
        stage = name.partition(".")[0]
        told = ParameterChanged(name, old, value, BY, self.revision)
        self.tell(stage, told)
        if step is not None:
            self.tell(stage, ParameterChanged(name, old, value, BY, self.revision, step))


def as_far_as_mapping(root: Path) -> ConfiguredRun:
    """A run in the middle of mapping."""
    run = ConfiguredRun(root)
    begin(run)
    finish(run, "ingest", "features", "pairs", "matching", "verification")
    run.tell("mapping", StageChanged("mapping", "started"), Progress(7, 24, "photographs"))
    return run
