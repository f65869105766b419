"""The renderer: its camera agrees with its pictures, and it draws the committed files again."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sample_scenes import desk_scene, facade_scene
from sample_scenes.camera import Camera, undistort
from sample_scenes.photo_files import encode_photo
from sample_scenes.scene import Material, Scene
from sample_scenes.sensor import develop
from sample_scenes.tracer import STRIP_ROWS, Tracer
from sample_scenes.world import World

FOLDER = Path(desk_scene.__file__).parent
GREY = Material(np.full((4, 4, 3), 128, dtype=np.uint8))


@pytest.fixture(scope="module")
def tracer() -> Tracer:
    spec = desk_scene.spec()
    return Tracer(spec.build(), spec.seed)


def test_undistortion_inverts_the_model() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.8, 0.8, (500, 2))
    for k1 in (-0.08, 0.0, 0.11):
        bent = points * (1.0 + k1 * np.sum(points**2, axis=1, keepdims=True))
        np.testing.assert_allclose(undistort(bent, k1), points, atol=1e-12)


@pytest.mark.open3d
def test_hits_on_the_desk_project_back_onto_their_pixels(tracer: Tracer) -> None:
    _check_reprojection(tracer.world, [view.camera for view in desk_scene.views()[::5]])


@pytest.mark.open3d
def test_hits_on_the_facade_project_back_onto_their_pixels() -> None:
    parts = facade_scene.parts()
    grey = {part.material: GREY for part in parts}
    world = World(Scene(parts, grey, (), facade_scene.sky))
    _check_reprojection(world, [view.camera for view in facade_scene.views()[::5]])


def _check_reprojection(world: World, cameras: list[Camera]) -> None:
    rng = np.random.default_rng(5)
    for camera in cameras:
        pixels = rng.uniform((0, 0), (camera.width, camera.height), (400, 2))
        directions = camera.directions(pixels)
        origins = np.broadcast_to(camera.center, directions.shape)
        hits = world.cast(origins.astype(np.float32), directions.astype(np.float32))
        assert len(hits.rays) > 200
        points = world.interpolate(world.vertices, hits).astype(np.float64)
        projected, depth = camera.project(points)
        errors = np.linalg.norm(projected - pixels[hits.rays], axis=1)
        assert 1e-9 < np.median(errors) < 0.01
        assert np.max(errors) < 0.3
        np.testing.assert_allclose(depth, hits.distance, rtol=1e-3)


def test_pixel_origin_is_the_outer_corner() -> None:
    camera = Camera(960, 640, 750.0, -0.05, np.eye(3), np.zeros(3))
    pixels, depth = camera.project(np.array([[0.0, 0.0, 2.0], [0.4, 0.0, 1.0]]))
    np.testing.assert_allclose(pixels[0], [480.0, 320.0])
    assert pixels[1][0] == pytest.approx(480.0 + 750.0 * 0.4 * (1.0 - 0.05 * 0.16))
    np.testing.assert_allclose(depth, [2.0, 1.0])


@pytest.mark.open3d
def test_two_renderings_are_the_same_bytes(tracer: Tracer) -> None:
    spec = desk_scene.spec()
    view = desk_scene.views()[12].scaled(0.15)

    def photo(threads: int) -> bytes:
        image = develop(spec, view, tracer.radiance(view, threads=threads))
        return encode_photo(image, view, spec.device, spec.jpeg_quality)

    first = photo(1)
    assert first == photo(3)
    with Image.open(io.BytesIO(first)) as image:
        assert image.size == (144, 96)


@pytest.mark.open3d
def test_a_committed_photograph_is_drawn_again(tracer: Tracer) -> None:
    """Two strips of a view, drawn again, are within JPEG's loss of the file.

    Compressed like the file, they agree to 50 dB: strips are whole JPEG blocks, so only the rows at
    their ends, where colour is interpolated across, are left out.
    """
    spec = desk_scene.spec()
    view = desk_scene.views()[17]
    strips = (9, 10)
    drawn = develop(spec, view, tracer.radiance(view, strips), strips)
    with Image.open(FOLDER / "desk" / "images" / view.name) as image:
        committed = np.asarray(image)
    rows = slice(strips[0] * STRIP_ROWS, (strips[-1] + 1) * STRIP_ROWS)
    assert psnr_db(drawn, committed[rows]) > 30.0
    file = io.BytesIO(encode_photo(drawn, view, spec.device, spec.jpeg_quality))
    with Image.open(file) as image:
        again = np.asarray(image)
    assert psnr_db(again[8:-8], committed[rows][8:-8]) > 50.0


def psnr_db(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    error = np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2)
    return float(10.0 * np.log10(255.0**2 / max(float(error), 1e-9)))
