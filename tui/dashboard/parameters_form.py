"""The form of the parameters: fields by stage, what is searched, and values and ranges in words.

Pure functions of what the engine says of the configuration; nothing here knows a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import BaseModel, JsonValue

from pipeline.config import RunConfig
from pipeline.engine.messages import ConfigAnswer, ParameterView

Kind = Literal["boolean", "integer", "number", "string", "array"]
Filter = Literal["all", "live", "changed"]
FILTERS: tuple[Filter, ...] = ("all", "live", "changed")
NONE = "none"


@dataclass(frozen=True)
class FormField:
    """A parameter as the form shows it.

    name: `stage.field`. choices: the only values that are possible; of a list, of its entries. ():
    not a choice. optional: it may be None, which leaves it to the stage.
    """

    name: str
    view: ParameterView
    kind: Kind
    optional: bool
    choices: tuple[JsonValue, ...]

    @property
    def stage(self) -> str:
        """Its section of the configuration."""
        return self.name.partition(".")[0]

    @property
    def label(self) -> str:
        """Its name within the section."""
        return self.name.partition(".")[2]

    @property
    def steps(self) -> tuple[JsonValue, ...]:
        """The values to step through; () where one has to type."""
        values: tuple[JsonValue, ...] = (False, True) if self.kind == "boolean" else self.choices
        if not values or self.kind == "array":
            return ()
        return (None, *values) if self.optional else values


@dataclass(frozen=True)
class Group:
    """The fields of a stage. about: what it does, in a sentence; "" where we do not know it."""

    stage: str
    about: str
    fields: tuple[FormField, ...]


def fields_of(answer: ConfigAnswer) -> dict[str, FormField]:
    """All fields by their names, in the order of the configuration."""
    return {name: _field(name, view) for name, view in answer.parameters.items()}


def groups_of(
    fields: Mapping[str, FormField],
    stages: tuple[str, ...],
    wanted: Callable[[FormField], bool] = lambda field: True,
) -> list[Group]:
    """The wanted fields by stage: first the stages of the run, in its order, then the others."""
    sections: dict[str, list[FormField]] = {}
    for field in fields.values():
        sections.setdefault(field.stage, []).append(field)
    ordered = [stage for stage in stages if stage in sections]
    ordered += [stage for stage in sections if stage not in ordered]
    groups = []
    for stage in ordered:
        chosen = tuple(field for field in sections[stage] if wanted(field))
        if chosen:
            groups.append(Group(stage, _about_section(stage), chosen))
    return groups


def matches(field: FormField, search: str) -> bool:
    """Whether each word of a search is in the name, the help, the unit, the choices or the mark."""
    view = field.view
    choices = " ".join(map(value_in_words, field.choices))
    where = f"{field.name} {view.effect} {view.unit} {choices} {view.applies}".casefold()
    where += " " + field.name.replace("_", " ").casefold()
    return all(word in where for word in search.casefold().split())


def value_in_words(value: JsonValue) -> str:
    """A value in few characters, for a table: floats are rounded to six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(value_in_words, value))
    return value_as_typed(value)


def value_as_typed(value: JsonValue) -> str:
    """A value as one would type it, with all its digits."""
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(value_as_typed, value))
    return json.dumps(value)


def range_in_words(field: FormField) -> str:
    """What is possible: `>0 to 50`, `at least 3`, `auto, yes or no`."""
    words = _range(field)
    return f"{words} or {NONE}" if field.optional else words


def _range(field: FormField) -> str:
    if field.kind == "boolean":
        return "true or false"
    choices = [value_in_words(choice) for choice in field.choices]
    if field.kind == "array":
        return f"some of {', '.join(choices)}" if choices else "a list, with commas"
    if choices:
        return ", ".join(choices[:-1]) + f" or {choices[-1]}" if len(choices) > 1 else choices[0]
    if field.kind == "string":
        return "text"
    low, high = _limit(field, "inimum", ">"), _limit(field, "aximum", "<")
    if low and high:
        return f"{low} to {high}"
    if low:
        return f"more than {low[1:]}" if low.startswith(">") else f"at least {low}"
    if high:
        return f"less than {high[1:]}" if high.startswith("<") else f"at most {high}"
    return "whole number" if field.kind == "integer" else "number"


def _limit(field: FormField, word: str, sign: str) -> str:
    """A limit as text, with a sign before it where it is not possible itself."""
    bounds = field.view.bounds
    open_limit, limit = bounds.get(f"exclusiveM{word}"), bounds.get(f"m{word}")
    if open_limit is not None:
        return sign + value_in_words(open_limit)
    return "" if limit is None else value_in_words(limit)


def _field(name: str, view: ParameterView) -> FormField:
    told = view.bounds.get("type")
    kinds = [str(kind) for kind in told] if isinstance(told, list) else [str(told)]
    optional = "null" in kinds
    kind = _kind(next((entry for entry in kinds if entry != "null"), "string"))
    enum = view.bounds.get("enum")
    const = view.bounds.get("const")
    choices = tuple(enum) if isinstance(enum, list) else (() if const is None else (const,))
    if kind == "array":
        choices = _entries(name)
    return FormField(name, view, kind, optional, choices)


def _kind(word: str) -> Kind:
    kinds: tuple[Kind, ...] = ("boolean", "integer", "number", "array")
    return next((kind for kind in kinds if kind == word), "string")


@cache
def _entries(name: str) -> tuple[JsonValue, ...]:
    """What the entries of a list can be, which its bounds do not say; () where it is not known."""
    section = _section(name.partition(".")[0])
    properties = {} if section is None else section.model_json_schema()["properties"]
    items = properties.get(name.partition(".")[2], {}).get("items", {})
    return tuple(items.get("enum", ()))


def _about_section(stage: str) -> str:
    section = _section(stage)
    return "" if section is None else (section.__doc__ or "").partition("\n")[0].strip()


def _section(stage: str) -> type[BaseModel] | None:
    """The model of a section; None for one that only a later version knows."""
    known = RunConfig.model_fields.get(stage)
    return None if known is None else type(known.default)
