"""Bundle adjustment beside Ceres (pycolmap) on the same problems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.mapping.bundle import BundleOptions, Loss, adjust_bundle
from tests.bench.bundle_peer import adjust_with_ceres
from tests.synthetic import WorldSpec, free_all, make_world, perturb


@pytest.mark.parametrize("loss", ["none", "huber", "soft_l1", "cauchy"])
@pytest.mark.parametrize("model", ["PINHOLE", "RADIAL", "OPENCV"])
def test_final_cost_is_that_of_ceres(loss: Loss, model: str) -> None:
    # Squared errors of wild outliers have no sensible minimum to agree on.
    outliers = 0.0 if loss == "none" else 0.03
    spec = WorldSpec(images=6, points=80, noise_px=0.6, outliers=outliers, model=model, cameras=2)
    truth = make_world(spec).truth
    kinds = ("focal",) if model == "PINHOLE" else ("focal", "distortion")
    start = perturb(replace(truth, free_intrinsics=free_all(truth, *kinds)), 0.005, params=0.005)
    options = BundleOptions(loss=loss, loss_scale_px=1.5, max_iterations=200, cost_tolerance=1e-10)
    ours, ceres = adjust_bundle(start, options), adjust_with_ceres(start, options, threads=1)
    assert ours.initial_cost == pytest.approx(ceres.initial_cost, rel=1e-9)
    assert ours.final_cost == pytest.approx(ceres.final_cost, rel=1e-3)
    assert 10.0 < ours.final_cost < 0.99 * ours.initial_cost


def test_with_poses_and_points_held() -> None:
    truth = make_world(WorldSpec(images=8, points=120, noise_px=0.6)).truth
    held = replace(
        truth,
        fixed_images=np.arange(8) % 3 == 0,
        fixed_points=np.arange(120) % 4 == 0,
        free_intrinsics=free_all(truth, "focal"),
    )
    start = perturb(held, 0.01)
    options = BundleOptions(max_iterations=100, cost_tolerance=1e-10)
    ours, ceres = adjust_bundle(start, options), adjust_with_ceres(start, options, threads=1)
    assert ours.final_cost == pytest.approx(ceres.final_cost, rel=1e-6)
    centers = [
        -np.einsum("iba,ib->ia", r, t)
        for r, t in (
            (ours.rotations, ours.translations),
            (ceres.problem.rotations, ceres.problem.translations),
        )
    ]
    np.testing.assert_allclose(centers[0], centers[1], atol=1e-4)
    np.testing.assert_allclose(ours.points_world, ceres.problem.points_world, atol=1e-4)
