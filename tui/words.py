"""How durations, progress and names are put into words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.engine.messages import StageView

_LONGEST_DOING = 40


def duration_in_words(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 05 min`, `4 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 24 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // (24 * 3600)} d {whole % (24 * 3600) // 3600} h"


def amount_in_words(stage: StageView) -> str:
    """How much of a stage is done: `12/40 photos`, `1 step`; "" while nothing is known."""
    if not stage.unit:
        return ""
    of = f"/{stage.total}" if stage.total is not None else ""
    is_one = (stage.done if stage.total is None else stage.total) == 1
    return f"{stage.done}{of} {stage.unit.removesuffix('s') if is_one else stage.unit}"


def speed_in_words(stage: StageView) -> str:
    """Rate and time left as far as they are known: `1.5/s  8 s left`."""
    parts = []
    if stage.rate is not None:
        parts.append(f"{stage.rate:.1f}/s")
    if stage.left_s is not None:
        parts.append(f"{duration_in_words(stage.left_s)} left")
    return "  ".join(parts)


def progress_in_words(stage: StageView) -> str:
    """Done, rate, time left, what happens now and the last checkpoint, for one line."""
    saved = f"saved at {stage.checkpoint_step}" if stage.checkpoint_step is not None else ""
    doing = one_line(stage.doing, _LONGEST_DOING)
    parts = (amount_in_words(stage), speed_in_words(stage), doing, saved)
    return "  ".join(part for part in parts if part)


def one_line(text: str, longest: int) -> str:
    """Text with names of files, which may hold newlines and escapes, cut to a length."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def as_sentence(text: str) -> str:
    """Text that ends as a sentence does; "" stays ""."""
    stripped = text.strip()
    return f"{stripped}." if stripped and stripped[-1] not in ".!?" else stripped


def as_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the cells of each column below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def near(path: Path) -> Path:
    """The path as seen from the current folder, where it is below that."""
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path
