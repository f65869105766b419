"""`verdict.json` of a dense product: whether it was made, and how large its files are.

Readers look into few of those files; by its size, one that was cut off or is gone is noticed before
another stage, an export or the viewer needs it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.array_files import DamagedFile
from pipeline.errors import PipelineError
from pipeline.formats.files import read_json_object

_NAME = "verdict.json"


@dataclass(frozen=True)
class DenseVerdict:
    """What a product's folder says of the product.

    reason: why nothing was made; None where something was. sizes: in bytes, of all its files by
    their paths below the folder; None in a run that was written before they were recorded.
    """

    folder: Path
    reason: str | None
    sizes: Mapping[str, int] | None

    def files(self) -> list[str]:
        """The product's files, below its folder; without recorded sizes those that are there."""
        return sorted(_sizes_in(self.folder) if self.sizes is None else self.sizes)

    def check(self, names: Iterable[str] | None = None) -> None:
        """Raises DamagedFile naming a file, of these or of all whose sizes are recorded, that is
        missing or not of its size."""
        sizes = self.sizes or {}
        for name in sizes if names is None else names:
            _check_size(self.folder / name, sizes.get(name))


def write_verdict(folder: Path, reason: str | None) -> None:
    """Write the verdict into a folder that has all other files of the product. reason: why nothing
    was made."""
    verdict = {"made": reason is None, "reason": reason, "sizes": _sizes_in(folder)}
    (folder / _NAME).write_text(json.dumps(verdict), "ascii")


def read_verdict(folder: Path) -> DenseVerdict:
    """The verdict of the product in a folder. Raises DamagedFile where it is missing or is none."""
    path = folder / _NAME
    try:
        verdict = read_json_object(path)
        reason = None if verdict["made"] else str(verdict["reason"])
        sizes = dict(verdict["sizes"]) if "sizes" in verdict else None
    except PipelineError as error:
        raise DamagedFile(error.message) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path} is no verdict") from error
    return DenseVerdict(folder, reason, sizes)


def _sizes_in(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / _NAME
    }


def _check_size(path: Path, size: int | None) -> None:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise DamagedFile(f"{path} is missing") from None
    except OSError as error:
        raise DamagedFile(f"{path} cannot be read: {error.strerror or error}") from error
    if size is not None and found != size:
        raise DamagedFile(f"{path} is not whole: it has {found} bytes of {size}")
