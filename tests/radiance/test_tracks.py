"""Tracks keep cameras together: their error falls with the poses, and outliers hardly pull."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.pose_steps import Curvature, GaussNewtonPoses
from pipeline.radiance.problem import Tracks
from pipeline.radiance.tracks import TrackTerm
from tests.radiance.blobs import BlobSpec, blob_camera, blob_poses, disturbed

_SPEC = BlobSpec(views=8, width=200, height=160, distortion=(0.05, 0.0, 0.0, 0.0))
_POINTS = 60


def world(noise: float = 0.0) -> tuple[RayCameras, Tracks]:
    """Cameras around points, displaced at random, and where the true ones see the points."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.8, 0.8, (_POINTS, 3))
    poses, camera = blob_poses(_SPEC.views), blob_camera(_SPEC)
    pixels = np.concatenate([camera.project(pose.apply(points)) for pose in poses])
    tracks = Tracks(
        points=points,
        point_of=np.tile(np.arange(_POINTS), len(poses)),
        image_of=np.repeat(np.arange(len(poses)), _POINTS),
        pixels=pixels,
        held_out=np.arange(_POINTS) % 10 == 0,
    )
    started = [disturbed(pose, rng.normal(0.0, noise, 6)) for pose in poses]
    return RayCameras(started, [camera], [0] * len(poses)), tracks


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_true_cameras_have_no_error() -> None:
    cameras, tracks = world()
    found = TrackTerm(tracks, cameras).pull(cameras, 1.0, generator())
    assert found.error_px < 1e-3 and found.loss < 1e-7
    assert found.squares.shape == (8, 6, 6)
    assert torch.linalg.eigvalsh(found.squares).min() > 0.0


def test_gauss_newton_steps_bring_displaced_cameras_together() -> None:
    """The error falls by far, although the points are free to follow the cameras."""
    cameras, tracks = world(noise=0.03)
    term, steps, random = TrackTerm(tracks, cameras), GaussNewtonPoses(cameras), generator()
    images = torch.arange(8)
    errors = []
    for _ in range(120):
        cameras.corrections.grad = None
        found = term.pull(cameras, 1.0, random)
        found.loss.backward()  # type: ignore[no-untyped-call]
        steps.step(cameras, images, 0.2, Curvature(found.squares, 1e-3))
        errors.append(float(found.error_px))
    assert errors[0] > 2.0
    assert errors[-1] < 0.1 * errors[0]


def test_the_gradient_is_that_of_finite_differences() -> None:
    cameras, tracks = world(noise=0.01)
    term = TrackTerm(tracks, cameras)
    points = term.to_arrays()
    found = term.pull(cameras, 1.0, generator())
    found.loss.backward()  # type: ignore[no-untyped-call]
    assert cameras.corrections.grad is not None
    step = 1e-3
    losses = []
    for sign in (1.0, -1.0):
        term.load_arrays(points)
        with torch.no_grad():
            cameras.corrections[2, 1] += sign * step
        losses.append(float(term.pull(cameras, 1.0, generator()).loss.detach()))
        with torch.no_grad():
            cameras.corrections[2, 1] -= sign * step
    slope = float(cameras.corrections.grad[2, 1])
    assert abs(slope) > 1e-4
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope, rel=0.02)


def test_held_out_tracks_change_nothing() -> None:
    cameras, tracks = world(noise=0.01)
    spoiled = tracks.pixels.copy()
    spoiled[tracks.held_out[tracks.point_of]] += 50.0
    other = Tracks(tracks.points, tracks.point_of, tracks.image_of, spoiled, tracks.held_out)
    one = TrackTerm(tracks, cameras).pull(cameras, 1.0, generator())
    two = TrackTerm(other, cameras).pull(cameras, 1.0, generator())
    assert torch.equal(one.loss, two.loss) and torch.equal(one.squares, two.squares)


def test_outliers_hardly_pull() -> None:
    """Photograph 3 is half a pixel off, or fifty: it pulls nearly as much, or hardly."""
    cameras, tracks = world()
    stiffness = []
    for offset_px in (0.0, 0.5, 50.0):
        pixels = tracks.pixels.copy()
        pixels[3 * _POINTS : 4 * _POINTS, 0] += offset_px
        shifted = Tracks(tracks.points, tracks.point_of, tracks.image_of, pixels, tracks.held_out)
        squares = TrackTerm(shifted, cameras).pull(cameras, 1.0, generator()).squares[3]
        stiffness.append(float(squares.diagonal().mean()))
    fair, near, far = stiffness
    assert 0.6 * fair < near < fair
    assert 0.0 < far < 0.01 * fair


def test_without_tracks_to_learn_from_nothing_pulls() -> None:
    cameras, tracks = world()
    none = Tracks(
        tracks.points,
        tracks.point_of,
        tracks.image_of,
        tracks.pixels,
        np.ones(_POINTS, bool),
    )
    found = TrackTerm(none, cameras).pull(cameras, 1.0, generator())
    assert found.loss == 0.0 and not found.squares.any() and found.error_px.isnan()


def test_points_come_back_from_a_checkpoint() -> None:
    cameras, tracks = world(noise=0.02)
    term, again = TrackTerm(tracks, cameras), TrackTerm(tracks, cameras)
    random = generator()
    term.pull(cameras, 1.0, random)
    again.load_arrays(term.to_arrays())
    one = term.pull(cameras, 1.0, generator())
    two = again.pull(cameras, 1.0, generator())
    assert torch.equal(one.loss, two.loss)
    with pytest.raises(ValueError, match="points"):
        again.load_arrays({"points": np.zeros((2, 3), np.float32)})
