"""Where a run's configuration comes from: defaults, a TOML file, `stage.field=value`, and changes
while it runs.

Unknown keys and impossible values are refused, naming where they stand and the nearest valid key;
so are two settings that contradict each other, where the user gave both, and one that contradicts
where the run's poses come from.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from pydantic import BaseModel, JsonValue, ValidationError

from pipeline.config import FeaturesConfig, RunConfig
from pipeline.config_base import Applies
from pipeline.errors import PipelineError
from pipeline.stages import Route

Sections = dict[str, dict[str, Any]]
COMMAND_LINE = "the command line"
CHANGE = "the change"
HELD_INTRINSICS = {
    "refine_focal": False,
    "refine_distortion": False,
    "refine_principal_point": "never",
}


_BOUNDS = ("type", "enum", "const", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_LONGEST_SHOWN = 60


class SettingsError(PipelineError):
    """A configuration that cannot be meant: the user called the program wrongly."""


@dataclass(frozen=True)
class ParameterInfo:
    """What a form needs to know of a parameter.

    bounds: type and limits of its values, in the words of JSON Schema.
    """

    default: JsonValue
    unit: str
    effect: str
    applies: Applies
    bounds: Mapping[str, JsonValue]


class _Origin(NamedTuple):
    """Where a setting was given. A later one of a higher rank takes its place."""

    rank: int
    where: str


_Origins = dict[tuple[str, str], _Origin]


class _Rule(NamedTuple):
    """While the parameter `cause` has the value `when`, `effect` does nothing and is `then`."""

    cause: str
    when: JsonValue
    effect: str
    then: JsonValue


class _RouteRule(NamedTuple):
    """In a run of a route, `effect` does nothing and is `then`; `option` asked for the route."""

    route: Route
    option: str
    effect: str
    then: JsonValue


class _Cause(NamedTuple):
    """Why a setting does nothing, in words. origin: of the cause, None where nobody asked for it.
    change: what to change instead."""

    origin: _Origin | None
    words: str
    change: str


_RULES = (
    # Guided matching finds what a preview leaves out; without it, all keypoints are compared.
    _Rule("verification.guided", False, "matching.preview_keypoints", 0),
    # The preset has a threshold of its own.
    _Rule("features.preset", "lowe", "features.peak_threshold", FeaturesConfig().peak_threshold),
)
_ROUTE_RULES = (
    # There are no depth maps but those of the field.
    _RouteRule("unposed", "--poses none", "mesh.source", "field"),
)
_ROUTE = ("", "route")  # where its origin stands among those of the settings


def load_settings(
    file: Path | None = None,
    assignments: Sequence[str] = (),
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    route: Route = "mapped",
) -> RunConfig:
    """The configuration of a run: defaults, then a file, then assignments, then overrides.

    assignments: texts ``stage.field=value``. overrides: fields by stage that other options of the
    command line set. route: which stages the run takes, by the command line. Raises SettingsError
    naming file, key and the nearest valid key.
    """
    sections: Sections = {}
    origins: _Origins = {_ROUTE: _Origin(2, COMMAND_LINE)}
    if file is not None:
        _merge(sections, origins, _read_toml(file), _Origin(1, str(file)))
    for text in assignments:
        _merge(sections, origins, parse_assignment(text), _Origin(2, COMMAND_LINE))
    config = _validated(sections, origins)
    if overrides:
        _refuse_overridden(config, origins, overrides)
        _merge(sections, origins, overrides, _Origin(2, COMMAND_LINE))
        config = _validated(sections, origins)
    return _settled(config, origins, route)


def changed_config(
    config: RunConfig, changes: Mapping[str, JsonValue], route: Route = "mapped"
) -> RunConfig:
    """The configuration of a run of a route with some parameters changed.

    changes: new values by ``stage.field``. Raises SettingsError as `load_settings` does. To undo a
    change leaves no trace only if all changes since the start are applied to the configuration of
    the start: a change may settle another parameter, too.
    """
    sections: Sections = config.model_dump()
    origins: _Origins = {}
    for key, value in changes.items():
        stage, _, field = key.partition(".")
        _merge(sections, origins, {stage: {field: value}}, _Origin(1, CHANGE))
    return _settled(_validated(sections, origins), origins, route)


def parameter(config: RunConfig, key: str) -> JsonValue:
    """The value of a parameter, ``stage.field``. Raises SettingsError if there is none."""
    stage, _, field = key.partition(".")
    _check_known(stage, field, CHANGE)
    section: BaseModel = getattr(config, stage)
    return cast(JsonValue, section.model_dump(mode="json", include={field})[field])


@cache
def parameters() -> Mapping[str, ParameterInfo]:
    """All parameters by ``stage.field``, in the order of the configuration."""
    found: dict[str, ParameterInfo] = {}
    for stage, section in ((name, _section(name)) for name in RunConfig.model_fields):
        schema = section.model_json_schema()["properties"]
        for name, field in section.model_fields.items():
            about = _plain_schema(schema[name])
            found[f"{stage}.{name}"] = ParameterInfo(
                default=parameter(RunConfig(), f"{stage}.{name}"),
                unit=about.get("unit", ""),
                effect=field.description or "",
                applies=about["applies"],
                bounds={word: about[word] for word in _BOUNDS if word in about},
            )
    return MappingProxyType(found)


def parse_assignment(text: str) -> Sections:
    """``stage.field=value`` as a section; the value is read as TOML, else as plain text; `null` is
    no value, which leaves it to the stage.

    Raises SettingsError if the text has another form.
    """
    key, equals, value = text.partition("=")
    stage, dot, field = key.strip().partition(".")
    if not (equals and dot and stage and field):
        raise SettingsError(
            "Not a setting",
            f"{text!r} on {COMMAND_LINE} is not of the form stage.field=value.",
            "For example --set matching.ratio=0.75",
        )
    try:
        parsed: Any = tomllib.loads(f"value = {value.strip()}")["value"]
        json.dumps(parsed, allow_nan=False)
    # No TOML; nan and inf; a date; thousands of digits or [.
    except (ValueError, TypeError, RecursionError):
        parsed = value.strip()
    return {stage: {field: None if parsed == "null" else parsed}}


def settings_as_toml(config: RunConfig) -> str:
    """The configuration as a TOML file that `load_settings` reads, each field explained."""
    lines = ["# The configuration of this run, as resolved. Use it with --config."]
    for stage in RunConfig.model_fields:
        section: BaseModel = getattr(config, stage)
        lines += ["", f"[{stage}]"]
        for name, field in type(section).model_fields.items():
            extra = field.json_schema_extra
            unit = extra.get("unit", "") if isinstance(extra, dict) else ""
            lines.append(f"# {field.description}" + (f" [{unit}]" if unit else ""))
            value = getattr(section, name)
            # TOML writes text, numbers and truth values as JSON does, and has no null.
            lines.append(f"# {name} =" if value is None else f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def _read_toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            "No configuration", f"{file} cannot be read: {error.strerror}.", "Check --config."
        ) from error
    except ValueError as error:  # also text that is no UTF-8, and numbers of thousands of digits
        raise SettingsError(
            "Not a TOML file", f"{file}: {error}.", "Compare with the run.toml of another run."
        ) from error


def _merge(
    sections: Sections, origins: _Origins, added: Mapping[str, Any], origin: _Origin
) -> None:
    """Lay `added` over `sections`, noting where each field came from."""
    for stage, fields in added.items():
        _check_known(stage, None, origin.where)
        if not isinstance(fields, Mapping):
            raise SettingsError(
                "Not a section",
                f"{origin.where}: {stage} is a section, not the value {_shown(fields)}.",
                f"Write [{stage}] and its fields below it.",
            )
        for field, value in fields.items():
            _check_known(stage, field, origin.where)
            sections.setdefault(stage, {})[field] = value
            origins[stage, field] = origin


def _refuse_overridden(
    config: RunConfig, origins: _Origins, overrides: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse an option of the command line beside an assignment that says something else."""
    for stage, fields in overrides.items():
        for field, value in fields.items():
            origin = origins.get((stage, field))
            if origin is None or origin.where != COMMAND_LINE:
                continue
            assigned = parameter(config, f"{stage}.{field}")
            if assigned != value:
                raise SettingsError(
                    "Contradicting settings",
                    f"{COMMAND_LINE}: {stage}.{field} is to be {_shown(assigned)}, and another "
                    f"option makes it {_shown(value)}.",
                    f"Leave out one of the two: --set {stage}.{field}, or the option.",
                )


