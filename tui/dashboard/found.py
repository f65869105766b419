"""What a folder of photographs holds, quickly: for the user who chooses one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import RunConfig
from pipeline.errors import PipelineError
from pipeline.inputs import find_files
from pipeline.machine import usable_cores
from pipeline.request import GivenPaths
from tui.words import duration_in_words

MOST_LOOKED_AT = 100
MOST_ENTRIES = 30_000
_MAKE, _MODEL = 271, 272  # EXIF tags
# Seconds on one core, of the sample scene (36 photographs of 0.6 megapixels, 630 pairs).
_S_A_MEGAPIXEL = 0.4
_S_A_PAIR = 0.02
_S_A_PHOTOGRAPH = 0.3
_LARGEST_MEGAPIXELS = 3.2 * 2.4


@dataclass(frozen=True)
class Found:
    """What was found.

    sizes: how many photographs of each (width, height); cameras: of each make and model; both of
    the first of every few, where there are many. problem: in words, where there is nothing to begin
    with. estimate_s: of all before the radiance field, by the sample scene.
    """

    photographs: int = 0
    sizes: tuple[tuple[tuple[int, int], int], ...] = ()
    cameras: tuple[tuple[str, int], ...] = ()
    problem: str = ""
    estimate_s: float = 0.0

    def in_words(self) -> list[str]:
        """A line for each thing that is known."""
        if self.problem:
            return [self.problem]
        sizes = ", ".join(f"{width}x{height}" for (width, height), _ in self.sizes[:3])
        cameras = ", ".join(name for name, _ in self.cameras[:3])
        more = ", ..." if len(self.sizes) > 3 else ""
        about = duration_in_words(self.estimate_s)
        lines = [
            f"{self.photographs} photographs",
            f"sizes: {sizes}{more}" if sizes else "",
            f"cameras: {cameras}" if cameras else "",
            f"cameras and points in about {about}, then radiance",
        ]
        return [line for line in lines if line]


def look_into(folder: Path) -> Found:
    """What a folder holds; looks into at most `MOST_LOOKED_AT` files."""
    if _is_too_large(folder):
        return Found(problem="very many files: choose a folder further down")
    try:
        found = find_files(GivenPaths(photos=folder.absolute()), RunConfig(), folder / "runs")
    except (PipelineError, OSError) as error:
        words = error.message if isinstance(error, PipelineError) else str(error)
        return Found(problem=words)
    files = list(found.photos.values())
    if len(files) < 3:
        count = "1 photograph" if len(files) == 1 else f"{len(files)} photographs"
        return Found(len(files), problem=f"{count}: at least three are needed")
    looked_at = files[:: max(1, len(files) // MOST_LOOKED_AT)][:MOST_LOOKED_AT]
    headers = list(_headers(looked_at))
    sizes = Counter(size for size, _ in headers)
    cameras = Counter(camera for _, camera in headers if camera)
    return Found(
        photographs=len(files),
        sizes=tuple(sizes.most_common()),
        cameras=tuple(cameras.most_common()),
        estimate_s=_estimate_s(len(files), [size for size, _ in headers]),
    )


def _is_too_large(folder: Path) -> bool:
    """Whether looking for photographs would take long, as in a home folder."""
    seen = 0
    for _, folders, files in os.walk(folder):
        seen += len(folders) + len(files)
        if seen > MOST_ENTRIES:
            return True
    return False


def _headers(files: Sequence[Path]) -> Iterator[tuple[tuple[int, int], str]]:
    """Size and camera of each file that can be opened."""
    from PIL import Image

    for file in files:
        try:
            with Image.open(file) as photo:
                exif = photo.getexif()
                names = [str(exif.get(tag, "")).strip("\0 ") for tag in (_MAKE, _MODEL)]
                yield photo.size, " ".join(filter(None, names))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue


def _estimate_s(photographs: int, sizes: Sequence[tuple[int, int]]) -> float:
    pixels = [min(w * h / 1e6, _LARGEST_MEGAPIXELS) for w, h in sizes]
    mean = sum(pixels) / len(pixels) if pixels else 1.0
    pairs = RunConfig().pairs
    exhaustive = photographs <= pairs.exhaustive_limit
    compared = photographs * (photographs - 1) / 2 if exhaustive else photographs * pairs.neighbours
    spread = photographs * mean * _S_A_MEGAPIXEL + compared * _S_A_PAIR
    return spread / usable_cores() + photographs * _S_A_PHOTOGRAPH


def folders_in(folder: Path) -> list[Path]:
    """The folders that a folder holds, by name, without hidden ones; none where it cannot be
    read."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]
