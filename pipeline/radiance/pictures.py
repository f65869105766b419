"""Rendered pictures as bytes and files: JPEG for viewers, PNG frames, depths, GIF and MP4."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.atomic_files import replacing_file, write_bytes
from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float32s, UInt8s
from pipeline.view_requests import Level

LARGEST_DEPTH = 65535  # of 16 bits
_VIDEO_QUALITY = "18"  # x264's constant rate factor, where 18 looks like the original
_GIF_COLORS = 256


@dataclass(frozen=True, eq=False)
class Picture:
    """A rendered view.

    rgb: (H, W, 3) uint8. depth: (H, W) float32 along the camera's axis, in units of the world, NaN
    where nothing is seen. opacity: (H, W) float32 in [0, 1]. level: by which part of the size that
    was asked for it is smaller. final: nothing finer follows.
    """

    rgb: UInt8s
    depth: Float32s
    opacity: Float32s
    level: Level
    final: bool


def jpeg(rgb: UInt8s, quality: int) -> bytes:
    """A picture (H, W, 3) uint8 as JPEG."""
    return _encoded(rgb, "JPEG", quality=quality)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W, 3) uint8 or (H, W) uint16 pixels. Raises PipelineError naming the file."""
    write_bytes(path, _encoded(pixels, "PNG", compress_level=6))


def depth_units(depth: Float32s, unit: float) -> np.ndarray:
    """Depths (H, W) as 16-bit numbers of `unit`s; 0 where nothing is seen or 16 bits do not do."""
    numbers = np.round(np.nan_to_num(depth / unit, nan=0.0, posinf=0.0))
    return np.where(numbers <= LARGEST_DEPTH, numbers, 0).astype(np.uint16)


def depth_colors(depth: Float32s, near: float, far: float) -> UInt8s:
    """A picture (H, W, 3) of depths: bright yellow at `near` to dark blue at `far`, evenly in
    1 / depth; black where nothing is seen."""
    # Five stops of a scale whose lightness falls evenly, so that it reads in grey, too.
    stops = np.array([[253, 231, 37], [94, 201, 98], [33, 145, 140], [59, 82, 139], [68, 1, 84]])
    seen = np.isfinite(depth) & (depth > 0)
    nearness = 1.0 / np.where(seen, depth, near)
    shares = np.clip((1.0 / near - nearness) / max(1.0 / near - 1.0 / far, 1e-12), 0.0, 1.0)
    places = np.linspace(0.0, 1.0, len(stops))
    channels = [np.interp(shares, places, stops[:, channel]) for channel in range(3)]
    colors = np.where(seen[..., None], np.stack(channels, axis=-1), 0.0)
    return np.asarray(np.round(colors), np.uint8)


def write_gif(path: Path, frames: Sequence[Path], fps: float) -> None:
    """Write an animation of picture files of one size. Raises PipelineError naming the file."""
    hundredths = max(2, round(100.0 / fps))  # viewers take anything shorter for a tenth of a second
    with replacing_file(path) as temporary:
        first, *rest = _palettes(frames)
        first.save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=10 * hundredths,
            loop=0,
        )


def write_mp4(path: Path, frames: Sequence[Path], fps: float) -> None:
    """Write a film of picture files of one size; a last odd row or column is left out.

    Raises PipelineError naming the file, and where the extra `video` is not installed.
    """
    check_video_extra()
    import av

    with replacing_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": _VIDEO_QUALITY}
        for number, rgb in enumerate(map(read_png, frames)):
            even = rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]
            if number == 0:
                stream.height, stream.width = even.shape[:2]
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), "rgb24")))
        film.mux(stream.encode())


def check_video_extra() -> None:
    """Raises PipelineError where films cannot be written."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise PipelineError(
            "MP4 needs PyAV",
            "the package av is not installed",
            "pip install 'barfield[video]', or choose --format gif or png.",
        ) from error


def read_png(path: Path) -> np.ndarray:
    """The pixels of a picture file. Raises PipelineError if it is no picture."""
    try:
        with Image.open(path) as image:
            return np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise PipelineError(
            "Picture unreadable", f"{path}: {error}", "Remove it: it is rendered again."
        ) from error


def _palettes(frames: Sequence[Path]) -> Iterator[Image.Image]:
    """The frames with a palette of their own each."""
    for path in frames:
        yield Image.fromarray(read_png(path)).quantize(_GIF_COLORS)


def _encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