def _settled(config: RunConfig, origins: _Origins, route: Route) -> RunConfig:
    """The configuration with what some settings, and the route, mean for others.

    Raises SettingsError where a setting that does nothing was asked for, and not before what makes
    it so.
    """
    for rule in _RULES:
        if parameter(config, rule.cause) == rule.when:
            while_so = f"while {rule.cause} is {_shown(rule.when)}"
            cause = _Cause(origins.get(_field_of(rule.cause)), while_so, rule.cause)
            config = _with_effect(config, origins, rule.effect, rule.then, cause)
    for way in _ROUTE_RULES:
        if route == way.route:
            cause = _Cause(origins.get(_ROUTE), f"with {way.option}", way.option)
            config = _with_effect(config, origins, way.effect, way.then, cause)
    return config


def _with_effect(
    config: RunConfig,
    origins: _Origins,
    effect: str,
    then: JsonValue,
    cause: _Cause,
) -> RunConfig:
    """The configuration where `effect` is `then`."""
    value = parameter(config, effect)
    if value == then:
        return config
    stage, field = _field_of(effect)
    asked = origins.get((stage, field))
    if asked is not None and (cause.origin is None or asked.rank >= cause.origin.rank):
        raise SettingsError(
            "Contradicting settings",
            f"{asked.where}: {effect} = {_shown(value)} does nothing {cause.words}.",
            f"Change {cause.change}, or leave out {effect}.",
        )
    section = getattr(config, stage).model_copy(update={field: then})
    return config.model_copy(update={stage: section})


