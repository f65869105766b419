"""The kinds of fields: how each is made, and how its shape is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pipeline.radiance.field import Field
from pipeline.radiance.grid import GridField, GridShape
from pipeline.radiance.mlp import MlpField, MlpShape

FieldShape = MlpShape | GridShape
_KINDS: Mapping[str, type[FieldShape]] = {"mlp": MlpShape, "grid": GridShape}


def make_field(
    shape: FieldShape, reach: Tensor, bounded: bool, generator: torch.Generator
) -> Field:
    """A field at its start.

    reach: (2, 3) corners of the box that all points lie in. bounded: nothing is outside. generator:
    on the CPU; draws the start values.
    """
    if isinstance(shape, GridShape):
        return GridField(shape, reach, bounded)
    return MlpField(shape, generator)


def shape_to_json(shape: FieldShape) -> dict[str, Any]:
    """Plain data: the kind, and the fields of the shape."""
    kind = next(name for name, kind in _KINDS.items() if isinstance(shape, kind))
    return {"kind": kind, **asdict(shape)}


def shape_from_json(data: Mapping[str, Any]) -> FieldShape:
    """Inverse of :func:`shape_to_json`. Raises KeyError, TypeError or ValueError for other data."""
    entries = dict(data)
    kind = entries.pop("kind")
    if kind not in _KINDS:
        raise ValueError(f"there is no field of the kind {kind!r}")
    return _KINDS[kind](**entries)
