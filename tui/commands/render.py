"""`barfield render`: pictures and films of a radiance field along a camera's way."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tui.commands.options import AsJson, Run

if TYPE_CHECKING:
    from pipeline.render_request import RenderProgress

SECONDS_BETWEEN_LINES = 2.0
_MOST_PX = 8192
_PATH = "orbit, spiral, cameras (through the photographs), or a JSON file of cameras."


def render(
    run: Run,
    path: Annotated[str, typer.Option("--path", metavar="PATH", help=_PATH)] = "orbit",
    frames: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="How many; usually 72, or the file's.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="In pixels; usually as the field learned.")
    ] = None,
    fps: Annotated[float, typer.Option(min=0.1, max=120.0, help="Frames a second.")] = 24.0,
    kind: Annotated[
        Literal["png", "gif", "mp4"],
        typer.Option("--format", help="mp4 needs the extra `video`; frames are kept as PNG."),
    ] = "gif",
    depth: Annotated[bool, typer.Option("--depth", help="Depths too, in 16 bits.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the result; usually RUN/renders/PATH.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Move a camera through RUN's radiance field, also while it is being trained.

    The newest state counts: while a field is trained anew that is its last checkpoint, not the
    field from before; the last line says of which step it is. What is there already of the same
    field and path is kept: the same command goes on.
    """
    from pipeline import commands
    from pipeline.render_request import RenderRequest
    from tui.runs import resolve_run
    from tui.words import near

    request = RenderRequest(path, frames, _size(size), fps, kind, depth, out)
    made = commands.render(resolve_run(run), request, _Lines(sys.stderr.isatty()).show)
    if as_json:
        typer.echo(json.dumps(made, indent=1))
        return
    of = "the trained field" if made["step"] is None else f"the field at step {made['step']}"
    kept = f", {made['kept']} of them kept" if made["kept"] else ""
    typer.echo(f"{near(Path(made['result']))}: {made['frames']} frames of {of}{kept}")


class _Lines:
    """Says on stderr how far it is: in one line on a terminal, else in a line now and then."""

    def __init__(self, changing: bool) -> None:
        self._changing = changing
        self._next = 0.0

    def show(self, progress: RenderProgress) -> None:
        from tui.words import duration_in_words

        now, last = time.monotonic(), progress.done == progress.total
        if now < self._next and not last:
            return
        self._next = now + (0.1 if self._changing else SECONDS_BETWEEN_LINES)
        left = "" if progress.left_s is None else f"  {duration_in_words(progress.left_s)} left"
        line = f"{progress.done}/{progress.total} frames{left}"
        if self._changing:
            sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _size(text: str | None) -> tuple[int, int] | None:
    """Width and height of `640x480`. Raises typer.BadParameter for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (8 <= width <= _MOST_PX and 8 <= height <= _MOST_PX):
        raise typer.BadParameter(f"{text} is no size: 640x480, from 8 to {_MOST_PX} pixels a side.")
    return width, height