def _field_of(key: str) -> tuple[str, str]:
    stage, _, field = key.partition(".")
    return stage, field


def _validated(sections: Sections, origins: _Origins) -> RunConfig:
    try:
        return RunConfig.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        stage, field = str(first["loc"][0]), str(first["loc"][1])
        description = _section(stage).model_fields[field].description
        raise SettingsError(
            "Impossible value",
            f"{origins[stage, field].where}: {stage}.{field} = {_shown(first['input'])}: "
            f"{first['msg']}.",
            f"{stage}.{field}: {description}.",
        ) from None


def _plain_schema(about: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field; of one that may be null, bounds and type in the same place."""
    if "anyOf" not in about:
        return about
    (bounds,) = (option for option in about["anyOf"] if option != {"type": "null"})
    return {**about, **bounds, "type": [bounds["type"], "null"]}


def _section(stage: str) -> type[BaseModel]:
    section: BaseModel = RunConfig.model_fields[stage].default
    return type(section)


def _check_known(stage: str, field: str | None, where: str) -> None:
    """Refuse a section, or a field of one, that does not exist."""
    if stage not in RunConfig.model_fields:
        raise _unknown(where, stage, stage, tuple(RunConfig.model_fields))
    known = tuple(_section(stage).model_fields)
    if field is not None and field not in known:
        raise _unknown(where, f"{stage}.{field}", field, known)


def _unknown(where: str, key: str, word: str, known: tuple[str, ...]) -> SettingsError:
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    prefix = key[: len(key) - len(word)]
    hint = f"Did you mean {prefix}{nearest[0]}?" if nearest else f"Known: {', '.join(known)}."
    return SettingsError("Unknown setting", f"{where}: there is no {_shortened(key)}.", hint)


def _shown(value: object) -> str:
    return _shortened(repr(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
