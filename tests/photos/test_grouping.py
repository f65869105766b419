"""Which photographs share a camera, and what it starts with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.config import IngestConfig
from pipeline.errors import PipelineError
from pipeline.geometry.cameras import Camera
from pipeline.photos.grouping import CameraFacts, CameraGroups, group_cameras

CANON = ("Canon", "EOS 5D", "50", "50")
ZOOMED = ("Canon", "EOS 5D", "85", "85")


def facts(
    name: str, width: int = 600, height: int = 400, lens: tuple[str, ...] = (), **more: Any
) -> CameraFacts:
    return CameraFacts(name, width, height, lens, **more)


def grouped(photos: list[CameraFacts], given: Any = None, **settings: Any) -> CameraGroups:
    return group_cameras(photos, IngestConfig(**settings), given)


def test_auto_shares_by_lens_and_size_across_folders() -> None:
    photos = [
        facts("a/1.jpg", lens=CANON), facts("b/1.jpg", lens=CANON), facts("a/2.jpg", lens=ZOOMED),
        facts("a/3.jpg", 400, 600, CANON), facts("a/4.jpg"), facts("a/5.jpg"), facts("b/6.jpg"),
        facts("b/7.jpg", 300, 200),
    ]  # fmt: skip
    groups = grouped(photos)
    assert groups.of_photo == (0, 0, 1, 2, 3, 3, 4, 5)
    assert len(groups.cameras) == len(groups.words) == 6
    assert groups.words[0].startswith("2 photographs: Canon EOS 5D, 600x400")


def test_the_other_ways_to_share() -> None:
    photos = [facts("a/1.jpg", lens=CANON), facts("b/1.jpg", lens=CANON), facts("a/2.jpg")]
    assert grouped(photos, cameras="single").of_photo == (0, 0, 0)
    assert grouped(photos, cameras="per-folder").of_photo == (0, 1, 0)
    assert grouped(photos, cameras="per-image").of_photo == (0, 1, 2)
    sizes = [facts("a/1.jpg"), facts("a/2.jpg", 300, 200)]
    assert grouped(sizes, cameras="per-folder").of_photo == (0, 1)


def test_single_with_two_sizes_is_an_error_that_names_both() -> None:
    photos = [facts("1.jpg"), facts("2.jpg"), facts("3.jpg", 400, 600)]
    with pytest.raises(PipelineError) as caught:
        grouped(photos, cameras="single")
    for words in ("1.jpg", "600x400", "3.jpg", "400x600"):
        assert words in caught.value.message


@pytest.mark.parametrize(
    "model", ["SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"]
)
def test_a_camera_starts_at_the_prior_or_the_default(model: str) -> None:
    photos = [facts("1.jpg", lens=CANON, focal_px=700.0), facts("2.jpg", 400, 600)]
    known, unknown = grouped(photos, camera_model=model, default_focal=1.5).cameras
    assert known.model == unknown.model == model
    assert np.array_equal(known.opencv_params, [700, 700, 300, 200, 0, 0, 0, 0])
    assert np.array_equal(unknown.opencv_params, [900, 900, 200, 300, 0, 0, 0, 0])
    assert known.has_focal_prior and not unknown.has_focal_prior


def test_one_camera_takes_the_median_of_its_priors() -> None:
    priors = [700.0, None, 710.0, 2000.0]
    photos = [facts(f"{n}.jpg", focal_px=prior) for n, prior in enumerate(priors)]
    (camera,) = grouped(photos, cameras="single").cameras
    assert camera.focal_px == 710.0 and camera.has_focal_prior


def test_given_intrinsics_override_and_equal_ones_are_shared() -> None:
    def make(focal: float) -> Camera:
        return Camera("PINHOLE", 600, 400, np.array([focal, focal, 301.0, 199.0]))

    photos = [facts(f"{n}.jpg", lens=CANON, focal_px=500.0) for n in range(4)]
    given = {"0.jpg": make(640.0), "2.jpg": make(640.0), "3.jpg": make(650.0), "x.jpg": make(1.0)}
    groups = grouped(photos, given)
    assert groups.of_photo == (0, 1, 0, 2)
    assert groups.cameras[0].model == "PINHOLE" and groups.cameras[0].has_focal_prior
    assert np.array_equal(groups.cameras[0].params, given["0.jpg"].params)
    assert groups.cameras[1].focal_px == 500.0
    assert "as given" in groups.words[0] and "from EXIF" in groups.words[1]


def test_a_given_camera_of_another_size_is_an_error() -> None:
    camera = Camera("PINHOLE", 1200, 800, np.array([640.0, 640.0, 600.0, 400.0]))
    with pytest.raises(PipelineError, match=r"1\.jpg is for 1200x800 .* has 600x400"):
        grouped([facts("1.jpg")], {"1.jpg": camera})
