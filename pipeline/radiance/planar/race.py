"""The methods of planar alignment side by side, on the same patches, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue

from pipeline.planar_config import PlanarConfig, PlanarMethod
from pipeline.radiance.pictures import jpeg
from pipeline.radiance.planar.alignment import (
    Alignment,
    Figures,
    judge,
    make_alignment,
    picture,
)
from pipeline.radiance.planar.patches import Patches
from pipeline.stage import Checkpoint

MOMENTS = 40  # that the curves and the animation have, besides the start
_TRIAL_STEPS = 6
_JUDGED_PIXELS = 900  # of each patch, on the way: to look at all takes as long as many steps
_PICTURE_PX = 160  # longer side
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Moment:
    """How far a method was at one time.

    step: its own. figures: from a sample of the pixels, at the end from all. picture: the learned
    image, as JPEG. warps: (N, 8) in sl(3).
    """

    step: int
    figures: Figures
    warps: Sequence[Sequence[float]]
    picture: bytes


class Race:
    """The methods at work. Smooth-grid, which makes fewer steps, spreads them over the whole.

    moments: of each method, from the start on. seconds: that each method has taken.
    """

    def __init__(self, patches: Patches, config: PlanarConfig, steps: int) -> None:
        self.patches = patches
        self.steps = steps
        self.step = 0
        self.alignments: dict[PlanarMethod, Alignment] = {
            method: make_alignment(method, patches, config, steps) for method in config.methods
        }
        self.seconds = dict.fromkeys(config.methods, 0.0)
        self.moments: dict[PlanarMethod, list[Moment]] = {method: [] for method in config.methods}

    def advance(self) -> bool:
        """Let every method make a step; whether a moment was added."""
        if not any(self.moments.values()):
            self._add_moments()
        for method, alignment in self.alignments.items():
            begin = time.perf_counter()
            due = (self.step + 1) * alignment.steps // self.steps
            while alignment.done < due:
                alignment.step()
            self.seconds[method] += time.perf_counter() - begin
        self.step += 1
        if not _is_moment(self.step, self.steps):
            return False
        self._add_moments()
        return True

    def change(self, config: PlanarConfig) -> None:
        """Go on with other live parameters."""
        for alignment in self.alignments.values():
            alignment.change(config)

    def checkpoint(self) -> Checkpoint:
        """All that decides what comes next, and the moments so far."""
        arrays = {
            f"{method}/{name}": values
            for method, alignment in self.alignments.items()
            for name, values in alignment.arrays().items()
        }
        told: dict[str, JsonValue] = {}
        for method, moments in self.moments.items():
            for number, moment in enumerate(moments):
                arrays[_picture_name(method, number)] = np.frombuffer(moment.picture, np.uint8)
            told[method] = [_as_json(moment) for moment in moments]
        seconds: dict[str, JsonValue] = dict(self.seconds.items())
        data: dict[str, JsonValue] = {
            "step": self.step,
            "steps": self.steps,
            "moments": told,
            "seconds": seconds,
            "threads": torch.get_num_threads(),
        }
        return Checkpoint(arrays, data)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of a race of the same patches and configuration."""
        data: Mapping[str, Any] = checkpoint.data
        self.step = data["step"]
        self.seconds.update(data["seconds"])
        for method, alignment in self.alignments.items():
            prefix = f"{method}/"
            arrays = {
                name.removeprefix(prefix): values
                for name, values in checkpoint.arrays.items()
                if name.startswith(prefix)
            }
            alignment.restore(arrays, self.step * alignment.steps // self.steps)
            self.moments[method] = [
                _from_json(told, checkpoint.arrays[_picture_name(method, number)].tobytes())
                for number, told in enumerate(data["moments"][method])
            ]

    def _add_moments(self) -> None:
        """Note where every method is. At the end all pixels are judged, once: everything that tells
        how a method ended takes its figures from the last moment."""
        width, height = _picture_size(self.patches)
        most_pixels = None if self.step == self.steps else _JUDGED_PIXELS
        for method, alignment in self.alignments.items():
            seen = picture(alignment, self.patches, width, height)
            figures = judge(alignment, self.patches, most_pixels)
            warps = alignment.warps.tolist()
            moment = Moment(alignment.done, figures, warps, jpeg(seen, _JPEG_QUALITY))
            self.moments[method].append(moment)


def fitting_steps(patches: Patches, config: PlanarConfig, minutes: float) -> Iterator[int | None]:
    """How many steps fit into some minutes: None while it is being tried out, the number last.

    The trial costs a few steps of the networks; smooth-grid, a small part of the whole, counts as
    nothing.
    """
    seconds = 0.0
    for method in config.methods:
        if method == "smooth-grid":
            continue
        trial = make_alignment(method, patches, config, config.steps)
        trial.step()  # the first one allocates
        begin = time.perf_counter()
        for _ in range(_TRIAL_STEPS):
            trial.step()
            yield None
        seconds += (time.perf_counter() - begin) / _TRIAL_STEPS
    yield max(1, round(60 * minutes / seconds)) if seconds else config.steps


def _is_moment(step: int, steps: int) -> bool:
    return step * MOMENTS // steps > (step - 1) * MOMENTS // steps


def _picture_size(patches: Patches) -> tuple[int, int]:
    width, height = (patches.half_size / patches.half_size.max() * _PICTURE_PX).tolist()
    return max(1, round(width)), max(1, round(height))


def _picture_name(method: str, number: int) -> str:
    return f"pictures/{method}/{number}"


def _as_json(moment: Moment) -> JsonValue:
    return {
        "step": moment.step,
        "warp_error": moment.figures.warp_error,
        "psnr": moment.figures.psnr,
        "warps": [[float(value) for value in warp] for warp in moment.warps],
    }


def _from_json(told: Mapping[str, Any], picture: bytes) -> Moment:
    figures = Figures(told["warp_error"], told["psnr"])
    return Moment(told["step"], figures, told["warps"], picture)
