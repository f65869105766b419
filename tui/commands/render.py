"""`barfield render`: pictures and films of a radiance field along a camera's way."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tui.commands.options import AsJson, Run

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
    from pipeline.render_request import RenderProgress, RenderRequest
    from tui.counted_lines import CountedLines
    from tui.runs import resolve_run
    from tui.words import near

    lines = CountedLines("frames", sys.stderr.isatty())

    def show(progress: RenderProgress) -> None:
        lines.show(progress.done, progress.total, progress.left_s)

    request = RenderRequest(path, frames, _size(size), fps, kind, depth, out)
    made = commands.render(resolve_run(run), request, show)
    if as_json:
        typer.echo(json.dumps(made, indent=1))
        return
    of = "the trained field" if made["step"] is None else f"the field at step {made['step']}"
    kept = f", {made['kept']} of them kept" if made["kept"] else ""
    typer.echo(f"{near(Path(made['result']))}: {made['frames']} frames of {of}{kept}")


def _size(text: str | None) -> tuple[int, int] | None:
    """Width and height of `640x480`. Raises typer.BadParameter for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (8 <= width <= _MOST_PX and 8 <= height <= _MOST_PX):
        raise typer.BadParameter(f"{text} is no size: 640x480, from 8 to {_MOST_PX} pixels a side.")
    return width, height
