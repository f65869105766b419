"""What every section of the configuration is made of: its base class and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Applies = Literal["live", "stage", "restart"]


def setting(
    default: Any, effect: str, *, unit: str = "", applies: Applies = "stage", **bounds: Any
) -> Any:
    """A field with its effect in words, its unit, its bounds, and when a change applies."""
    extra: dict[str, JsonValue] = {"unit": unit, "applies": applies}
    return Field(default, description=effect, json_schema_extra=extra, **bounds)


class StageConfig(BaseModel):
    """Base of the stages' configurations."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def is_live(section: StageConfig, field: str) -> bool:
    """Whether a change of a field takes effect between two steps of its stage."""
    info = type(section).model_fields.get(field)
    extra = info.json_schema_extra if info is not None else None
    return isinstance(extra, dict) and extra.get("applies") == "live"


def fixed_differences(section: StageConfig, other: Mapping[str, Any]) -> list[str]:
    """Names of the fields that another section, as plain data, has otherwise or not at all, and
    that cannot change while their stage runs."""
    own = section.model_dump(mode="json")
    if own.keys() != other.keys():
        return sorted(own.keys() ^ other.keys())
    return [name for name in own if own[name] != other[name] and not is_live(section, name)]
