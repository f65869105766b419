"""How good a radiance field is, as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from tui.report_view import console
from tui.words import duration_in_words


class CurveLines:
    """Says on a stream, as lines, how far the training of a scene is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, scene: str, point: Mapping[str, Any]) -> None:
        """A point of a curve."""
        parts = [scene, f"step {point['step']}", duration_in_words(point["seconds"])]
        parts.append(f"{point['train_psnr']:.2f} dB")
        if "rotation_deg" in point:
            parts.append(f"rotation {point['rotation_deg']:.3f} deg")
            parts.append(f"centres {point['centre']:.4f}")
        self._stream.write("  ".join(parts) + "\n")
        self._stream.flush()


def show_evaluation(judged: Mapping[str, Any]) -> None:
    """Held-out photographs, the verdict on the cameras, and their errors where they are known."""
    out = console()
    out.print(Text(judged["verdict"]))
    if judged["reason"]:
        out.print(Text(judged["reason"], style="yellow"))
    if judged["views"]:
        table = Table("held-out photograph", "PSNR, dB", "SSIM")
        for view in judged["views"]:
            table.add_row(Text(view["name"]), _number(view["psnr"], 2), _number(view["ssim"], 4))
        table.add_row("mean", _number(judged["psnr"], 2), _number(judged["ssim"], 4), style="bold")
        out.print(table)
        out.print(Text(f"No LPIPS: {judged['lpips_reason']}.", style="dim"))
    if judged["cameras"] is not None:
        out.print(_camera_table(judged["cameras"]))


def show_bench(found: Mapping[str, Any]) -> None:
    """A line for each scene, in the columns of the published tables."""
    table = Table("scene", "start, deg", "rotation, deg", "translation x 100", "centres x 100")
    for column in ("PSNR, dB", "SSIM", "time"):
        table.add_column(column)
    for row in found["rows"]:
        name, _, _ = row["name"].partition(",")
        start = row["start"].get("rotation_deg", row["start"].get("rotation_only_deg"))
        if not row["done"]:
            share = f"{100 * row['progress']:.0f} % done; the same command goes on"
            table.add_row(Text(name), _number(start, 3), share)
            continue
        end, cameras = row["end"], row["end"]["cameras"]
        figures = {**cameras, "psnr": end["psnr"], "ssim": end["ssim"]}
        table.add_row(
            Text(name), _number(start, 3), *_cells(figures), duration_in_words(row["seconds"])
        )
    if len(found["rows"]) > 1:
        table.add_row("mean", "", *_cells(found["mean"]), "", style="bold")
    out = console()
    out.print(table)
    for row in found["rows"]:
        reason = row["end"] and row["end"]["cameras"].get("reason")
        if reason:
            out.print(Text(f"{row['name']}: {reason}", style="yellow"))


def _cells(figures: Mapping[str, Any]) -> list[str]:
    lengths = [figures.get(name) for name in ("translation", "centre")]
    return [
        _number(figures.get("rotation_deg"), 3),
        *(_number(None if length is None else 100 * length, 3) for length in lengths),
        _number(figures["psnr"], 2),
        _number(figures["ssim"], 4),
    ]


def _camera_table(cameras: Mapping[str, Any]) -> Table:
    table = Table("cameras of", "photographs", "rotation, deg", "position", "of the scene size")
    for name, errors in cameras.items():
        if errors is None:
            table.add_row(name, "none", "", "", "")
        elif errors["rotation_mean_deg"] is None:
            table.add_row(name, str(errors["registered"]), Text(errors["reason"]), "", "")
        else:
            table.add_row(
                name,
                str(errors["registered"]),
                _number(errors["rotation_mean_deg"], 4),
                _number(errors["position_mean"], 6),
                _number(errors["position_mean_relative"], 6),
            )
    return table


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
