"""A held-out photograph beside what the field makes of it: truth, rendering, error, depth."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.geometry.arrays import UInt8s
from pipeline.radiance.pictures import depth_colors, write_png
from pipeline.radiance.view_fitting import FittedView

_ERROR_GAIN = 4.0  # a difference of a quarter of the range is white
_OUTER = 2.0  # per cent of the depths on either side that share the last colour


def panel(fitted: FittedView) -> UInt8s:
    """The four pictures in a row, (H, 4 W, 3) uint8; black where no pixel counts."""
    truth = np.where(fitted.seen[:, :, None], fitted.view.rgb / 255.0, 0.0)
    error = _ERROR_GAIN * np.abs(fitted.rgb - truth)
    pictures = [np.rint(255.0 * p.clip(0.0, 1.0)) for p in (truth, fitted.rgb, error)]
    return np.concatenate([*pictures, _depth_picture(fitted)], axis=1).astype(np.uint8)


def write_panel(folder: Path, fitted: FittedView) -> Path:
    """Write the panel as a PNG named after the photograph; its path. Raises PipelineError where the
    disk refuses."""
    name = PurePosixPath(fitted.view.name).with_suffix(".png").as_posix().replace("/", "-")
    write_png(folder / name, panel(fitted))
    return folder / name


def _depth_picture(fitted: FittedView) -> UInt8s:
    depth = np.where(fitted.seen, fitted.depth, np.nan).astype(np.float32)
    known = depth[np.isfinite(depth)]
    if not known.size:
        return np.zeros(fitted.view.rgb.shape, np.uint8)
    near, far = np.percentile(known, (_OUTER, 100.0 - _OUTER)).tolist()
    return depth_colors(depth, near, far)
