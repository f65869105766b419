"""Decoding: every kind of file gives the same upright pixels, and damage is found."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import UInt8s
from pipeline.photos.reading import (
    UnreadablePhoto,
    read_grey,
    read_header,
    read_reduced,
    read_rgb,
)
from pipeline.products import Photo
from tests.photos.pictures import picture

WIDTH, HEIGHT = 96, 64


def photo_of(path: Path, width: int = WIDTH, height: int = HEIGHT) -> Photo:
    return Photo(path.name, path, 0, width, height, "")


def encoded(pixels: np.ndarray, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_name, **options)
    return buffer.getvalue()


def by_opencv(pixels: np.ndarray, suffix: str) -> bytes:
    if pixels.ndim == 3:
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    return bytes(cv2.imencode(suffix, np.ascontiguousarray(pixels))[1])


def with_alpha(rgb: np.ndarray) -> np.ndarray:
    return np.dstack([rgb, np.full(rgb.shape[:2], 100, rgb.dtype)])


def pillow_mode(rgb: UInt8s, mode: str, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).convert(mode).save(buffer, format_name, **options)
    return buffer.getvalue()


def colour_files(rgb: UInt8s) -> dict[str, bytes]:
    """The same picture in every colour encoding that is read."""
    deep = rgb.astype(np.uint16) * 257
    small = io.BytesIO()
    pages = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    pages[0].save(small, "TIFF", save_all=True, append_images=pages[1:])
    moving = io.BytesIO()
    pages[0].save(moving, "WEBP", save_all=True, append_images=pages[1:], lossless=True)
    double = io.BytesIO()
    pages[0].save(double, "MPO", save_all=True, append_images=pages[1:], quality=95)
    return {
        "jpeg": encoded(rgb, "JPEG", quality=95),
        "progressive": encoded(rgb, "JPEG", quality=95, progressive=True),
        "mpo": double.getvalue(),
        "png": encoded(rgb, "PNG"),
        "rgba.png": encoded(with_alpha(rgb), "PNG"),
        "16.png": by_opencv(deep, ".png"),
        "16a.png": by_opencv(with_alpha(deep), ".png"),
        "tiff": encoded(rgb, "TIFF"),
        "lzw.tiff": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "pages.tiff": small.getvalue(),
        "16.tiff": by_opencv(deep, ".tif"),
        "float.tiff": by_opencv((rgb / 255.0).astype(np.float32), ".tif"),
        "rgba.tiff": encoded(with_alpha(rgb), "TIFF"),
        "webp": encoded(rgb, "WEBP", lossless=True),
        "moving.webp": moving.getvalue(),
        "cmyk.tiff": pillow_mode(rgb, "CMYK", "TIFF"),
        "cmyk.jpeg": pillow_mode(rgb, "CMYK", "JPEG", quality=95),
    }


def grey_files(grey: UInt8s) -> dict[str, bytes]:
    """The same picture in every grey encoding that is read."""
    return {
        "jpeg": encoded(grey, "JPEG", quality=95),
        "png": encoded(grey, "PNG"),
        "la.png": pillow_mode(grey, "LA", "PNG"),
        "palette.png": pillow_mode(grey, "P", "PNG"),
        "16.png": by_opencv(grey.astype(np.uint16) * 257, ".png"),
        "12.png": by_opencv(grey.astype(np.uint16) * 16, ".png"),
        "tiff": encoded(grey, "TIFF"),
        "16.tiff": by_opencv(grey.astype(np.uint16) * 257, ".tif"),
        "float.tiff": encoded((grey / 255.0).astype(np.float32), "TIFF"),
        "webp": encoded(grey, "WEBP", lossless=True),
    }


def test_every_colour_file_gives_the_same_pixels(tmp_path: Path) -> None:
    rgb = picture(1)
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(float)
    for name, data in colour_files(rgb).items():
        path = tmp_path / name
        path.write_bytes(data)
        header = read_header(data)
        assert (header.width, header.height) == (WIDTH, HEIGHT), name
        read = read_rgb(photo_of(path))
        assert read.shape == (HEIGHT, WIDTH, 3) and read.dtype == np.uint8, name
        assert np.abs(read.astype(float) - rgb).mean() < 3.0, name
        grey, scale = read_grey(photo_of(path), 3200)
        assert grey.shape == (HEIGHT, WIDTH) and grey.dtype == np.uint8 and scale == 1.0, name
        assert np.abs(grey.astype(float) - luma).mean() < 3.0, name
        small = read_reduced(data, header, 48)
        assert small.shape == (32, 48, 3) and small.dtype == np.uint8, name
        assert np.abs(small.mean((0, 1)) - rgb.mean((0, 1))).max() < 4.0, name


def test_every_grey_file_gives_the_same_pixels(tmp_path: Path) -> None:
    grey = np.asarray(cv2.cvtColor(picture(2), cv2.COLOR_RGB2GRAY))
    grey = np.asarray(cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX))
    for name, data in grey_files(grey).items():
        path = tmp_path / name
        path.write_bytes(data)
        read, _ = read_grey(photo_of(path), 3200)
        assert np.abs(read.astype(float) - grey).max() <= 8.0, name
        colour = read_rgb(photo_of(path))
        assert np.abs(colour.astype(float) - grey[:, :, None]).max() <= 8.0, name


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "16.png", "16.tiff", "cmyk.jpeg"])
def test_every_orientation_is_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    """Beside Pillow's own transposition of the same file."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = picture(3)
    format_name = {"jpg": "JPEG", "jpeg": "JPEG"}.get(kind.split(".")[-1], kind.split(".")[-1])
    if kind == "16.png":
        # OpenCV writes no EXIF and Pillow no 16-bit colour: 16-bit grey carries both.
        stored: np.ndarray = rgb[:, :, 0].astype(np.uint16) * 257
        data = encoded(stored, "PNG", exif=exif)
    elif kind == "16.tiff":
        stored = rgb[:, :, 0].astype(np.uint16) * 257
        data = encoded(stored, "TIFF", exif=exif)
    elif kind == "cmyk.jpeg":
        data = pillow_mode(rgb, "CMYK", "JPEG", exif=exif, quality=95)
    else:
        data = encoded(rgb, format_name, exif=exif)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)  # fmt: skip
    shown = Image.fromarray(rgb[:, :, 0])
    upright = np.asarray(shown if turn is None else shown.transpose(turn)).astype(float)
    height, width = upright.shape
    header = read_header(data)
    assert (header.width, header.height) == (width, height)
    path = tmp_path / kind
    path.write_bytes(data)
    read = read_rgb(photo_of(path, width, height))[:, :, 0]
    assert np.abs(read - upright).mean() < 5.0
    grey, _ = read_grey(photo_of(path, width, height), 3200)
    assert grey.shape == upright.shape
    small = read_reduced(data, header, 48)[:, :, 0]
    again = cv2.resize(upright, small.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small - again).mean() < 6.0


