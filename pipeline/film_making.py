"""Makes the films that clients of an engine ask for: `renders/NAME.mp4`, or a GIF.

For a worker process of its own. A film is rendered frame by frame into a folder beside its place,
with a name that counts as a leftover; only the finished file gets its name, by a rename.
"""

from __future__ import annotations

import importlib.util
import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.atomic_files import TEMPORARY_SUFFIX, storage_error, sync
from pipeline.errors import PipelineError
from pipeline.machine import usable_cores
from pipeline.render_request import Format, RenderProgress, RenderRequest

FOLDER = "renders"
MOST_GIF_PIXELS = 400_000_000
"""All frames together: whoever writes a GIF has them in memory, a byte for each pixel."""

_ENDINGS = (".mp4", ".gif", ".webm", "")
_WITHOUT_AV = "a GIF, because MP4 needs PyAV (pip install 'barfield[video]')"


def free_name(root: Path, wanted: str) -> str:
    """The name of a film that is not there yet; of our own choice where none is wanted.

    Raises PipelineError where the wanted one is taken: a film is not replaced.
    """
    if not wanted:
        numbered = (f"film-{number}" for number in itertools.count(1))
        return next(name for name in numbered if not _taken(root, name))
    if _taken(root, wanted):
        raise PipelineError(
            "The film is there", f"{FOLDER}/ has a film {wanted} already.", "Choose another name."
        )
    return wanted


def check_size(frames: int, width: int, height: int) -> None:
    """Raises PipelineError for a film that can only be a GIF, and is too large for one.

    The worker looks again, and knows better whether PyAV works; but there the film would fail some
    seconds after it was accepted.
    """
    if importlib.util.find_spec("av") is None:
        _check_gif(frames, width, height)


def make_film(
    root: Path, name: str, request: RenderRequest, tell: Callable[[RenderProgress], None]
) -> tuple[str, str]:
    """Render a run's newest field along a path; the name of the file in `renders/`, and in words
    what is other than usual.

    request: its format, path and folder are decided here. Raises PipelineError where there is no
    field, and for what the user can mend; then nothing is left.
    """
    import torch

    from pipeline.field_reading import read_newest_field
    from pipeline.radiance.films import render_film
    from pipeline.radiance.pictures import check_video_extra

    kind: Format = "mp4"
    note = ""
    try:
        check_video_extra()
    except PipelineError:
        kind, note = "gif", _WITHOUT_AV
        if request.frames is not None and request.size is not None:
            _check_gif(request.frames, *request.size)
    # A worker's libraries get a thread each, for items side by side; here there is one thing to do.
    torch.set_num_threads(usable_cores())
    work = work_folder(root, name)
    request = replace(request, path=name, format=kind, out=work)
    found = read_newest_field(root)
    remove_work(root, name)
    try:
        made = render_film(found.arrays, found.fingerprint, request, work, tell)
        file = f"{name}.{kind}"
        try:
            Path(made["result"]).replace(root / FOLDER / file)
            sync(root / FOLDER)
        except OSError as error:
            raise storage_error(error, root / FOLDER / file) from error
    finally:
        remove_work(root, name)
    return file, note


def work_folder(root: Path, name: str) -> Path:
    """Where the frames of a film lie while it is made."""
    return root / FOLDER / f".{name}.film{TEMPORARY_SUFFIX}"


def remove_work(root: Path, name: str) -> None:
    """Remove the frames of a film that is done, or that nobody makes any more."""
    shutil.rmtree(work_folder(root, name), ignore_errors=True)


def _taken(root: Path, name: str) -> bool:
    return any((root / FOLDER / f"{name}{ending}").exists() for ending in _ENDINGS)


def _check_gif(frames: int, width: int, height: int) -> None:
    """Raises PipelineError for more frames than a GIF can hold."""
    pixels = frames * width * height
    if pixels > MOST_GIF_PIXELS:
        raise PipelineError(
            "Too large for a GIF",
            f"without PyAV the film would be a GIF, and {pixels // 10**6} million pixels in all "
            f"are too many for one ({MOST_GIF_PIXELS // 10**6} million).",
            "pip install 'barfield[video]', or take a smaller size or fewer frames.",
        )
