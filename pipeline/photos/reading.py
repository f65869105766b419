"""Decoding photographs to 8 bits, upright: every reader of pixels goes through here.

OpenCV decodes what it decodes fastest (8-bit JPEG and PNG) and what Pillow cuts to 8 bits (16-bit
and float files); Pillow decodes the rest, and all thumbnails, because it names what is wrong with a
broken file. Neither is left to turn a picture: JPEG, PNG and WebP are turned here by their EXIF
orientation; TIFF files are turned by both libraries themselves, whatever flags they are given.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import UInt8s
from pipeline.item_refs import FileRef
from pipeline.photos.exif import Exif, read_exif
from pipeline.photos.source import FORMATS_IN_WORDS
from pipeline.products import Photo

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")  # a JPEG of several pictures reports itself as MPO
MIN_SIDE_PX = 32
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow's decoders raise on damaged files, by its sources: there is no common base.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError,
    AttributeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class UnreadablePhoto(Exception):
    """A file that cannot be used as a photograph; `reason` says why in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """What is known of a picture before its pixels are decoded.

    width, height: upright. turn: EXIF orientation still to be applied to decoded pixels, 1 for
    none. plain: 8-bit grey or RGB that OpenCV decodes as it is. deep: more than 8 bits a channel.
    """

    width: int
    height: int
    turn: int
    plain: bool
    deep: bool
    exif: Exif


def read_grey(photo: Photo, max_size_px: int, file: FileRef | None = None) -> tuple[UInt8s, float]:
    """Read a photograph in grey, at most `max_size_px` on its longer side.

    file: where its bytes are, if not at its path. Returns (h, w) uint8 and the scale s <= 1 of the
    returned picture: pixel position x of the photograph (corner origin) is at s x in it. Deep
    pictures are brought to 8 bits as in :func:`read_rgb`. Raises PipelineError where the file has
    changed or cannot be read any more.
    """
    pixels = _read(photo, grey=True, file=file)
    scale = min(1.0, max_size_px / max(photo.width, photo.height))
    if scale < 1.0:
        # With fx and fy OpenCV samples at exactly this scale, whatever the rounded size becomes.
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return pixels, scale


def read_rgb(photo: Photo, file: FileRef | None = None) -> UInt8s:
    """Read a photograph in colour, (height, width, 3) uint8; grey ones are repeated.

    16-bit values are divided by the smallest of 2^10, 2^12, 2^14, 2^16 that holds them all; floats
    in [0, 1] are multiplied by 255; other ranges are stretched between their 0.5 and 99.5
    percentiles. Transparency is dropped. Raises PipelineError as :func:`read_grey`.
    """
    return _read(photo, grey=False, file=file)


