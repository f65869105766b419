"""A field that is known exactly, judged from cameras that are not."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.geometry.poses import Pose, angle_between_rotations, rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from pipeline.radiance.evaluation import Evaluation, Reference, Trained, evaluate
from pipeline.radiance.evaluation_pictures import panel
from pipeline.radiance.perturbation import displaced
from pipeline.radiance.pose_errors import NoPoseErrors, PoseErrors, pose_errors
from pipeline.radiance.rendering import Rays, Rendered, composite, stratified_shares
from pipeline.radiance.view_fitting import FittedView, Fitting
from tests.radiance.blobs import DEPTHS, Blobs, BlobSpec, blob_camera, blob_poses, photographs
from tests.synthetic import WorldSpec, make_world

CPU = torch.device("cpu")
FIT = Fitting(iterations=60, rays=120, pose_rate=5e-3, together=2)
SPEC = BlobSpec(views=8, width=20, height=16)
POSES = blob_poses(8)
VIEWS = photographs(POSES, blob_camera(SPEC))


class KnownField:
    """Renders the blobs themselves; `gain` darkens them all, as another exposure would."""

    def __init__(self, gain: float = 1.0) -> None:
        self._gain = gain

    def render(
        self, rays: Rays, images: Tensor | None, alpha: float, generator: torch.Generator | None
    ) -> Rendered:
        shares = stratified_shares(len(rays.origins), 96, CPU, generator)
        depths = DEPTHS.at(shares)
        points = rays.origins[:, None] + rays.directions[:, None] * depths[..., None]
        density, rgb = Blobs()(points.reshape(-1, 3), points.reshape(-1, 3), alpha)
        lengths = rays.directions.norm(dim=-1)
        colours = rgb.view(*depths.shape, 3)
        seen = composite(density.view(depths.shape), colours, depths, lengths, torch.ones(3))
        return seen._replace(rgb=self._gain * seen.rgb)


def judged(
    field: KnownField, held_out: tuple[Pose, ...], fitting: Fitting, true: bool = True
) -> tuple[Evaluation, list[FittedView]]:
    """The first six views were trained on; the last two are held out, with these poses."""
    trained = Trained(field, 1.0, tuple(POSES[:6]), CPU)
    shown: list[FittedView] = []
    reference = Reference(tuple(POSES[:6]), tuple(VIEWS[6:]), held_out, true)
    return evaluate(trained, reference, fitting, shown.append), shown


def test_the_known_field_shows_the_photographs() -> None:
    evaluation, shown = judged(KnownField(), tuple(POSES[6:]), replace(FIT, iterations=0))
    assert evaluation.psnr is not None and 38.0 < evaluation.psnr < 75.0
    assert evaluation.ssim is not None and 0.99 < evaluation.ssim <= 1.0
    assert isinstance(evaluation.cameras, PoseErrors)
    assert evaluation.cameras.rotation_deg.max() < 1e-5
    assert [view.view.name for view in shown] == ["006.png", "007.png"]


def test_fitting_takes_the_pose_error_of_held_out_views_away() -> None:
    wrong = displaced(POSES, 3.0, 0.03, 1)[6:]
    before, _ = judged(KnownField(), wrong, replace(FIT, iterations=0))
    after, shown = judged(KnownField(), wrong, FIT)
    assert before.psnr is not None and after.psnr is not None
    assert before.psnr < 24.0 and 27.0 < after.psnr < 60.0
    for fitted, pose in zip(shown, POSES[6:], strict=True):
        angle = math.degrees(angle_between_rotations(fitted.pose.rotation, pose.rotation))
        assert angle < 2.0
        assert 1.5 < fitted.pose_change_deg < 4.5


def test_exposure_is_fitted_only_where_it_is_asked_for() -> None:
    plain, _ = judged(KnownField(gain=0.7), tuple(POSES[6:]), FIT)
    fitting = replace(FIT, exposure=True, pose_rate=1e-2)
    fitted, shown = judged(KnownField(gain=0.7), tuple(POSES[6:]), fitting)
    assert plain.psnr is not None and fitted.psnr is not None
    assert plain.psnr < 20.0 and fitted.psnr > plain.psnr + 6.0
    assert np.allclose(np.exp(shown[0].log_gains), 1 / 0.7, atol=0.06)
    assert plain.views[0].gains == (1.0, 1.0, 1.0)


def test_the_true_frame_may_be_any() -> None:
    """Held-out poses are given in a world that is turned, moved and scaled: same figures."""
    turn = rotation_from_rotvec(np.array([0.3, -0.8, 0.2]))
    world_from_field = Similarity(2.5, turn, np.array([1.0, 2.0, 3.0]))
    trained = Trained(KnownField(), 1.0, tuple(POSES[:6]), CPU)
    in_world = [world_from_field.apply_to_pose(pose) for pose in POSES]
    reference = Reference(tuple(in_world[:6]), tuple(VIEWS[6:]), tuple(in_world[6:]), True)
    evaluation = evaluate(trained, reference, replace(FIT, iterations=0))
    assert evaluation.psnr is not None and evaluation.psnr > 38.0
    assert isinstance(evaluation.cameras, PoseErrors)
    assert evaluation.cameras.centre.max() < 1e-5


def test_the_same_seed_gives_the_same_bits() -> None:
    wrong = displaced(POSES, 2.0, 0.02, 1)[6:]
    fitting = replace(FIT, iterations=5)
    first, _ = judged(KnownField(), wrong, fitting)
    second, _ = judged(KnownField(), wrong, fitting)
    other, _ = judged(KnownField(), wrong, replace(fitting, seed=1))
    assert first.views == second.views
    assert first.views != other.views


def test_nothing_held_out_is_said_in_words() -> None:
    trained = Trained(KnownField(), 1.0, tuple(POSES), CPU)
    evaluation = evaluate(trained, Reference(tuple(POSES), (), (), True), FIT)
    assert evaluation.psnr is None and evaluation.ssim is None
    assert evaluation.reason == "no photograph is held out"
    assert evaluation.to_json()["lpips"] is None


def test_cameras_that_determine_no_frame() -> None:
    """Two cameras: with a truth the held-out views have no place; without one they have theirs."""
    trained = Trained(KnownField(), 1.0, tuple(POSES[:2]), CPU)
    held_out = tuple(VIEWS[6:]), tuple(POSES[6:])
    truth = evaluate(trained, Reference(tuple(POSES[:2]), *held_out, True), FIT)
    assert isinstance(truth.cameras, NoPoseErrors) and "2 corresponding" in truth.cameras.reason
    assert truth.views == () and "have no place" in truth.reason
    start = Reference(tuple(POSES[:2]), *held_out, False)
    given = evaluate(trained, start, replace(FIT, iterations=0))
    assert given.cameras is None and "where they were given" in given.reason
    assert given.psnr is not None and given.psnr > 38.0


def test_masked_pixels_do_not_count() -> None:
    mask = np.zeros((16, 20), np.bool_)
    mask[:, :10] = True
    spoiled = VIEWS[6].rgb.copy()
    spoiled[:, 10:] = 0
    view = replace(VIEWS[6], rgb=spoiled, mask=mask)
    trained = Trained(KnownField(), 1.0, tuple(POSES[:6]), CPU)
    reference = Reference(tuple(POSES[:6]), (view,), (POSES[6],), True)
    shown: list[FittedView] = []
    evaluation = evaluate(trained, reference, replace(FIT, iterations=0), shown.append)
    assert evaluation.psnr is not None and evaluation.psnr > 38.0
    assert evaluation.ssim is None  # no window of 11 x 11 pixels lies in ten columns
    picture = panel(shown[0])
    assert picture.shape == (16, 80, 3)
    assert not picture[:, 10:20].any() and picture[:, :10].any()


def test_a_panel_shows_truth_rendering_error_and_depth() -> None:
    _, shown = judged(KnownField(), tuple(POSES[6:]), replace(FIT, iterations=0))
    picture = panel(shown[0])
    truth, rendering, error, depth = (picture[:, n * 20 : (n + 1) * 20] for n in range(4))
    assert np.array_equal(truth, VIEWS[6].rgb)
    assert cv2.PSNR(truth, rendering) > 50.0
    assert error.max() < 64 and depth.any()


@pytest.mark.parametrize("angle_deg", [0.5, 5.0])
def test_pose_errors_are_those_that_were_made(angle_deg: float) -> None:
    """A turn of every camera about its own centre leaves the alignment exact."""
    true = make_world(WorldSpec(images=20)).poses
    errors = pose_errors(displaced(true, angle_deg, 0.0, 0), true)
    assert isinstance(errors, PoseErrors)
    assert np.allclose(errors.rotation_deg, angle_deg, atol=1e-6)
    assert errors.centre.max() < 1e-9
    # The translation of cam_from_world turns with the camera: six units away, so much.
    chord = 2 * 6.1 * math.sin(math.radians(angle_deg) / 2)
    assert 0.3 * chord < errors.translation.mean() < 1.05 * chord


def test_poses_that_are_all_equal_have_a_reason_and_a_rotation() -> None:
    true = make_world(WorldSpec(images=20)).poses
    errors = pose_errors((Pose.identity(),) * 20, true)
    assert isinstance(errors, NoPoseErrors)
    assert "coincide" in errors.reason
    # The cameras stand on an arc of 1.5 radians: 21 degrees from their mean, on average.
    assert errors.rotation_deg is not None and 18.0 < errors.rotation_deg < 26.0
    assert pose_errors([], []).to_json()["rotation_only_deg"] is None
