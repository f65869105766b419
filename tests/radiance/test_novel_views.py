"""Novel views: coarse and fine ones against plain renderings, in the units of the world."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, rotation_from_rotvec
from pipeline.geometry.similarity import Similarity
from pipeline.products import NoField
from pipeline.radiance import novel_views
from pipeline.radiance.mlp import MlpShape
from pipeline.radiance.model import ModelShape, RadianceModel
from pipeline.radiance.novel_views import (
    NovelViews,
    camera_of,
    camera_of_fov,
    median_depths,
    serve_field,
    shrunk,
)
from pipeline.radiance.pictures import Picture
from pipeline.radiance.rendering import DepthRange, Rays, composite
from pipeline.radiance.setup import Setup
from pipeline.view_desk import NobodyLooks
from tests.radiance.blobs import BOX, DEPTHS, Blobs, BlobSpec, blob_camera, blob_poses
from tests.radiance.test_view_service import request

SCALE = 2.5
WORLD = Similarity(SCALE, rotation_from_rotvec(np.array([0.3, -0.2, 0.5])), np.array([1.0, 2, -1]))
SHAPE = MlpShape(depth=2, width=16, color_width=8, bands=2, view_bands=1)
CAMERA = camera_of_fov(21, 15, 40.0)
SPEC = BlobSpec(views=3)


def blob_model(spec: BlobSpec = SPEC, samples: int = 96) -> RadianceModel:
    """A model whose field is the blobs, in a frame of its own."""
    poses = tuple(blob_poses(spec.views))
    names = tuple(f"{number}.png" for number in range(spec.views))
    camera = blob_camera(spec)
    setup = Setup(
        names, poses, (camera,), (0,) * spec.views, WORLD, DEPTHS, BOX, True, "white"
    )  # fmt: skip
    shape = ModelShape(SHAPE, samples)
    model = RadianceModel(setup, shape, torch.device("cpu"), torch.Generator().manual_seed(1))
    model.fields[0] = Blobs()
    model.alpha = 1.0
    return model


def world_pose(model: RadianceModel, image: int) -> Pose:
    """The pose of a photograph in the world's frame."""
    return WORLD.inverse().apply_to_pose(model.setup.poses[image])


def pictures(chunks: Iterator[Picture | None]) -> list[Picture]:
    return [found for found in chunks if found is not None]


