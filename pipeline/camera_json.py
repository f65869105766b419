"""A camera as plain data for the files of a run, exactly as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.geometry.cameras import Camera


def camera_as_json(camera: Camera) -> dict[str, Any]:
    """The camera's fields, parameters as a list of numbers."""
    return {**asdict(camera), "params": camera.params.tolist()}


def camera_from_json(data: Mapping[str, Any]) -> Camera:
    """Inverse of :func:`camera_as_json`. Raises KeyError, TypeError or ValueError for
    other data."""
    return Camera(**{**data, "params": np.array(data["params"], np.float64)})
