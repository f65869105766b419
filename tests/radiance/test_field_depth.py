"""Depth maps of a field against where its surfaces are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.dense_products import DepthMap, DepthView
from pipeline.geometry.poses import Pose
from pipeline.radiance import field_depth
from pipeline.radiance.field import Field
from pipeline.radiance.field_depth import FieldDepthMaps, render_depth, views_with_depth
from pipeline.radiance.model import RadianceModel
from tests.radiance.blobs import BlobSpec
from tests.radiance.test_novel_views import SCALE, WORLD, blob_model

SPEC = BlobSpec(views=3, width=40, height=32, distortion=(0.05, 0.0, 0.0, 0.0))
_RADIUS = 0.7


class Ball(Field):
    """A grey ball about the middle of the frame, and a wall far outside the box."""

    bands = 1

    def forward(self, points: Tensor, directions: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        dense = (points.norm(dim=-1) < _RADIUS) | (points[:, 2] > 3.0)
        return 1000.0 * dense, torch.full_like(points, 0.5)


def ball_model() -> RadianceModel:
    model = blob_model(SPEC, samples=1000)
    model.setup = replace(model.setup, bounded=False)
    model.fields[0] = Ball()
    return model


def map_of(model: RadianceModel, view: DepthView) -> DepthMap:
    *others, found = render_depth(model, view)
    assert found is not None and not any(others)
    return found


def distances(view: DepthView) -> np.ndarray:
    """(H, W) depths at which the rays of a view meet the ball in the world; NaN where they miss."""
    camera, pose = view.camera, view.cam_from_world
    rows, columns = np.indices((camera.height, camera.width))
    fx, fy, cx, cy = camera.params
    rays = np.stack(
        [(columns + 0.5 - cx) / fx, (rows + 0.5 - cy) / fy, np.ones(rows.shape)], axis=-1
    )
    middle = pose.apply(WORLD.inverse().apply(np.zeros((1, 3))))[0]
    a, b = (rays**2).sum(-1), rays @ middle
    with np.errstate(invalid="ignore"):
        root = np.sqrt(b**2 - a * (middle @ middle - (_RADIUS / SCALE) ** 2))
    return np.asarray((b - root) / a)


def test_depths_and_normals_are_those_of_the_surface_and_nothing_lies_outside_the_box() -> None:
    model = ball_model()
    for view in views_with_depth(model):
        found, true = map_of(model, view), distances(view)
        known = found.depth > 0
        hit = np.isfinite(true)
        assert 150 < hit.sum() < 600
        assert (known & ~hit).sum() <= 0.05 * hit.sum()  # the wall is nobody's
        assert (known & hit).sum() >= 0.95 * hit.sum()
        both = known & hit
        relative = np.abs(found.depth[both] / true[both] - 1.0)
        assert np.median(relative) < 0.005
        assert ((found.confidence > 0) == known).all() and found.confidence.max() <= 1.0
        assert found.depth.dtype == found.normals.dtype == found.confidence.dtype == np.float32
        # In the middle, away from edges, normals point from the middle of the ball.
        row, column = (int(n) for n in np.round(np.argwhere(both).mean(axis=0)))
        camera = view.camera
        fx, fy, cx, cy = camera.params
        ray = np.array([(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, 1.0])
        middle = view.cam_from_world.apply(WORLD.inverse().apply(np.zeros((1, 3))))[0]
        outwards = ray * true[row, column] - middle
        cosine = found.normals[row, column] @ outwards / np.linalg.norm(outwards)
        assert cosine > 0.9


def test_views_have_learned_poses_and_focal_lengths_and_no_distortion() -> None:
    model = ball_model()
    with torch.no_grad():
        model.cameras.corrections[1] = torch.tensor([0.0, 0.1, 0.0, 0.0, 0.0, 0.2])
        model.cameras.focal_logs.add_(0.1)
    views = views_with_depth(model)
    assert [view.name for view in views] == ["0.png", "1.png", "2.png"]
    at_first = WORLD.inverse().apply_to_pose(model.setup.poses[1])
    moved = views[1].cam_from_world.compose(at_first.inverse())
    assert np.allclose(moved.rotation[0, 2], np.sin(0.1), atol=1e-5)
    before = model.setup.cameras[0].opencv_params
    for view in views:
        assert view.camera.model == "PINHOLE"
        assert view.camera.params[:2] == pytest.approx(before[:2] * np.exp(0.1), rel=1e-6)
        assert isinstance(view.cam_from_world, Pose)


def test_of_many_views_some_are_taken_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_depth, "_MOST_VIEWS", 2)
    model = ball_model()
    views = views_with_depth(model)
    assert [view.name for view in views] == ["0.png", "2.png"]
    maps = FieldDepthMaps(views, [map_of(model, view) for view in views])
    assert maps[1] is maps.maps[1] and maps.model is None