def test_a_scaled_picture_keeps_positions(tmp_path: Path) -> None:
    """The centre of a soft spot at x is at s x, also where the size is rounded."""
    width, height, sigma = 1001, 703, 9.0
    spots = [(60.3, 80.0), (700.3, 500.7), (940.9, 640.2)]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for n, (at_x, at_y) in enumerate(spots):
        spot = 250.0 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * sigma**2))
        path = tmp_path / f"spot{n}.png"
        path.write_bytes(encoded(np.rint(spot).astype(np.uint8), "PNG"))
        grey, scale = read_grey(photo_of(path, width, height), 640)
        assert scale == pytest.approx(640 / 1001) and grey.shape == (449, 640)
        weights = grey / grey.sum(dtype=float)
        centre_x = float((weights.sum(axis=0) * (np.arange(640) + 0.5)).sum()) / scale
        centre_y = float((weights.sum(axis=1) * (np.arange(449) + 0.5)).sum()) / scale
        assert abs(centre_x - at_x) < 0.03 and abs(centre_y - at_y) < 0.03


def test_a_large_jpeg_is_reduced_without_ever_being_large() -> None:
    """24 megapixels decode at an eighth: the picture that leaves Pillow is 1/64 of it."""
    data = encoded(np.zeros((4000, 6000, 3), np.uint8) + 90, "JPEG", quality=30)
    small = read_reduced(data, read_header(data), 320)
    assert small.shape == (213, 320, 3)
    assert 87 <= small.mean() <= 93


@pytest.mark.parametrize(
    "kind", ["jpeg", "progressive", "png", "16.png", "tiff", "16.tiff", "webp"]
)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's on the TIFF tags that are cut off
def test_a_file_that_was_cut_short_is_refused(kind: str, share: float) -> None:
    rng = np.random.default_rng(5)
    data = colour_files(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))[kind]
    cut = data[: int(len(data) * share)]
    with pytest.raises(UnreadablePhoto) as caught:
        read_reduced(cut, read_header(cut), 48)
    assert caught.value.reason


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"this is a shopping list\n" * 40, "no JPEG, PNG, TIFF or WebP"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 500, ""),
        (b"II*\0" + b"\xff" * 64, ""),
        (encoded(np.zeros((1, 1, 3), np.uint8), "PNG"), "1x1 pixels"),
        (encoded(np.zeros((31, 200, 3), np.uint8), "JPEG"), "200x31 pixels"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_no_photograph_is_refused_with_a_reason(data: bytes, words: str) -> None:
    with pytest.raises(UnreadablePhoto) as caught:
        read_header(data)
    assert words in caught.value.reason and caught.value.reason


def test_more_pixels_than_fit_in_memory_are_refused_by_the_header() -> None:
    data = bytearray(encoded(np.zeros((64, 64), np.uint8), "PNG"))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(UnreadablePhoto, match="megapixels"):
        read_header(bytes(data))


def test_a_photo_that_changed_after_ingest_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture(1), "PNG"))
    with pytest.raises(PipelineError, match=r"a\.png.*96x64 pixels instead of 90x64"):
        read_rgb(replace(photo_of(path), width=90))
    path.write_text("not a picture any more")
    with pytest.raises(PipelineError, match=r"a\.png"):
        read_grey(photo_of(path), 100)
    path.unlink()
    with pytest.raises(PipelineError, match="No such file"):
        read_grey(photo_of(path), 100)


def test_float_pictures_of_any_range_are_stretched(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(-4.0, 900.0, WIDTH, dtype=np.float32), (HEIGHT, 1))
    ramp[0, 0] = np.nan
    path = tmp_path / "hdr.tif"
    path.write_bytes(by_opencv(ramp, ".tif"))
    grey, _ = read_grey(photo_of(path), 3200)
    assert grey.min() == 0 and grey.max() == 255
    assert 120 <= np.median(grey) <= 135


def test_a_photograph_that_is_gone_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "gone.jpg"
    with pytest.raises(
        PipelineError, match=r"gone\.jpg was read before, and now it cannot"
    ) as told:
        read_grey(photo_of(path), 3200)
    assert told.value.hint.startswith("Put the photograph back") and told.value.hint.endswith(".")
