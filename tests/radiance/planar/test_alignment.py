"""The methods: what they align, what they do not, and that they go on where they were."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from pipeline.planar_config import PLANAR_METHODS
from pipeline.radiance.planar import smooth_grid
from pipeline.radiance.planar.alignment import judge, make_alignment, picture
from pipeline.radiance.planar.network import Encoding, ImageNetwork, NetworkAlignment
from pipeline.radiance.planar.patches import Patches
from pipeline.radiance.planar.race import Race, fitting_steps
from pipeline.radiance.planar.smooth_grid import GridAlignment
from tests.radiance.planar.textures import small, small_patches, texture

GRID_STEPS = 60


def aligned_by_grid(patches: Patches) -> GridAlignment:
    alignment = GridAlignment(patches, GRID_STEPS)
    while alignment.done < alignment.steps:
        alignment.step()
    return alignment


@pytest.mark.parametrize("seed", [0, 1])
def test_the_smooth_grid_aligns(seed: int) -> None:
    patches = small_patches(seed=seed)
    at_first = judge(GridAlignment(patches, GRID_STEPS), patches)
    assert at_first.warp_error > 0.2 and at_first.psnr < 25
    found = judge(aligned_by_grid(patches), patches)
    assert 1e-5 < found.warp_error < 0.01
    assert 33 < found.psnr < 70


def test_a_sample_of_the_pixels_tells_about_what_all_tell() -> None:
    patches = small_patches()
    alignment = GridAlignment(patches, GRID_STEPS)
    while alignment.done < 40:
        alignment.step()
    whole, sample = judge(alignment, patches), judge(alignment, patches, 450)
    # A regular grid of as many, the edge among them, is a decibel off.
    assert abs(sample.psnr - whole.psnr) < 0.6 and sample != whole
    assert judge(alignment, patches, 450) == sample and judge(alignment, patches, 9999) == whole


def test_without_smoothing_the_grid_does_not_align(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smooth_grid, "_COARSEST", 0.0)
    patches = small_patches(seed=0)
    assert judge(aligned_by_grid(patches), patches).warp_error > 0.05


def test_an_image_without_texture_moves_nothing() -> None:
    patches = small_patches(texture() * 0 + 77)
    alignment = aligned_by_grid(patches)
    assert alignment.warps.abs().max() < 1e-3
    assert judge(alignment, patches).psnr > 30


def test_bands_open_only_for_barf() -> None:
    patches, config = small_patches(), small()
    alphas: dict[str, list[float]] = {}
    for encoding in get_args(Encoding)[:2]:
        alignment = NetworkAlignment(encoding, patches, config, 10)
        alphas[encoding] = []
        for done in (0, 1, 2, 4, 9):
            alignment.done = done
            alphas[encoding].append(alignment.alpha)
    assert alphas["barf"] == pytest.approx([0, 2, 4, 8, 8])
    assert alphas["full"] == [8] * 5


def test_a_gradual_network_sees_position_alone_at_first() -> None:
    generator = torch.Generator().manual_seed(0)
    network = ImageNetwork(8, True, generator)
    plain = ImageNetwork(0, False, generator)
    with torch.no_grad():
        for values, others in ((network.weights, plain.weights), (network.biases, plain.biases)):
            for value, other in zip(values, others, strict=True):
                other.copy_(value[:, : other.shape[1]] if value.dim() == 2 else value)
        points = torch.rand(50, 2, generator=generator) * 2 - 1
        torch.testing.assert_close(network(points, 0.0), plain(points, 0.0))
        assert (network(points, 8.0) - plain(points, 8.0)).abs().max() > 1e-3


@pytest.mark.parametrize("method", ["barf", "full", "none"])
def test_a_network_learns_and_moves_all_patches_but_the_first(method: str) -> None:
    patches, config = small_patches(), small(pixels=400)
    alignment = make_alignment(method, patches, config, 60)  # type: ignore[arg-type]
    before = judge(alignment, patches, 225)
    for _ in range(60):
        alignment.step()
    after = judge(alignment, patches, 225)
    assert before.psnr + 1.5 < after.psnr < 40
    moved = alignment.warps.norm(dim=-1)
    assert moved[0] == 0 and (moved[1:] > 1e-3).all()


def test_the_picture_shows_the_image_where_patches_lie() -> None:
    patches = small_patches(seed=1)
    seen = picture(aligned_by_grid(patches), patches, 120, 90)
    middle = (slice(25, 65), slice(40, 80))
    difference = abs(seen[middle].astype(float) - texture()[middle])
    assert difference.mean() < 6
    assert abs(seen[middle].astype(float) - texture()[25:65, 50:90]).mean() > 15


def test_a_race_that_goes_on_ends_as_one_that_was_not_disturbed() -> None:
    patches, config = small_patches(), small(steps=6)
    whole, first, second = (Race(patches, config, 6) for _ in range(3))
    for _ in range(6):
        whole.advance()
    for _ in range(2):
        first.advance()
    second.restore(first.checkpoint())
    for _ in range(4):
        second.advance()
    ends = [race.checkpoint() for race in (whole, second)]
    assert ends[0].arrays.keys() == ends[1].arrays.keys()
    for name, values in ends[0].arrays.items():
        assert values.tobytes() == ends[1].arrays[name].tobytes(), name
    assert whole.moments == second.moments
    assert [len(moments) for moments in whole.moments.values()] == [7] * len(PLANAR_METHODS)


def test_the_same_seed_gives_the_same_bits_and_another_one_others() -> None:
    ends = []
    for seed in (4, 4, 5):
        race = Race(small_patches(seed=1), small(seed=seed, methods=["barf"]), 5)
        for _ in range(5):
            race.advance()
        ends.append(race.alignments["barf"].warps)
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_steps_are_fitted_to_minutes() -> None:
    patches = small_patches()
    short, long = (
        list(fitting_steps(patches, small(methods=["barf"]), minutes))[-1] for minutes in (0.01, 1)
    )
    assert short is not None and long is not None and 1 <= short < long
    assert list(fitting_steps(patches, small(methods=["smooth-grid"]), 1.0)) == [20]
