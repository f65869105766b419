"""Where a run's configuration comes from: defaults, a TOML file, `stage.field=value`.

Unknown keys and impossible values are refused, naming where they stand and the nearest valid key.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.config import RunConfig
from pipeline.errors import PipelineError

Sections = dict[str, dict[str, Any]]
COMMAND_LINE = "the command line"
HELD_INTRINSICS = {
    "refine_focal": False,
    "refine_distortion": False,
    "refine_principal_point": "never",
}


class SettingsError(PipelineError):
    """A configuration that cannot be meant: the user called the program wrongly."""


def load_settings(
    file: Path | None = None,
    assignments: Sequence[str] = (),
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> RunConfig:
    """The configuration of a run: defaults, then a file, then assignments, then overrides.

    assignments: texts ``stage.field=value``. overrides: fields by stage that other options of the
    command line set. Raises SettingsError naming file, key and the nearest valid key.
    """
    sections: Sections = {}
    origin: dict[tuple[str, str], str] = {}
    if file is not None:
        _merge(sections, origin, _read_toml(file), str(file))
    for text in assignments:
        _merge(sections, origin, parse_assignment(text), COMMAND_LINE)
    _merge(sections, origin, overrides or {}, COMMAND_LINE)
    config = _validated(sections, origin)
    if not config.verification.guided:
        # Guided matching finds what a preview leaves out; without it, all keypoints are compared.
        matching = config.matching.model_copy(update={"preview_keypoints": 0})
        config = config.model_copy(update={"matching": matching})
    return config


def parse_assignment(text: str) -> Sections:
    """``stage.field=value`` as a section; the value is read as TOML, else as plain text.

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
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return {stage: {field: parsed}}


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
            # TOML writes text, numbers and truth values as JSON does.
            lines.append(f"{name} = {json.dumps(getattr(section, name))}")
    return "\n".join(lines) + "\n"


def _read_toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            "No configuration", f"{file} cannot be read: {error.strerror}.", "Check --config."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            "Not a TOML file", f"{file}: {error}.", "Compare with the run.toml of another run."
        ) from error


def _merge(
    sections: Sections,
    origin: dict[tuple[str, str], str],
    added: Mapping[str, Any],
    where: str,
) -> None:
    """Lay `added` over `sections`, noting where each field came from."""
    for stage, fields in added.items():
        if stage not in RunConfig.model_fields:
            raise _unknown(where, stage, stage, tuple(RunConfig.model_fields))
        if not isinstance(fields, Mapping):
            raise SettingsError(
                "Not a section",
                f"{where}: {stage} is a section, not the value {fields!r}.",
                f"Write [{stage}] and its fields below it.",
            )
        known = tuple(_fields(stage))
        for field, value in fields.items():
            if field not in known:
                raise _unknown(where, f"{stage}.{field}", field, known)
            sections.setdefault(stage, {})[field] = value
            origin[stage, field] = where


def _validated(sections: Sections, origin: Mapping[tuple[str, str], str]) -> RunConfig:
    try:
        return RunConfig.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        stage, field = str(first["loc"][0]), str(first["loc"][1])
        description = _fields(stage)[field].description
        where = origin[stage, field]
        raise SettingsError(
            "Impossible value",
            f"{where}: {stage}.{field} = {first['input']!r}: {first['msg']}.",
            f"{stage}.{field}: {description}.",
        ) from None


def _fields(stage: str) -> Mapping[str, Any]:
    section: BaseModel = RunConfig.model_fields[stage].default
    return type(section).model_fields


def _unknown(where: str, key: str, word: str, known: tuple[str, ...]) -> SettingsError:
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    prefix = key[: -len(word)]
    hint = f"Did you mean {prefix}{nearest[0]}?" if nearest else f"Known: {', '.join(known)}."
    return SettingsError("Unknown setting", f"{where}: there is no {key}.", hint)
