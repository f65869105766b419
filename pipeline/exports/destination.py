"""Where an export goes: nothing is overwritten but an export before it, and that all at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.atomic_files import replacing_file, replacing_folder, storage_error
from pipeline.errors import PipelineError
from pipeline.export_request import ExportRequest, Format

ABOUT = "export.json"  # in the folder: what it is, and the files that it has
_FILE_FORMATS = ("ply", "glb")
_AGAIN = "Nothing was changed: the same command exports from the beginning."


def destination(run_directory: Path, request: ExportRequest) -> tuple[Path, bool]:
    """Where the export goes, and whether that is a file. Raises PipelineError where something is
    there that is no former export of the same format."""
    path = request.out or run_directory / "export" / request.format
    try:
        return _checked(path.resolve() if path.is_symlink() else path.absolute(), request.format)
    except OSError as error:
        raise storage_error(error, path, _AGAIN) from error


@contextmanager
def writing(path: Path, is_file: bool) -> Iterator[Path]:
    """A temporary file or folder that takes the place of `path` when the block ends well. Raises
    PipelineError naming it where the disk refuses."""
    with (replacing_file if is_file else replacing_folder)(path, _AGAIN) as temporary:
        yield temporary


def files_in(folder: Path) -> list[str]:
    """The files in a folder and below, relative to it, sorted."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def write_about(folder: Path, content: Mapping[str, Any]) -> None:
    """Write what the export is; its own name among the files."""
    files = [*files_in(folder), ABOUT]
    text = json.dumps({**content, "files": files}, indent=1, ensure_ascii=False)
    (folder / ABOUT).write_text(text + "\n", encoding="utf-8")


def _checked(path: Path, format: Format) -> tuple[Path, bool]:
    """A place that can be taken, and whether it is a file's; raises as `destination`, and
    OSError."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix == format and suffix in _FILE_FORMATS and not path.is_dir():
        if path.exists():
            raise _taken(path, "is a file that is there already")
        return path, True
    if suffix == format and not path.exists():
        raise PipelineError(
            "A folder is needed",
            f"{path}: the format {format} is more than one file.",
            f"Give a folder, such as --out {path.with_suffix('').name}.",
        )
    if path.exists():
        _check_folder(path, format)
    return path, False


def _check_folder(path: Path, format: str) -> None:
    if not path.is_dir():
        raise _taken(path, "is a file")
    if not any(path.iterdir()):
        return
    try:
        about = json.loads((path / ABOUT).read_bytes())
        former, written = about["barfield_export"], set(about["files"])
    except (OSError, ValueError, TypeError, KeyError):
        raise _taken(path, "is not empty, and no former export") from None
    if former != format:
        raise _taken(path, f"holds an export as {former}")
    added = [name for name in files_in(path) if name not in written]
    if added:
        raise _taken(path, f"holds {added[0]}, which the export did not write")


def _taken(path: Path, why: str) -> PipelineError:
    return PipelineError(
        "The place is taken",
        f"{path} {why}.",
        "Choose another one with --out, or move it away first.",
    )
