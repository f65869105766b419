"""EXIF tags and the focal priors that follow from them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from pipeline.photos.exif import Exif, focal_prior, read_exif


def jpeg_with(base: dict[int, Any], details: dict[int, Any]) -> Image.Image:
    exif = Image.Exif()
    exif.update(base)
    exif.get_ifd(ExifTags.IFD.Exif).update(details)
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40)).save(buffer, "JPEG", exif=exif)
    return Image.open(buffer)


def test_tags_are_read() -> None:
    base: dict[int, Any] = {
        ExifTags.Base.Make: "Canon\0\0 ",
        ExifTags.Base.Model: " EOS\n5D",
        ExifTags.Base.Orientation: 6,
    }
    details: dict[int, Any] = {
        ExifTags.Base.FocalLength: IFDRational(85, 2),
        ExifTags.Base.FocalLengthIn35mmFilm: 68,
        ExifTags.Base.FocalPlaneXResolution: IFDRational(2540, 1),
        ExifTags.Base.FocalPlaneResolutionUnit: 2,
        ExifTags.Base.ExifImageWidth: 3000,
    }
    exif = read_exif(jpeg_with(base, details))
    assert (exif.make, exif.model, exif.orientation) == ("Canon", "EOS 5D", 6)
    assert (exif.focal_mm, exif.focal_35mm, exif.recorded_width_px) == (42.5, 68.0, 3000.0)
    assert exif.sensor_px_per_mm == pytest.approx(100.0)
    assert exif.in_words() == {
        "make": "Canon", "model": "EOS 5D", "focal_mm": "42.5", "focal_35mm": "68",
        "orientation": "6",
    }  # fmt: skip


def test_no_exif_is_all_empty() -> None:
    exif = read_exif(Image.new("RGB", (60, 40)))
    assert exif == Exif() and exif.in_words() == {}


def test_senseless_tags_are_left_out() -> None:
    base: dict[int, Any] = {ExifTags.Base.Orientation: 9}
    details: dict[int, Any] = {
        ExifTags.Base.FocalLength: IFDRational(0, 0),
        ExifTags.Base.FocalLengthIn35mmFilm: 0,
        ExifTags.Base.FocalPlaneXResolution: IFDRational(100, 1),
        ExifTags.Base.FocalPlaneResolutionUnit: 77,
    }
    assert read_exif(jpeg_with(base, details)) == Exif()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own words on what we leave out
@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_damage_to_the_block_costs_no_more_than_the_tags(block: bytes) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40)).save(buffer, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + block)
    with Image.open(buffer) as image:
        exif = read_exif(image)
    assert exif.orientation in range(1, 9)


def test_the_35_mm_equivalent_spans_the_longer_side() -> None:
    assert focal_prior(Exif(focal_35mm=36.0), 3000, 2000).focal_px == pytest.approx(3000.0)
    assert focal_prior(Exif(focal_35mm=18.0), 2000, 3000).focal_px == pytest.approx(1500.0)


def test_the_sensor_resolution_is_scaled_with_the_photograph() -> None:
    exif = Exif(focal_mm=10.0, sensor_px_per_mm=200.0, recorded_width_px=4000.0)
    assert focal_prior(exif, 4000, 3000).focal_px == pytest.approx(2000.0)
    assert focal_prior(exif, 1000, 750).focal_px == pytest.approx(500.0)
    turned = Exif(focal_mm=10.0, sensor_px_per_mm=200.0, recorded_width_px=4000.0, orientation=6)
    assert focal_prior(turned, 750, 1000).focal_px == pytest.approx(500.0)


def test_without_enough_tags_there_is_no_prior_and_no_problem() -> None:
    for exif in (Exif(), Exif(focal_mm=50.0), Exif(sensor_px_per_mm=100.0)):
        prior = focal_prior(exif, 3000, 2000)
        assert prior.focal_px is None and prior.problem == ""


@pytest.mark.parametrize("focal_35mm", [1.0, 7.0, 361.0, 5000.0])
def test_an_absurd_focal_length_is_not_believed(focal_35mm: float) -> None:
    prior = focal_prior(Exif(focal_35mm=focal_35mm), 3000, 2000)
    assert prior.focal_px is None
    assert f"{focal_35mm:g} mm" in prior.problem


def test_the_next_best_tag_stands_in_for_an_absurd_one() -> None:
    exif = Exif(focal_35mm=9999.0, focal_mm=10.0, sensor_px_per_mm=200.0)
    prior = focal_prior(exif, 4000, 3000)
    assert prior.focal_px == pytest.approx(2000.0)
    assert "9999" in prior.problem
