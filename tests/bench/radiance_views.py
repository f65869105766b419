"""How long a view of a trained field takes; the row of `bench_radiance` for a GPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import numpy as np
import torch

from pipeline.array_files import read_arrays
from pipeline.geometry.cameras import Camera
from pipeline.radiance.experiment import MODEL, Halt
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.novel_views import NovelViews
from tests.bench.bars import Bar, Measured
from tests.bench.radiance_rows import METHOD, Arm, Options, Row

_LOOKS = 5
_GPU_SIZE = (800, 800)
_TRAINED = ("lego-fast", "lego-reference")


def view_times(
    arrays: Mapping[str, np.ndarray], size: tuple[int, int], device: torch.device
) -> Measured:
    """Median times, of some looks, to the first picture at 1/8 and to the full one of this width
    and height, from the first camera of the field."""
    model = RadianceModel.from_arrays(arrays, device)
    views = NovelViews(model)
    camera, pose = model.setup.cameras[0], model.setup.poses[0]
    focal = camera.focal_px * size[0] / camera.width
    asked = Camera("SIMPLE_PINHOLE", *size, np.array([focal, size[0] / 2, size[1] / 2]))
    in_world = model.setup.field_from_world.inverse().apply_to_pose(pose)
    first, full = [], []
    for _ in range(_LOOKS):
        began = time.perf_counter()
        times = [
            time.perf_counter() - began
            for picture in views.render(asked, in_world, coarsest=8)
            if picture is not None
        ]
        first.append(times[0])
        began = time.perf_counter()
        for _ in views.render(asked, in_world):
            pass
        full.append(time.perf_counter() - began)
    full_s = statistics.median(full)
    first_ms = 1000 * statistics.median(first)
    return {"first_ms": first_ms, "full_s": full_s, "frames_per_s": 1 / full_s}


def measure(options: Options, seed: int, halt: Halt) -> Measured | None:
    """A view of the field that another row has trained."""
    for row in _TRAINED:
        path = options.out / row / f"{METHOD}-{seed}" / MODEL
        if path.exists():
            print(f"    field of {row}")
            return view_times(read_arrays(path), _GPU_SIZE, options.device)
    print(f"    one of the rows {', '.join(_TRAINED)} has to be measured first")
    return None


VIEW_ROW = Row(
    "gpu-view",
    (Arm(METHOD, measure),),
    (Bar("full_s", 0.5), Bar("frames_per_s", None, 20.0, least=True)),
)