def read_header(data: bytes) -> Header:
    """What the file says of itself; raises UnreadablePhoto for what is no usable picture."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            header = _header_of(image, data)
    except _DECODER_ERRORS as error:
        if not data.startswith(_TIFF_STARTS):
            raise UnreadablePhoto(_why_not_opened(data, error)) from error
        # Float colour and other TIFF layouts that Pillow does not know: OpenCV may, without EXIF.
        height, width = _decode_deep(data).shape[:2]
        header = Header(width, height, turn=1, plain=False, deep=True, exif=Exif())
    if min(header.width, header.height) < MIN_SIDE_PX:
        raise UnreadablePhoto(
            f"it has {header.width}x{header.height} pixels, at least {MIN_SIDE_PX} a side needed"
        )
    return header


def read_reduced(data: bytes, header: Header, longer_px: int) -> UInt8s:
    """Decode to RGB (h, w, 3) uint8 with `longer_px` on the longer side, or as it is if smaller.

    The whole file is read, so one that was cut short raises UnreadablePhoto; JPEG files are
    decoded at 1/2, 1/4 or 1/8, so memory is bounded by the small picture.
    """
    longer = max(header.width, header.height)
    factor = min(1.0, longer_px / longer)
    size = (max(1, round(header.width * factor)), max(1, round(header.height * factor)))
    if header.deep:
        pixels = _as_rgb(_to_8_bits(_decode_deep(data)))
    else:
        pixels = _decode_with_pillow(data, reduction=max(1, longer // longer_px), mode="RGB")
    pixels = _upright(pixels, header.turn)
    if pixels.shape[1::-1] != size:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return pixels


def decode(data: bytes, header: Header, grey: bool) -> UInt8s:
    """Decode to (h, w) or RGB (h, w, 3) uint8, upright; raises UnreadablePhoto for damaged data."""
    pixels: UInt8s | None
    if header.deep:
        pixels = _to_8_bits(_decode_deep(data))
        pixels = _as_grey(pixels) if grey else _as_rgb(pixels)
    elif header.plain:
        flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            raise UnreadablePhoto("it cannot be decoded; the file is damaged")
        if not grey:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    else:
        pixels = _decode_with_pillow(data, reduction=1, mode="L" if grey else "RGB")
    return _upright(pixels, header.turn)


def _read(photo: Photo, grey: bool, file: FileRef | None = None) -> UInt8s:
    """Pixels of a photograph that ingest has accepted: (h, w) or (h, w, 3) uint8, upright."""
    try:
        data = (file or FileRef(photo.path)).read_bytes()
        pixels = decode(data, read_header(data), grey)
    except OSError as error:
        raise _lost(photo, f"it cannot be read: {error.strerror}") from error
    except UnreadablePhoto as error:
        raise _lost(photo, error.reason) from error
    if pixels.shape[:2] != (photo.height, photo.width):
        found = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise _lost(photo, f"it has {found} pixels instead of {photo.width}x{photo.height}")
    return pixels


def _lost(photo: Photo, reason: str) -> PipelineError:
    return PipelineError(
        "Photograph changed",
        f"{photo.path} was read before, and now {reason}",
        "Put the photograph back as it was, or run again to leave it out.",
    )


def _header_of(image: Image.Image, data: bytes) -> Header:
    exif = read_exif(image)
    # Pillow's size of a TIFF file is the upright one already.
    turn = 1 if image.format == "TIFF" else exif.orientation
    width, height = image.size if turn < 5 else image.size[::-1]
    deep = image.mode[0] in "IF" or _bits_per_channel(image, data) > 8
    eight_bits = image.format in ("JPEG", "MPO", "PNG") and image.mode in ("L", "RGB")
    return Header(width, height, turn, plain=eight_bits and not deep, deep=deep, exif=exif)


def _bits_per_channel(image: Image.Image, data: bytes) -> int:
    """Bits of the widest channel in the file, which Pillow's mode hides for 16-bit colour."""
    if image.format == "PNG":
        return data[24]  # IHDR: signature 8, length 4, type 4, width 4, height 4, bit depth 1
    if image.format == "TIFF":
        bits = image.getexif().get(258, 8)  # BitsPerSample
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 8


def _why_not_opened(data: bytes, error: Exception) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return f"its content is no {FORMATS_IN_WORDS} picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels"
    return f"it cannot be opened: {error}"


def _decode_with_pillow(data: bytes, reduction: int, mode: str) -> UInt8s:
    """First page in the given mode, made at most `reduction` times smaller."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.draft(mode, (image.width // reduction, image.height // reduction))
            image.load()
            small: Image.Image = image
            if image.mode not in ("L", "RGB", "RGBA", "CMYK"):
                small = image.convert(mode)
            if image.format not in ("JPEG", "MPO") and reduction > 1:
                small = small.reduce(reduction)  # before the copies that follow
            return np.asarray(small if small.mode == mode else small.convert(mode))
    except _DECODER_ERRORS as error:
        raise UnreadablePhoto(f"it cannot be decoded: {error}") from error


def _decode_deep(data: bytes) -> np.ndarray:
    """Pixels as stored, (h, w) or (h, w, 3) RGB, of any number type, by OpenCV."""
    pixels: np.ndarray | None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise UnreadablePhoto(f"it cannot be decoded: {error}") from error
    if pixels is None:
        raise UnreadablePhoto("it cannot be decoded; the file is cut short or of a rare kind")
    if pixels.ndim == 2:
        return np.asarray(pixels)
    if pixels.shape[2] < 3:
        return np.asarray(pixels[:, :, 0])
    return np.asarray(pixels[:, :, 2::-1])  # OpenCV has BGR, and alpha behind it


def _to_8_bits(pixels: np.ndarray) -> UInt8s:
    """Any number type to uint8; see :func:`read_rgb` for the ranges."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    if pixels.dtype == np.uint16:
        peak = int(pixels.max())
        bits = next(bits for bits in (10, 12, 14, 16) if peak < 1 << bits)
        return (pixels >> (bits - 8)).astype(np.uint8)
    values = np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = 0.0, 1.0
    if values.min() < 0.0 or values.max() > 1.0:
        low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    stretched = (values - low) * (255.0 / max(high - low, 1e-12))
    return np.asarray(np.clip(np.rint(stretched), 0, 255), np.uint8)


def _as_grey(pixels: UInt8s) -> UInt8s:
    grey: UInt8s = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    return grey


def _as_rgb(pixels: UInt8s) -> UInt8s:
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def _upright(pixels: UInt8s, orientation: int) -> UInt8s:
    """Apply an EXIF orientation, 1 to 8, to (h, w, ...) pixels as they are stored."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
