"""COLMAP models: round trips, pycolmap as reader and as writer, and damaged files."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import is_model, read_cameras_and_images, read_model, write_model
from pipeline.formats.colmap_text import write_text_model
from pipeline.geometry.arrays import Int64s
from pipeline.geometry.cameras import MODELS
from pipeline.products import Points, SparseModel
from tests.formats.models import make_camera, make_model, reprojections

properties = settings(derandomize=True, deadline=None, max_examples=25)
writers = pytest.mark.parametrize("write", [write_model, write_text_model])
Writer = Callable[[SparseModel, Path], None]
FILES = ("cameras", "images", "points3D", "rigs", "frames")


def assert_same_model(a: SparseModel, b: SparseModel) -> None:
    """Equal in every value; poses up to the rounding of the quaternion; the same pixels."""
    assert a.cameras.keys() == b.cameras.keys() and a.images.keys() == b.images.keys()
    for camera_id, camera in a.cameras.items():
        other = b.cameras[camera_id]
        assert (camera.model, camera.width, camera.height) == (
            other.model, other.width, other.height
        )  # fmt: skip
        np.testing.assert_array_equal(camera.params, other.params)
    for image_id, image in a.images.items():
        twin = b.images[image_id]
        assert (image.name, image.camera) == (twin.name, twin.camera)
        np.testing.assert_array_equal(image.keypoints_px, twin.keypoints_px)
        np.testing.assert_array_equal(image.point_ids, twin.point_ids)
    for field in ("ids", "xyz_world", "rgb", "error_px", "track_starts", "track_images",
                  "track_keypoints"):  # fmt: skip
        np.testing.assert_array_equal(getattr(a.points, field), getattr(b.points, field), field)
        assert getattr(a.points, field).dtype == getattr(b.points, field).dtype
    np.testing.assert_allclose(reprojections(a)[0], reprojections(b)[0], atol=1e-9)


def lengths(model: SparseModel) -> Int64s:
    """Observations of each point."""
    return np.diff(model.points.track_starts)


def read_or_refuse(folder: Path) -> None:
    """Damage may go unnoticed where any value is possible; no other error may escape."""
    try:
        read_model(folder)
    except PipelineError as caught:
        refusal = caught
    else:
        return
    assert str(folder) in refusal.message and refusal.hint


@writers
@properties
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 6),
    st.integers(0, 30),
    st.lists(st.sampled_from(sorted(MODELS)), min_size=1, max_size=3),
)
def test_round_trip(
    write: Writer, seed: int, n_images: int, n_points: int, models: list[str]
) -> None:
    model = make_model(seed, n_images, n_points, tuple(models))
    with tempfile.TemporaryDirectory() as folder:
        write(model, Path(folder))
        assert_same_model(read_model(Path(folder)), model)


@writers
def test_pycolmap_reads_our_model(write: Writer, tmp_path: Path) -> None:
    model = make_model(1)
    write(model, tmp_path / "new" / "folder")
    peer = pycolmap.Reconstruction(tmp_path / "new" / "folder")
    projected, measured = reprojections(model)
    assert peer.num_cameras() == len(model.cameras) == peer.num_rigs()
    assert peer.num_reg_images() == len(model.images) == peer.num_frames()
    assert peer.num_points3D() == len(model.points)
    assert peer.compute_num_observations() == len(model.points.track_images)
    assert {image.name for image in peer.images.values()} == {
        image.name for image in model.images.values()
    }
    for image_id, image in peer.images.items():
        center = model.images[image_id].cam_from_world.center
        np.testing.assert_allclose(image.projection_center(), center, atol=1e-12)
    # COLMAP takes the mean over points of each one's mean, first as stored, then computed anew.
    stored = peer.compute_mean_reprojection_error()
    peer.update_point_3d_errors()
    for error in (stored, peer.compute_mean_reprojection_error()):
        assert abs(error - model.points.error_px.mean()) < 1e-9
    errors = np.linalg.norm(projected - measured, axis=1)
    assert abs(errors.mean() - np.average(model.points.error_px, weights=lengths(model))) < 1e-9
    assert 0.4 < errors.mean() < 0.8


@pytest.mark.parametrize("method", ["write_binary", "write_text"])
def test_we_read_pycolmaps_model(method: str, tmp_path: Path) -> None:
    model = make_model(2)
    write_model(model, tmp_path)
    (tmp_path / "theirs").mkdir()
    peer = pycolmap.Reconstruction(tmp_path)
    getattr(peer, method)(tmp_path / "theirs")
    theirs = read_model(tmp_path / "theirs")
    assert theirs.images.keys() == model.images.keys()
    assert set(theirs.points.ids) == set(model.points.ids)
    assert abs(theirs.points.error_px.mean() - model.points.error_px.mean()) < 1e-9
    projected, measured = reprojections(theirs)
    errors = np.linalg.norm(projected - measured, axis=1)
    assert abs(errors.mean() - np.average(theirs.points.error_px, weights=lengths(theirs))) < 1e-9


def test_synthetic_reconstruction_of_pycolmap_with_a_real_rig(tmp_path: Path) -> None:
    """Rigs of several sensors are not trivial; the images' own poses must come out all the same."""
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 2, 2, 3
    options.num_points3D = 40
    options.camera_model_id = pycolmap.CameraModelId.SIMPLE_RADIAL
    peer = pycolmap.synthesize_dataset(options)
    peer.write(tmp_path)
    model = read_model(tmp_path)
    assert len(model.images) == 12 and len(model.points) == 40
    for image_id, image in peer.images.items():
        ours = model.images[image_id].cam_from_world
        np.testing.assert_allclose(ours.center, image.projection_center(), atol=1e-9)
    projected, measured = reprojections(model)
    assert np.abs(projected - measured).max() < 1e-6


