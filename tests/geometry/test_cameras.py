"""Camera models: projection and its inverse for all five, beside pycolmap's."""

from __future__ import annotations

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import MODELS, MODELS_BY_COLMAP_ID, Camera, distort, undistort

properties = settings(derandomize=True, deadline=None, max_examples=60)
WIDTH, HEIGHT = 1000, 750


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    """Cameras of all models with the distortion of real lenses, wide ones among them."""
    model = MODELS[draw(st.sampled_from(sorted(MODELS)))]
    ranges = {"f": (500.0, 3000.0), "c": (350.0, 520.0), "k": (-0.12, 0.12), "p": (-3e-3, 3e-3)}
    params = [draw(st.floats(*ranges[name[0]])) for name in model.parameters]
    return Camera(model.name, WIDTH, HEIGHT, np.array(params))


def grid(n: int = 12) -> Float64s:
    """Pixels (n * n, 2) over the whole image, its corners included."""
    x, y = np.meshgrid(np.linspace(0.0, WIDTH, n), np.linspace(0.0, HEIGHT, n))
    return np.column_stack([x.ravel(), y.ravel()])


@properties
@given(cameras(), st.floats(0.01, 1e4))
def test_pixels_return(camera: Camera, depth: float) -> None:
    """Every pixel with a ray returns; only corners of wide strong barrels have none."""
    rays = camera.unproject(grid())
    has_ray = np.asarray(np.isfinite(rays).all(axis=1))
    points = np.column_stack([rays, np.ones(len(rays))])[has_ray] * depth
    assert np.abs(camera.project(points) - grid()[has_ray]).max() < 1e-6
    central = np.linalg.norm(grid() - camera.opencv_params[2:4], axis=1) < 0.6 * camera.focal_px
    assert has_ray[central].all()


@properties
@given(cameras(), st.integers(0, 2**32 - 1))
def test_rays_return(camera: Camera, seed: int) -> None:
    rays = np.random.default_rng(seed).uniform(-0.45, 0.45, (50, 2))
    pixels = camera.project(np.column_stack([rays, np.ones(50)]))
    assert np.abs(camera.unproject(pixels) - rays).max() < 1e-11


@properties
@given(cameras())
def test_pycolmap_projects_alike(camera: Camera) -> None:
    peer = pycolmap.Camera(
        model=camera.model, width=camera.width, height=camera.height, params=camera.params
    )
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 2))
    points = np.column_stack([rays, np.ones(40)])
    np.testing.assert_allclose(camera.project(points), peer.img_from_cam(points), atol=1e-10)
    pixels = grid(5)
    rays = camera.unproject(pixels)
    has_ray = np.isfinite(rays).all(axis=1)
    np.testing.assert_allclose(rays[has_ray], peer.cam_from_img(pixels)[has_ray], atol=1e-6)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_numbers_and_parameters_are_colmaps(name: str) -> None:
    model = MODELS[name]
    assert MODELS_BY_COLMAP_ID[model.colmap_id] is model
    assert pycolmap.CameraModelId.__members__[name].value == model.colmap_id
    peer = pycolmap.Camera.create_from_model_name(1, name, 900.0, WIDTH, HEIGHT)
    assert len(peer.params) == len(model.parameters)
    assert tuple(peer.focal_length_idxs()) == model.indices_of("focal")
    assert tuple(peer.principal_point_idxs()) == model.indices_of("center")
    assert tuple(peer.extra_params_idxs()) == model.indices_of("distortion")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_opencv_parameters_are_a_linear_map(name: str) -> None:
    matrix = MODELS[name].opencv_from_own
    assert matrix.shape == (8, len(MODELS[name].parameters))
    assert set(np.unique(matrix)) <= {0.0, 1.0}
    assert matrix.sum(axis=1).max() == 1.0  # no OPENCV parameter has two sources


@properties
@given(st.tuples(*[st.floats(-0.2, 0.2)] * 2), st.tuples(*[st.floats(-5e-3, 5e-3)] * 2))
def test_undistort_inverts_distort(
    radial: tuple[float, ...], tangential: tuple[float, ...]
) -> None:
    distortion = np.array(radial + tangential)
    uv = np.random.default_rng(1).uniform(-0.5, 0.5, (60, 2))
    assert np.abs(undistort(distort(uv, distortion), distortion) - uv).max() < 1e-12


def test_beyond_the_fold_there_is_no_ray() -> None:
    """Degenerate twin: r (1 - 0.3 r^2) never exceeds 0.70, reached at r = 1.05."""
    distortion = np.array([-0.3, 0.0, 0.0, 0.0])
    rays = undistort(np.array([[0.69, 0.0], [0.71, 0.0], [5.0, -5.0], [np.nan, 0.0]]), distortion)
    assert 0.9 < rays[0, 0] < 1.05 and abs(rays[0, 1]) < 1e-12
    assert np.isnan(rays[1:]).all()


def test_without_distortion_nothing_moves() -> None:
    uv = np.random.default_rng(2).normal(size=(10, 2))
    np.testing.assert_array_equal(distort(uv, np.zeros(4)), uv)
    returned = undistort(uv, np.zeros(4))
    np.testing.assert_array_equal(returned, uv)
    assert returned is not uv


@pytest.mark.parametrize("name", sorted(MODELS))
def test_points_behind_the_camera_have_no_pixel(name: str) -> None:
    params = {"f": 800.0, "c": 400.0, "k": 0.05, "p": 1e-3}
    camera = Camera(name, WIDTH, HEIGHT, np.array([params[p[0]] for p in MODELS[name].parameters]))
    points = np.array([[0.1, 0.2, -1.0], [0.1, 0.2, 0.0], [0.0, 0.0, 0.0], [0.1, 0.2, 1.0]])
    pixels = camera.project(points)
    assert np.isnan(pixels[:3]).all() and np.isfinite(pixels[3]).all()


def test_no_points_no_pixels() -> None:
    camera = Camera("RADIAL", WIDTH, HEIGHT, np.array([800.0, 500.0, 375.0, 0.1, 0.01]))
    assert camera.project(np.zeros((0, 3))).shape == (0, 2)
    assert camera.unproject(np.zeros((0, 2))).shape == (0, 2)


def test_calibration_matrix_and_focal() -> None:
    camera = Camera("PINHOLE", WIDTH, HEIGHT, np.array([800.0, 820.0, 500.0, 375.0]))
    assert camera.focal_px == 810.0
    np.testing.assert_array_equal(
        camera.calibration_matrix, [[800.0, 0.0, 500.0], [0.0, 820.0, 375.0], [0.0, 0.0, 1.0]]
    )
    moved = camera.with_params(np.array([1.0, 2.0, 3.0, 4.0]))
    assert moved.params.tolist() == [1.0, 2.0, 3.0, 4.0] and camera.params[0] == 800.0


def test_unknown_models_and_wrong_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown camera model FOV"):
        Camera("FOV", WIDTH, HEIGHT, np.zeros(5))
    with pytest.raises(ValueError, match="PINHOLE has 4 parameters"):
        Camera("PINHOLE", WIDTH, HEIGHT, np.zeros(3))
