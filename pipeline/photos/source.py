"""Where the photographs come from, and which files of a folder are photographs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.geometry.cameras import Camera
from pipeline.photo_places import common_folder, folder_read
from pipeline.products import RefusedPhoto

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm"})
UNREAD_PICTURES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".gif", ".bmp", ".ppm", ".pgm", ".exr", ".psd"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"}
)
FORMATS_IN_WORDS = "JPEG, PNG, TIFF or WebP"
Identity = tuple[int, int]


@dataclass(frozen=True, eq=False)
class PhotoSource:
    """What the user pointed at.

    root: a photo folder, or a video file. files: only these files of it, in place of all.
    intrinsics: cameras given by the user, by photo name. frames_folder: where the key frames of a
    video are written; needed for a video only.
    """

    root: Path
    files: tuple[Path, ...] | None = None
    intrinsics: Mapping[str, Camera] | None = None
    frames_folder: Path | None = None

    @staticmethod
    def of_files(
        files: Sequence[Path], intrinsics: Mapping[str, Camera] | None = None
    ) -> PhotoSource:
        """A source of single files; their names are relative to the deepest folder that holds all.

        Raises PipelineError for an empty list.
        """
        if not files:
            raise PipelineError(
                "No photographs", "the list of files is empty", "name at least three photographs"
            )
        absolute = tuple(file.absolute() for file in files)
        return PhotoSource(common_folder(absolute), absolute, intrinsics)

    @property
    def is_video(self) -> bool:
        """Whether the root is a video file, by its name."""
        return self.root.suffix.lower() in VIDEO_SUFFIXES and self.root.is_file()


@dataclass(frozen=True)
class Listing:
    """The files of a source. photos: (name, path), sorted by the bytes of the name; a name is the
    path below `folder` with forward slashes. refused: what looked like a photograph and is not
    read."""

    folder: Path
    photos: tuple[tuple[str, Path], ...]
    refused: tuple[RefusedPhoto, ...]


@dataclass
class _Finds:
    photos: list[tuple[str, Path]] = field(default_factory=list)
    refused: list[RefusedPhoto] = field(default_factory=list)


def list_photos(source: PhotoSource, masks: Path | None = None) -> Listing:
    """List the photographs of a folder and of all below it, or check a list of files.

    If the folder has an ``images`` folder, only that is read, and names are relative to it. Links
    are followed, each folder is entered once, hidden entries and the folder of `masks` are skipped.
    Raises PipelineError where the root is missing, is no folder or cannot be opened, where a listed
    file is missing, or where nothing looks like a photograph.
    """
    finds = _Finds()
    if source.files is not None:
        folder = source.root
        for file in source.files:
            if not os.path.lexists(file):
                raise PipelineError(
                    "Photograph missing", f"{file} does not exist", "check the list of files"
                )
            _sort_in(_relative_name(file, folder), file, finds)
    else:
        folder = photo_folder(source.root)
        seen = set() if masks is None else {_identity(masks)}
        _walk(folder, folder, seen, finds)
    if not finds.photos and not finds.refused:
        raise PipelineError(
            "No photographs",
            f"{folder} holds no {FORMATS_IN_WORDS} files",
            "give the folder that holds the photographs",
        )
    photos = sorted(dict(finds.photos).items(), key=lambda entry: os.fsencode(entry[0]))
    refused = sorted(finds.refused, key=lambda photo: photo.name)
    return Listing(folder, tuple(photos), tuple(refused))


def photo_folder(root: Path) -> Path:
    """The folder that is read for a root: its ``images`` folder if it has one, else itself.

    Raises PipelineError where the root is missing, is a file, or cannot be opened.
    """
    try:
        if not root.exists():
            raise PipelineError(
                "Photo folder missing", f"{root} does not exist", "check the path's spelling"
            )
        if not root.is_dir():
            raise PipelineError(
                "Not a photo folder",
                f"{root} is a file, and not a video that is known by its name",
                "give the folder that holds the photographs, or a video "
                f"({', '.join(sorted(VIDEO_SUFFIXES))})",
            )
        folder = folder_read(root)
        with os.scandir(folder):
            return folder
    except OSError as error:
        raise _unreadable_folder(root, error) from error


def _unreadable_folder(folder: Path, error: OSError) -> PipelineError:
    return PipelineError(
        "Photo folder unreadable",
        f"{folder} cannot be opened: {error.strerror}",
        "check the permissions of the folder and of those above it",
    )


def _walk(folder: Path, root: Path, seen: set[Identity], finds: _Finds) -> None:
    """Sort in everything below `folder`; `seen` ends the loops that links can make."""
    try:
        identity = _identity(folder)
        if identity in seen:
            return
        seen.add(identity)
        entries = list(_visible_entries(folder))
    except OSError as error:
        if folder == root:
            raise _unreadable_folder(folder, error) from error
        name = _relative_name(folder, root)
        reason = f"the folder cannot be opened: {error.strerror}"
        finds.refused.append(RefusedPhoto(_printable(name) + "/", reason))
        return
    for entry in entries:
        path = folder / entry.name
        try:
            is_folder = entry.is_dir()
        except OSError:
            is_folder = False  # a link that leads in circles; as a file it is refused with a reason
        if is_folder:
            _walk(path, root, seen, finds)
        else:
            _sort_in(_relative_name(path, root), path, finds)


def _visible_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    yield from sorted(visible, key=lambda entry: os.fsencode(entry.name))


def _sort_in(name: str, path: Path, finds: _Finds) -> None:
    """Put one file with the photographs, with the refused, or (another kind of file) nowhere."""
    suffix = path.suffix.lower()
    reason = ""
    if suffix in VIDEO_SUFFIXES:
        reason = "a video among photographs is not read; run it on its own"
    elif suffix in UNREAD_PICTURES:
        reason = f"{suffix[1:].upper()} is not read; convert it to {FORMATS_IN_WORDS}"
    elif suffix not in PHOTO_SUFFIXES:
        return
    elif not _is_unicode(name):
        reason = "its name is not valid UTF-8; rename it"
    else:
        reason = _why_no_file(path)
    if reason:
        finds.refused.append(RefusedPhoto(_printable(name), reason))
    else:
        finds.photos.append((name, path))


def _why_no_file(path: Path) -> str:
    """Why the path is no file that could be opened, or ""."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "the link leads to a file that does not exist"
    except OSError as error:
        return f"it cannot be reached: {error.strerror}"
    return "" if stat.S_ISREG(mode) else "it is not a regular file"


def _identity(folder: Path) -> Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _relative_name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _is_unicode(name: str) -> bool:
    """Whether the bytes of a file name are UTF-8 (Python marks the others with surrogates)."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")
