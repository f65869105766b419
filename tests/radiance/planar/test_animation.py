"""The animation: outlines lie where the warps put the patches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from pipeline.radiance.pictures import jpeg
from pipeline.radiance.planar.alignment import Figures
from pipeline.radiance.planar.animation import draw_frames
from pipeline.radiance.planar.drawing import PATCH_COLORS
from pipeline.radiance.planar.homographies import homographies, warped
from pipeline.radiance.planar.patches import corners_of
from pipeline.radiance.planar.race import Moment
from tests.radiance.planar.textures import small_patches, texture

TOP_LEFT = np.array([10, 44])  # of the photograph in a frame
PANEL = (240, 180)


def moment(warps: Tensor) -> Moment:
    """A moment with some warps."""
    return Moment(1, Figures(0.1, 20.0), warps.tolist(), jpeg(texture(80, 60), 90))


def test_outlines_lie_where_the_patches_are() -> None:
    patches = small_patches(seed=1)
    still = torch.zeros_like(patches.true_warps)
    image = texture(240, 180)
    moments = {"barf": [moment(still), moment(patches.true_warps)]}
    frames = draw_frames(image, patches, moments)  # type: ignore[arg-type]
    corners = warped(homographies(patches.true_warps), corners_of(patches.half_side))
    corners_px = ((corners / patches.half_size + 1) / 2 * torch.tensor(PANEL)).numpy() + TOP_LEFT
    at_first, aligned = (np.asarray(frame, np.float64) for frame in frames)
    for outline, color in list(zip(corners_px, PATCH_COLORS, strict=False))[1:]:
        far, near = (
            [
                np.abs(frame[y - 1 : y + 2, x - 1 : x + 2] - color).sum(-1).min()
                for a, b in pairwise([*outline, outline[0]])
                for x, y in [np.round((a + b) / 2).astype(int)]
            ]
            for frame in (at_first, aligned)
        )
        assert sorted(near)[1] < 60  # one side may be crossed by another patch's
        assert np.median(far) > 80