@writers
def test_three_file_models_are_read(write: Writer, tmp_path: Path) -> None:
    model = make_model(3)
    write(model, tmp_path)
    for path in tmp_path.iterdir():
        if path.stem in ("rigs", "frames"):
            path.unlink()
    assert len(list(tmp_path.iterdir())) == 3
    assert_same_model(read_model(tmp_path), model)


@writers
def test_model_of_nothing(write: Writer, tmp_path: Path) -> None:
    write(SparseModel({}, {}, Points.none()), tmp_path)
    model = read_model(tmp_path)
    assert not model.cameras and not model.images and len(model.points) == 0
    assert model.mean_error_px == 0.0


def test_text_without_the_last_empty_keypoint_line(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text("# comment\n\n1 PINHOLE 640 480 500 500 320 240\n")
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 0 1 a b.jpg\n\n2 1 0 0 0 1 0 0 1 c.jpg")
    (tmp_path / "points3D.txt").write_text("")
    model = read_model(tmp_path)
    assert [image.name for image in model.images.values()] == ["a b.jpg", "c.jpg"]
    assert model.images[2].cam_from_world.center.tolist() == [-1.0, 0.0, 0.0]
    assert len(model.images[1].point_ids) == 0


@pytest.mark.parametrize("suffix", [".bin", ".txt"])
@pytest.mark.parametrize("stem", ["cameras", "images", "points3D"])
def test_truncated_files_are_named(stem: str, suffix: str, tmp_path: Path) -> None:
    (write_model if suffix == ".bin" else write_text_model)(make_model(4), tmp_path)
    path = tmp_path / f"{stem}{suffix}"
    whole = path.read_bytes()
    for length in range(1, len(whole) - 1, max(1, len(whole) // 80)):
        path.write_bytes(whole[:length])
        if suffix == ".txt":
            # Some truncated texts are texts still; what matters is that no other error escapes.
            read_or_refuse(tmp_path)
        else:
            with pytest.raises(PipelineError, match=path.name):
                read_model(tmp_path)


@pytest.mark.parametrize("stem", ["cameras", "images", "points3D"])
@properties
@given(st.integers(0, 2**32 - 1))
def test_garbled_files_raise_nothing_but_a_pipeline_error(stem: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(make_model(5), folder)
        path = folder / f"{stem}.bin"
        data = bytearray(path.read_bytes())
        start = int(rng.integers(len(data)))
        data[start : start + 8] = rng.bytes(8)
        path.write_bytes(data)
        read_or_refuse(folder)


def test_trailing_bytes_are_refused(tmp_path: Path) -> None:
    write_model(make_model(6), tmp_path)
    for stem in ("cameras", "images", "points3D"):
        path = tmp_path / f"{stem}.bin"
        whole = path.read_bytes()
        path.write_bytes(whole + b"\0\0\0")
        with pytest.raises(PipelineError, match=rf"{stem}\.bin: 3 bytes follow"):
            read_model(tmp_path)
        path.write_bytes(whole)


def test_models_we_do_not_have_are_refused_by_name(tmp_path: Path) -> None:
    write_model(make_model(7), tmp_path)
    camera = struct.pack("<QIiQQ8d", 1, 1, 5, 640, 480, *range(8))
    (tmp_path / "cameras.bin").write_bytes(camera)
    with pytest.raises(PipelineError, match="OPENCV_FISHEYE") as caught:
        read_model(tmp_path)
    assert "Undistort" in caught.value.hint and "SIMPLE_RADIAL" in caught.value.hint
    text = tmp_path / "text"
    write_text_model(make_model(7), text)
    (text / "cameras.txt").write_text("1 FOV 640 480 500 500 320 240 0.9\n")
    with pytest.raises(PipelineError, match="FOV"):
        read_model(text)


def test_every_number_of_colmap_is_known() -> None:
    from pipeline.formats.colmap_parts import FOREIGN_MODELS

    theirs = {
        m.value: name for name, m in pycolmap.CameraModelId.__members__.items() if m.value >= 0
    }
    assert {**FOREIGN_MODELS, **{m.colmap_id: m.name for m in MODELS.values()}} == theirs


def test_tracks_and_keypoints_must_agree(tmp_path: Path) -> None:
    model = make_model(8)
    points = model.points
    for wrong in (
        replace(points, track_keypoints=points.track_keypoints[::-1].copy()),
        replace(points, track_keypoints=points.track_keypoints + 1000),
        replace(points, track_images=points.track_images + 1),
        Points.none(),
    ):
        write_model(SparseModel(model.cameras, model.images, wrong), tmp_path)
        with pytest.raises(PipelineError, match="track"):
            read_model(tmp_path)


def test_cameras_and_images_need_no_points(tmp_path: Path) -> None:
    model = make_model(9)
    write_model(model, tmp_path)
    (tmp_path / "points3D.bin").unlink()
    cameras, images = read_cameras_and_images(tmp_path)
    assert cameras.keys() == model.cameras.keys() and images.keys() == model.images.keys()
    with pytest.raises(PipelineError, match=r"points3D\.bin does not exist"):
        read_model(tmp_path)


def test_folder_without_a_model(tmp_path: Path) -> None:
    assert not is_model(tmp_path)
    with pytest.raises(PipelineError, match="holds neither"):
        read_model(tmp_path)


def test_names_that_a_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    model = make_model(10, n_images=2)

    def renamed(name: str) -> SparseModel:
        images = dict(model.images)
        images[2] = replace(images[2], name=name)
        return SparseModel(model.cameras, images, model.points)

    for name in ("a\nb.jpg", "a b.jpg", ""):
        with pytest.raises(PipelineError, match="cannot hold the name"):
            write_text_model(renamed(name), tmp_path)
    with pytest.raises(PipelineError, match="NUL"):
        write_model(renamed("a\0b.jpg"), tmp_path)
    for name in ("a\nb.jpg", "a b.jpg"):
        write_model(renamed(name), tmp_path)
        assert read_model(tmp_path).images[2].name == name
        assert pycolmap.Reconstruction(tmp_path).images[2].name == name


def test_the_five_files_and_no_more(tmp_path: Path) -> None:
    write_model(make_model(11), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{f}.bin" for f in FILES)


def test_camera_helper_covers_every_model() -> None:
    assert all(make_camera(name).model == name for name in MODELS)
