"""The patches: where they are cut, what noise does, and which images are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.radiance.planar.homographies import homographies, warped
from pipeline.radiance.planar.patches import corners_of, warp_error
from tests.radiance.planar.textures import HEIGHT, WIDTH, small_patches, texture


def test_the_first_patch_is_the_middle_of_the_image() -> None:
    image = texture(120, 91)
    patches = small_patches(image)  # 91 - 45 is even: pixels fall on pixels, but for half in x
    assert patches.true_warps[0].abs().max() == 0
    top, left = (91 - 45) // 2, (120 - 45) // 2
    between = (image[top : top + 45, left : left + 45] / 255.0).astype(np.float32)
    after = (image[top : top + 45, left + 1 : left + 46] / 255.0).astype(np.float32)
    found = patches.colours[0].numpy()
    assert np.abs(found - (between + after) / 2).mean() < 0.01
    assert np.abs(found - between).mean() > 0.01


def test_colours_are_those_of_the_image_where_the_warp_leads() -> None:
    """On an image that is linear in x and y, any interpolation is exact."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([2 * x, 2 * y, x + y], axis=-1).astype(np.uint8)
    patches = small_patches(image, seed=3)
    places = warped(homographies(patches.true_warps), patches.points)
    places_px = (places + patches.half_size) * patches.unit_px - 0.5
    x_px, y_px = places_px.unbind(-1)
    truth = torch.stack([2 * x_px, 2 * y_px, x_px + y_px], dim=-1) / 255
    inside = (places_px > 2).all(-1) & (x_px < WIDTH - 3) & (y_px < HEIGHT - 3)
    difference = (patches.colours.flatten(1, 2) - truth).abs()[inside]
    assert len(difference) > 5000 and difference.max() < 1e-3


def test_warps_are_drawn_by_the_seed_and_keep_patches_inside() -> None:
    drawn = {seed: small_patches(seed=seed) for seed in range(4)}
    for seed, patches in drawn.items():
        assert torch.equal(patches.true_warps, small_patches(seed=seed).true_warps)
        corners = warped(homographies(patches.true_warps), corners_of(patches.half_side))
        assert (corners.abs() <= patches.half_size).all()
        signs = patches.true_warps[1:, :2].sign()
        assert len(np.unique(signs.numpy(), axis=0)) >= 3  # towards different corners
    assert not torch.equal(drawn[0].true_warps, drawn[1].true_warps)
    parts = torch.cat([patches.true_warps[1:, 2:] for patches in drawn.values()])
    assert 0.07 < parts.std() < 0.13


def test_without_noise_all_patches_are_alike() -> None:
    patches = small_patches(noise_h=0.0, noise_t=0.0)
    assert patches.true_warps.abs().max() == 0
    assert all(torch.equal(colours, patches.colours[0]) for colours in patches.colours)


def test_the_warp_error_is_a_mean_over_all_patches() -> None:
    true = torch.zeros(5, 8)
    found = true.clone()
    found[2, 0], found[2, 1] = 0.3, 0.4
    assert warp_error(found, true) == pytest.approx(0.5 / 5)
    assert warp_error(true, true) == 0


def test_an_image_smaller_than_the_patches_is_refused_with_what_would_fit() -> None:
    with pytest.raises(PipelineError, match="60x40 pixels") as caught:
        small_patches(texture(60, 40))
    assert "planar.patch_px=20" in caught.value.hint
    assert small_patches(texture(60, 40), patch_px=20).count == 5


def test_noise_that_leaves_no_place_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"planar.noise_t = 1.5"):
        small_patches(noise_t=1.5)
