"""Pinhole cameras for photographs that a format cannot describe, and the photographs by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.exports.pinhole import Undistorter, centred_pinhole, sampling_maps
from pipeline.geometry.cameras import MODELS, Camera
from tests.exports.runs import ramp
from tests.formats.models import make_camera


def test_a_pinhole_camera_stays_as_it_is() -> None:
    camera = Camera("PINHOLE", 640, 480, np.array([500.0, 500.0, 320.0, 240.0]))
    found = centred_pinhole([camera])
    assert found is not None
    np.testing.assert_array_equal(found.opencv_params, camera.opencv_params)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(
    st.floats(-0.2, 0.2),
    st.floats(-0.02, 0.02),
    st.tuples(st.floats(-8, 8), st.floats(-5, 5)),
    st.floats(0.95, 1.05),
)
def test_it_has_no_gaps_and_hardly_less_than_it_could(
    k1: float, k2: float, shift: tuple[float, float], aspect: float
) -> None:
    """All of its border lies in the photograph; a view a thousandth wider would leave it."""
    focals = (125.0, 125.0 * aspect)
    params = np.array([*focals, 80.0 + shift[0], 60.0 + shift[1], k1, k2, 1e-3, -1e-3])
    camera = Camera("OPENCV", 160, 120, params)
    found = centred_pinhole([camera])
    assert found is not None and found.model == "SIMPLE_PINHOLE"
    assert (found.width, found.height) == (160, 120)
    x, y = sampling_maps(camera, found)
    # The outermost pixels' centres are half a pixel inside; OpenCV's zero is the first centre.
    assert x.min() >= -0.5 and x.max() <= 159.5 and y.min() >= -0.5 and y.max() <= 119.5
    wider = found.with_focal_scaled(0.999)
    x, y = sampling_maps(camera, Camera("SIMPLE_PINHOLE", 160, 120, wider.params))
    margins = (x.min() + 0.5, 159.5 - x.max(), y.min() + 0.5, 119.5 - y.max())
    assert min(margins) < 0.75


def test_one_for_several_cameras_fits_the_narrowest() -> None:
    cameras = [make_camera("RADIAL"), make_camera("OPENCV", 1.3)]
    both, wide, narrow = (centred_pinhole(some) for some in (cameras, cameras[:1], cameras[1:]))
    assert both is not None and wide is not None and narrow is not None
    assert both.focal_px == pytest.approx(max(wide.focal_px, narrow.focal_px), rel=1e-6)
    with pytest.raises(ValueError, match="several sizes"):
        centred_pinhole([*cameras, Camera("SIMPLE_PINHOLE", 64, 48, np.array([60.0, 32, 24]))])


def test_there_is_none_for_an_axis_beside_the_photograph() -> None:
    beside = Camera("SIMPLE_PINHOLE", 640, 480, np.array([500.0, -20.0, 240.0]))
    assert centred_pinhole([beside]) is None


@pytest.mark.parametrize("model", sorted(MODELS))
def test_the_photograph_shows_what_the_pinhole_sees(model: str) -> None:
    """Colours that tell their place: at the projection of a ray by the pinhole camera stands the
    place where the camera saw it, on average to a fifth of a pixel."""
    camera = make_camera(model)
    pinhole = centred_pinhole([camera])
    assert pinhole is not None
    picture = Undistorter(camera, pinhole)(ramp(camera.width, camera.height)).astype(np.float64)
    rng = np.random.default_rng(5)
    pixels = rng.integers((20, 20), (camera.width - 20, camera.height - 20), (400, 2))
    uv = pinhole.unproject(pixels.astype(np.float64) + 0.5)
    expected = camera.project(np.column_stack([uv, np.ones(len(uv))]))
    found = picture[pixels[:, 1], pixels[:, 0], :2] / 255.0 * (camera.width, camera.height)
    # A step of the 8-bit ramp is 3.1 and 2.4 pixels, rounded twice; that averages out.
    off = found - expected
    assert np.abs(off).max() < 3.2 and np.abs(off.mean(axis=0)).max() < 0.2
