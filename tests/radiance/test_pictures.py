"""Pictures as files: depths that survive, animations with all frames, films where they can be."""

from __future__ import annotations

import builtins
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from pipeline.errors import PipelineError
from pipeline.radiance.pictures import (
    depth_colors,
    depth_units,
    jpeg,
    read_png,
    write_gif,
    write_mp4,
    write_png,
)


def frames_in(folder: Path, count: int, size: tuple[int, int] = (8, 12)) -> list[Path]:
    """Picture files, each of a colour of its own."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        write_png(path, np.full((*size, 3), 20 + 50 * number, np.uint8))
    return paths


def test_depths_survive_as_16_bit_numbers(tmp_path: Path) -> None:
    depth = np.array([[1.2344, np.nan, 0.5], [65.535, 70.0, np.inf]], np.float32)
    numbers = depth_units(depth, 0.001)
    np.testing.assert_array_equal(numbers, [[1234, 0, 500], [65535, 0, 0]])
    write_png(tmp_path / "depth.png", numbers)
    read = read_png(tmp_path / "depth.png")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, numbers)


def test_colours_of_depths_darken_with_distance() -> None:
    depth = np.array([[0.5, 1.0, 1.5, 2.0, 4.0, 9.0, np.nan]], np.float32)
    colors = depth_colors(depth, near=1.0, far=4.0)[0].astype(int)
    light = colors @ [0.3, 0.6, 0.1]
    assert (np.diff(light[1:5]) < -10).all()
    np.testing.assert_array_equal(colors[0], colors[1])  # nearer than near looks like near
    np.testing.assert_array_equal(colors[5], colors[4])
    np.testing.assert_array_equal(colors[6], 0)


def test_a_jpeg_shows_the_picture_and_a_low_quality_is_smaller() -> None:
    ramp = np.arange(64 * 64 * 3).reshape(64, 64, 3) // 48
    rgb = ramp.astype(np.uint8)
    good, bad = jpeg(rgb, 95), jpeg(rgb, 20)
    with Image.open(io.BytesIO(good)) as image:
        assert image.format == "JPEG"
        error = np.abs(np.array(image).astype(int) - rgb)
    assert error.mean() < 8 and len(bad) < len(good)


def test_a_gif_holds_all_frames_in_order_at_their_pace(tmp_path: Path) -> None:
    write_gif(tmp_path / "way.gif", frames_in(tmp_path, 4), fps=10.0)
    with Image.open(tmp_path / "way.gif") as film:
        shades = []
        for frame in ImageSequence.Iterator(film):
            assert frame.info["duration"] == 100
            shades.append(int(np.array(frame.convert("RGB")).mean()))
    np.testing.assert_allclose(shades, [20, 70, 120, 170], atol=1)


def test_an_mp4_holds_all_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    write_mp4(tmp_path / "way.mp4", frames_in(tmp_path, 4, (33, 49)), fps=12.5)
    with av.open(str(tmp_path / "way.mp4")) as film:
        stream = film.streams.video[0]
        assert float(stream.average_rate) == 12.5
        shades = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert [shade.shape for shade in shades] == [(32, 48, 3)] * 4
    np.testing.assert_allclose([shade.mean() for shade in shades], [20, 70, 120, 170], atol=6)


def test_without_the_extra_an_mp4_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = builtins.__import__

    def without_av(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return usual(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(PipelineError, match="av") as refusal:
        write_mp4(tmp_path / "way.mp4", frames_in(tmp_path, 1), fps=10.0)
    assert "barfield[video]" in refusal.value.hint
    assert not (tmp_path / "way.mp4").exists()


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"\x89PNG cut")
    with pytest.raises(PipelineError, match=r"0\.png"):
        read_png(tmp_path / "0.png")
