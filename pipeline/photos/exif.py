"""What a camera wrote about a photograph: EXIF tags, and the focal length in pixels they imply."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

FULL_FRAME_WIDTH_MM = 36.0
SANE_FOCALS = (0.2, 10.0)  # in longer image sides: fields of view of 136 and 6 degrees
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit
_PARSER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    struct.error,
)


@dataclass(frozen=True)
class Exif:
    """The tags that are used; None or "" where a tag is missing or makes no sense.

    focal_mm: focal length. focal_35mm: 35 mm equivalent. sensor_px_per_mm: pixels per millimetre of
    the sensor when the photograph was taken, and recorded_width_px its width then. orientation: how
    the pixels are stored, 1 to 8 as EXIF counts. taken: date and time as written.
    """

    make: str = ""
    model: str = ""
    focal_mm: float | None = None
    focal_35mm: float | None = None
    sensor_px_per_mm: float | None = None
    recorded_width_px: float | None = None
    orientation: int = 1
    taken: str = ""

    def in_words(self) -> dict[str, str]:
        """What was found, by name, for the photo index."""
        words = {
            "make": self.make,
            "model": self.model,
            "focal_mm": "" if self.focal_mm is None else f"{self.focal_mm:g}",
            "focal_35mm": "" if self.focal_35mm is None else f"{self.focal_35mm:g}",
            "orientation": "" if self.orientation == 1 else str(self.orientation),
            "taken": self.taken,
        }
        return {name: text for name, text in words.items() if text}


@dataclass(frozen=True)
class FocalPrior:
    """A focal length from EXIF in pixels, or None; `problem` says what was not believed."""

    focal_px: float | None
    problem: str = ""


def read_exif(image: Image.Image) -> Exif:
    """Read the tags of an opened picture, before its pixels are decoded (TIFF 6.0, EXIF 2.32).

    Tags that are missing, broken or out of range stay empty: a damaged EXIF block costs the focal
    prior and the orientation, not the photograph.
    """
    try:
        tags = image.getexif()
        base: Mapping[int, Any] = dict(tags)
        details: Mapping[int, Any] = tags.get_ifd(ExifTags.IFD.Exif)
    except _PARSER_ERRORS:
        return Exif()
    orientation = base.get(ExifTags.Base.Orientation, 1)
    return Exif(
        make=_text(base.get(ExifTags.Base.Make)),
        model=_text(base.get(ExifTags.Base.Model)),
        focal_mm=_positive(details.get(ExifTags.Base.FocalLength)),
        focal_35mm=_positive(details.get(ExifTags.Base.FocalLengthIn35mmFilm)),
        sensor_px_per_mm=_sensor_px_per_mm(details),
        recorded_width_px=_positive(details.get(ExifTags.Base.ExifImageWidth)),
        orientation=orientation if orientation in range(1, 9) else 1,
        taken=_text(details.get(ExifTags.Base.DateTimeOriginal)),
    )


def focal_prior(exif: Exif, width: int, height: int) -> FocalPrior:
    """Focal length in pixels that the EXIF tags imply for a photograph of width x height pixels.

    The 35 mm equivalent is taken as the focal length that gives the same field of view across the
    longer side of a 36 x 24 mm film: ``f_px = f35 / 36 * longer side``. (Makers who equate the
    diagonals instead, as the standard asks, differ by 4 % on a 4:3 sensor; bundle adjustment
    removes that.) Without it, the focal length times the sensor's resolution, scaled where the
    photograph was made smaller afterwards. A value outside 0.2 to 10 longer sides is not believed.
    """
    longer = max(width, height)
    candidates: list[tuple[str, float]] = []
    if exif.focal_35mm is not None:
        words = f"a 35 mm equivalent of {exif.focal_35mm:g} mm"
        candidates.append((words, exif.focal_35mm / FULL_FRAME_WIDTH_MM * longer))
    if exif.focal_mm is not None and exif.sensor_px_per_mm is not None:
        stored_width = height if exif.orientation >= 5 else width
        shrunk = stored_width / (exif.recorded_width_px or stored_width)
        words = f"{exif.focal_mm:g} mm at {exif.sensor_px_per_mm:g} pixels per mm"
        candidates.append((words, exif.focal_mm * exif.sensor_px_per_mm * shrunk))
    problems: list[str] = []
    for words, focal_px in candidates:
        if SANE_FOCALS[0] * longer <= focal_px <= SANE_FOCALS[1] * longer:
            return FocalPrior(focal_px, "; ".join(problems))
        problems.append(f"{words} would be {focal_px:.0f} px on a picture of {width}x{height}")
    return FocalPrior(None, "; ".join(problems))


def _sensor_px_per_mm(details: Mapping[int, Any]) -> float | None:
    resolution = _positive(details.get(ExifTags.Base.FocalPlaneXResolution))
    unit = details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)
    if resolution is None or unit not in _MM_PER_UNIT:
        return None
    return resolution / _MM_PER_UNIT[unit]


def _positive(value: Any) -> float | None:
    """The tag as a finite number above zero, else None (EXIF writes 0 and 0/0 for unknown)."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _text(value: Any) -> str:
    """The tag as one clean line; makers pad with blanks, zeros and line breaks."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
