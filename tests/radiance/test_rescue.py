"""Photographs without a pose are found in a field that shows what they show, and only there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.geometry.poses import Pose, angle_between_rotations
from pipeline.radiance.evaluation import Trained
from pipeline.radiance.perturbation import displaced
from pipeline.radiance.rendering import Rays, Rendered, composite, stratified_shares
from pipeline.radiance.rescue import missing_views, neighbours, rescue
from pipeline.radiance.view_fitting import Fitting
from tests.radiance.blobs import DEPTHS, Blobs, BlobSpec, blob_problem
from tests.radiance.reconstructions import make_model, make_photos, small_world


class BlobRenderer:
    """The blobs themselves, as a trained field."""

    def render(
        self, rays: Rays, images: Tensor | None, alpha: float, generator: torch.Generator | None
    ) -> Rendered:
        """See pipeline.radiance.view_fitting.Renderer."""
        shares = stratified_shares(len(rays.origins), 48, torch.device("cpu"), generator)
        depths = DEPTHS.at(shares)
        points = rays.origins[:, None] + rays.directions[:, None] * depths[..., None]
        flat = points.reshape(-1, 3)
        density, rgb = Blobs()(flat, flat, 1.0)
        return composite(
            density.view(depths.shape),
            rgb.view(*depths.shape, 3),
            depths,
            rays.directions.norm(dim=-1),
            torch.ones(3),
        )


FITTING = Fitting(iterations=60, rays=96, pose_rate=5e-3)
PROBLEM, _ = blob_problem(BlobSpec(views=3, width=24, height=20))
TRAINED = Trained(BlobRenderer(), 1.0, PROBLEM.poses, torch.device("cpu"))
POSES = [Pose(np.eye(3), np.array([float(i), 0.0, 0.0])) for i in range(4)]


def test_a_view_is_found_from_near_its_place() -> None:
    (start,) = displaced(PROBLEM.poses[1:2], 4.0, 0.0, 2)
    found = rescue(TRAINED, PROBLEM.views[1], [start], 25.0, FITTING)
    assert found.pose is not None and 25.0 < found.psnr < 90.0
    before = angle_between_rotations(start.rotation, PROBLEM.poses[1].rotation)
    after = angle_between_rotations(found.pose.rotation, PROBLEM.poses[1].rotation)
    assert after < 0.5 * before
    assert found.to_json() == {"image": found.name, "found": True, "outcome": found.words}


def test_a_view_of_something_else_is_not_found() -> None:
    stranger = replace(
        PROBLEM.views[1], rgb=np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8)
    )
    found = rescue(TRAINED, stranger, [PROBLEM.poses[1]], 25.0, FITTING)
    assert found.pose is None and "25.0 dB needed" in found.words


def test_a_view_that_is_masked_altogether_is_not_looked_for() -> None:
    hidden = replace(PROBLEM.views[1], mask=np.zeros((20, 24), bool))
    found = rescue(TRAINED, hidden, [PROBLEM.poses[1]], 25.0, FITTING)
    assert found.pose is None and "mask covers all" in found.words


def test_photographs_begin_at_their_neighbours() -> None:
    names = ["a", "b", "c", "d", "e"]
    posed = {"a": POSES[0], "b": POSES[1], "e": POSES[2]}
    assert neighbours("c", names, posed) == [POSES[1], POSES[2]]
    assert neighbours("d", names, posed) == [POSES[1], POSES[2]]
    assert neighbours("a", names[:2], {"b": POSES[1]}) == [POSES[1]]
    assert neighbours("c", names, {}) == []


def test_what_is_missing_has_the_camera_that_was_found(tmp_path: Path) -> None:
    world = small_world()
    model = make_model(world)
    photos = make_photos(tmp_path, world)
    refined = model.cameras[1].with_focal_scaled(1.1)
    fewer = {i: image for i, image in model.images.items() if i not in (3, 8)}
    some = replace(model, cameras={1: refined}, images=fewer)
    tasks = missing_views(photos, some, 64)
    assert [task.name for task in tasks] == ["02.png", "07.png"]
    assert all(task.camera is refined and task.size_px == 64 for task in tasks)
