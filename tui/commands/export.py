"""`barfield export`: a run's model or mesh in the form that another program reads."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.compare import MODEL, Model
from tui.commands.options import AsJson, Run, named_path
from tui.failures import WrongUsage

if TYPE_CHECKING:
    from pipeline.export_request import Format

_FORMATS = "colmap, nerfstudio, instant-ngp, llff, ply, glb, obj, nvm, tum or opensfm."
_OUT = "Folder, or a file for ply and glb (out.ply, out.glb); usually RUN/export/FORMAT."
_SILENT_S = 1.0  # links are made in an instant


def export(
    run: Run,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help=_FORMATS)],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER_OR_FILE", parser=named_path, help=_OUT)
    ] = None,
    model: Annotated[Model, typer.Option(help=MODEL)] = Model.best,
    as_json: AsJson = False,
) -> None:
    """Write RUN's cameras and points, or its mesh, for another program.

    Photographs go along as hard links where the disk allows it, else as copies; undistorted where
    the format has no distortion. A former export of the same format is replaced, nothing else.
    """
    from pipeline import commands
    from pipeline.export_request import ExportRequest
    from tui.counted_lines import CountedLines
    from tui.runs import resolve_run

    request = ExportRequest(known_format(format), model.value, out)
    lines = CountedLines("photographs", sys.stderr.isatty())
    begins: list[float] = []

    def tell(done: int, total: int) -> None:
        begins.append(time.monotonic())
        spent = begins[-1] - begins[0]  # the first photograph waits for what is loaded
        if spent >= _SILENT_S:
            lines.show(done, total, spent / (done - 1) * (total - done))

    made = commands.export(resolve_run(run), request, tell)
    typer.echo(json.dumps(made, indent=1) if as_json else "\n".join(in_words(made)))


def known_format(name: str) -> Format:
    """The format of that name. Raises WrongUsage, naming the nearest, where there is none."""
    import difflib

    from pipeline.export_request import FORMATS

    for known in FORMATS:
        if known == name.lower():
            return known
    nearest = difflib.get_close_matches(name.lower(), FORMATS, n=1, cutoff=0.4)
    listed = f"Formats: {', '.join(FORMATS)}."
    hint = f"Did you mean {nearest[0]}? {listed}" if nearest else listed
    raise WrongUsage("Unknown format", f"--format: there is no format {name}.", hint)


def in_words(made: dict[str, Any]) -> list[str]:
    """What was written, in lines for people."""
    from tui.words import near

    how = {"linked": "as hard links", "copied": "copied", "written": "made anew"}
    parts = [f"{made[key]} {words}" for key, words in how.items() if made[key]]
    size = f" ({made['bytes'] / 1e6:.1f} MB)" if made["bytes"] else ""
    photographs = f"; photographs: {', '.join(parts)}{size}" if parts else ""
    of = _held(made["holds"]) or (
        f"{made['model']} with {made['photographs']} cameras and {made['points']} points"
    )
    return [f"{near(Path(made['out']))}: {of}{photographs}", *made["notes"]]


def _held(holds: dict[str, dict[str, int]]) -> str:
    """What files of points and meshes hold; each with its name where there are several."""
    words = {
        file: " and ".join(f"{count} {kind}" for kind, count in held.items())
        for file, held in holds.items()
    }
    if len(words) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{file} with {held}" for file, held in words.items())
