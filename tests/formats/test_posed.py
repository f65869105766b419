"""Names that match, and intrinsics in the fewest parameters and at another size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.posed import (
    camera_at_size,
    ensure_unique,
    match_names,
    photo_names_in,
    photo_size,
    simplest_camera,
)
from pipeline.geometry.cameras import MODELS, Camera
from tests.formats.models import HEIGHT, WIDTH, make_camera


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        (["a.jpg"], ["a.jpg", "x/a.jpg"], {"a.jpg": "a.jpg"}),
        (["a.jpg"], ["images/a.jpg"], {"a.jpg": "images/a.jpg"}),
        (["one/a.jpg"], ["a.jpg", "b.jpg"], {"one/a.jpg": "a.jpg"}),
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"], {}),  # not unique among the present
        (["x/a.jpg", "y/a.jpg"], ["a.jpg"], {}),  # not unique among the wanted
        (["x/a", "y/a"], ["x/a", "y/a"], {"x/a": "x/a", "y/a": "y/a"}),
        (["b.jpg", "a.jpg"], ["a.jpg", "b.jpg"], {"b.jpg": "b.jpg", "a.jpg": "a.jpg"}),
        (["a.jpg"], ["a.png"], {}),
        ([], ["a.jpg"], {}),
    ],
)  # fmt: skip
def test_names(wanted: list[str], present: list[str], expected: dict[str, str]) -> None:
    matched = match_names(wanted, present)
    assert matched == expected and list(matched) == list(expected)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_simplest_camera_returns(name: str) -> None:
    camera = make_camera(name)
    found = simplest_camera((WIDTH, HEIGHT), camera.opencv_params)
    assert found.model == name
    np.testing.assert_array_equal(found.params, camera.params)


def test_simplest_camera_refuses_nonsense() -> None:
    for parameters in ([0.0, 1, 1, 1, 0, 0, 0, 0], [500.0, np.nan, 1, 1, 0, 0, 0, 0]):
        with pytest.raises(ValueError, match="parameters are"):
            simplest_camera((WIDTH, HEIGHT), np.array(parameters))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.sampled_from(sorted(MODELS)), st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.5]))
def test_camera_at_another_size_sees_the_same_rays(name: str, scale: float) -> None:
    camera = make_camera(name)
    scaled = camera_at_size(camera, round(WIDTH * scale), round(HEIGHT * scale))
    assert (scaled.width, scaled.height) == (WIDTH * scale, HEIGHT * scale)
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3)) + np.array([0.0, 0.0, 1.5])
    np.testing.assert_allclose(scaled.project(points), camera.project(points) * scale, rtol=1e-12)


def test_sizes_of_another_shape_are_refused() -> None:
    camera = Camera("SIMPLE_PINHOLE", 1080, 1920, np.array([1375.0, 540.0, 960.0]))
    assert camera_at_size(camera, 540, 960).focal_px == 687.5
    assert camera_at_size(camera, 333, 592).width == 333  # rounding of a scaled-down side
    for width, height in ((1920, 1080), (540, 900)):
        with pytest.raises(PipelineError, match=f"do not fit photographs of {width} x {height}"):
            camera_at_size(camera, width, height)


def test_photo_size_is_that_of_the_upright_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (60, 40)).save(tmp_path / "plain.png")
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.png", exif=exif)
    (tmp_path / "text.jpg").write_text("no photo")
    assert photo_size(tmp_path / "turned.jpg") == photo_size(tmp_path / "turned.png") == (40, 60)
    assert photo_size(tmp_path / "plain.png") == (60, 40)
    assert photo_size(tmp_path / "text.jpg") is None
    assert photo_size(tmp_path / "nothing.jpg") is None


def test_photo_names_are_sorted_and_relative(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.JPG", "b/1.png", "a.jpeg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert photo_names_in(tmp_path) == ["a.jpeg", "b/1.png", "b/2.JPG"]
    assert photo_names_in(tmp_path / "nothing") == []


def test_repeated_names_are_refused() -> None:
    ensure_unique(Path("model"), [])
    ensure_unique(Path("model"), ["a", "b"])
    with pytest.raises(PipelineError, match="model: b has 2 entries"):
        ensure_unique(Path("model"), ["a", "b", "b"])