def plainly(model: RadianceModel, camera: Camera, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Colours and depths of all pixels, one after the other."""
    cam_from_field = WORLD.apply_to_pose(pose)
    rows, columns = np.indices((camera.height, camera.width))
    uv = camera.unproject(np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5]))
    rgb, depth = [], []
    for u, v in uv:
        direction = cam_from_field.rotation.T @ [u, v, 1.0]
        rays = Rays(
            torch.tensor(cam_from_field.center)[None].float(), torch.tensor(direction)[None].float()
        )
        with torch.no_grad():
            seen = model.render(rays, None, model.alpha)
        rgb.append(seen.rgb[0].numpy())
        weights, places = seen.weights[0].numpy(), seen.depths[0].numpy()
        half = seen.opacity[0].item() / 2
        known = seen.opacity[0].item() >= 0.5
        through = weights.cumsum()
        depth.append(np.interp(half, through, places) / SCALE if known else np.nan)
    shape = (camera.height, camera.width)
    return np.array(rgb).reshape(*shape, 3), np.array(depth).reshape(shape)


def test_every_level_is_the_plain_rendering_of_a_smaller_camera(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(novel_views._CHUNK_RAYS, "cpu", 40)
    model = blob_model()
    pose = world_pose(model, 1)
    chunks = list(NovelViews(model).render(CAMERA, pose, coarsest=8, finest=1))
    found = pictures(iter(chunks))
    assert [picture.level for picture in found] == [8, 4, 2, 1]
    assert [picture.final for picture in found] == [False, False, False, True]
    # It can be dropped after every forty rays: 3 x 2, 6 x 4, 11 x 8, 21 x 15 pixels.
    whole = [False, False, *[True] * 2, False, *[True] * 7, False]
    assert [chunk is None for chunk in chunks] == whole
    for picture in found:
        rgb, depth = plainly(model, shrunk(CAMERA, picture.level), pose)
        assert np.abs(picture.rgb - 255 * np.clip(rgb, 0, 1)).max() < 0.51
        np.testing.assert_allclose(picture.depth, depth, rtol=1e-4)
    last = found[-1]
    middle = last.depth[6:9, 9:12]
    distance = 4.0 / SCALE  # of the camera from the blobs' middle, in the world
    assert 0.6 * distance < np.nanmedian(middle) < distance
    assert np.isnan(last.depth[0, 0]) and last.opacity[0, 0] < 0.1
    (alone,) = pictures(NovelViews(model).render(CAMERA, pose))
    for name in ("rgb", "depth", "opacity"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(last, name))


def test_a_photograph_seen_through_its_own_camera_is_itself() -> None:
    spec = BlobSpec(views=3, distortion=(-0.2, 0.05, 0.01, -0.01))
    model = blob_model(spec)
    camera = blob_camera(spec)
    (picture,) = pictures(NovelViews(model).render(camera, world_pose(model, 2)))
    images = torch.full((camera.width * camera.height,), 2)
    rows, columns = np.indices((camera.height, camera.width))
    pixels = torch.tensor(np.column_stack([columns.ravel(), rows.ravel()]) + 0.5).float()
    with torch.no_grad():
        seen = model.render(model.cameras.rays(images, pixels), None, 1.0).rgb
    expected = 255 * seen.clamp(0, 1).numpy().reshape(picture.rgb.shape)
    assert np.abs(picture.rgb - expected).max() < 0.6


def test_pixels_that_no_ray_reaches_are_black_and_have_no_depth() -> None:
    model = blob_model()
    wide = Camera("SIMPLE_RADIAL", 20, 16, np.array([6.0, 10.0, 8.0, -0.4]))
    (picture,) = pictures(NovelViews(model).render(wide, world_pose(model, 0)))
    blind = ~np.isfinite(wide.unproject(np.array([[0.5, 0.5], [10.0, 8.0]]))).all(axis=1)
    assert blind.tolist() == [True, False]
    assert not picture.rgb[0, 0].any() and np.isnan(picture.depth[0, 0])
    assert picture.opacity[0, 0] == 0.0 and picture.rgb[8, 10].any()


def test_a_request_is_a_camera_in_the_world() -> None:
    rotation = rotation_from_rotvec(np.array([0.1, 0.2, 0.3]))
    rows = np.column_stack([rotation, [1.0, 2.0, 3.0]]).astype(np.float32).tolist()
    camera, pose = camera_of(request(cam_from_world=rows, fov_y_deg=90.0))
    np.testing.assert_allclose(camera.opencv_params, [16, 16, 32, 16, 0, 0, 0, 0])
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose.rotation, rotation, atol=1e-6)
    camera, _ = camera_of(request(fov_y_deg=None, intrinsics=(50, 60, 30, 10)))
    np.testing.assert_allclose(camera.opencv_params, [50, 60, 30, 10, 0, 0, 0, 0])
    smaller = shrunk(camera, 8)
    assert (smaller.width, smaller.height) == (8, 4)
    np.testing.assert_allclose(smaller.opencv_params[:4], [6.25, 7.5, 3.75, 1.25])


def test_depth_is_the_middle_of_what_is_seen_not_the_mean() -> None:
    depths = torch.tensor([[1.0, 2.0, 3.0, 100.0]])
    density = torch.tensor([[0.0, 2.0, 0.0, 1.0]])
    seen = composite(density, torch.zeros(1, 4, 3), depths, torch.ones(1), None)
    assert seen.depth[0] > 10  # a little of what is far behind spoils the mean
    assert 1.5 < median_depths(seen)[0] < 2.0
    thin = composite(density * 0.0, torch.zeros(1, 4, 3), depths, torch.ones(1), None)
    assert torch.isnan(median_depths(thin)[0])


def test_rendering_leaves_a_training_as_it_is() -> None:
    model = blob_model()
    shape = ModelShape(SHAPE, 8, fine_samples=8)
    setup = Setup(
        ("a",), model.setup.poses[:1], model.setup.cameras, (0,), WORLD, DepthRange(1, 6),
        BOX, False, "learned",
    )  # fmt: skip
    trained = RadianceModel(setup, shape, torch.device("cpu"), torch.Generator().manual_seed(2))
    before = torch.random.get_rng_state()
    pose = world_pose(model, 0)
    first, second = (pictures(NovelViews(trained).render(CAMERA, pose, 8, 4)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
    assert torch.equal(torch.random.get_rng_state(), before)
    rays = Rays(torch.zeros(4, 3), torch.eye(3)[[0, 1, 2, 0]])
    trained.render(rays, None, 1.0).rgb.sum().backward()  # type: ignore[no-untyped-call]
    copied = RadianceModel.from_arrays(trained.to_arrays(), torch.device("cpu"))
    (same,) = pictures(NovelViews(copied).render(CAMERA, pose, 8, 8))
    np.testing.assert_array_equal(same.rgb, first[0].rgb)


def test_a_field_that_is_not_there_is_told() -> None:
    with pytest.raises(PipelineError, match="no camera stands"):
        serve_field(NoField("no camera stands"), NobodyLooks(), 0)
