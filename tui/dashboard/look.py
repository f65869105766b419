"""What the terminal can show, the signs that stand for states, and text that cannot harm it."""

from __future__ import annotations

import codecs
import locale
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.words import one_line

MOST_NAME = 300
_SIGNS = {
    "waiting": "·", "started": "▶", "done": "✓", "skipped": "≡", "stale": "~", "stopped": "■",
    "failed": "✗", "paused": "‖", "stopping": "■", "interrupted": "■",
}  # fmt: skip
_ASCII_SIGNS = {
    "waiting": ".", "started": ">", "done": "+", "skipped": "=", "stale": "~", "stopped": "#",
    "failed": "X", "paused": "|", "stopping": "#", "interrupted": "#",
}  # fmt: skip
STATE_STYLES = {
    "started": "bold", "done": "green", "skipped": "dim", "stale": "yellow", "stopped": "yellow",
    "failed": "bold red", "paused": "yellow", "stopping": "yellow", "waiting": "dim",
}  # fmt: skip
LEVEL_STYLES = {"info": "dim", "warning": "yellow", "error": "bold red"}
_REPLACEMENTS = {
    "…": ".", "─": "-", "━": "-", "│": "|", "┃": "|", "█": "#", "▀": "#", "▄": "#", "▌": "|",
    "▐": "|", "✓": "+", "✗": "X", "▶": ">", "·": ".", "×": "x", "–": "-", "—": "-", "•": "*",
    "⭘": "o", "▼": "v", "▲": "^", "□": "o",
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How things are drawn.

    unicode: braille, blocks and signs, or ASCII alone. color: else only words and weights tell.
    pictures: half-block pictures, one every `picture_s` seconds. panel_s: seconds that a panel
    stays as it is.
    """

    unicode: bool = True
    color: bool = True
    pictures: bool = True
    light: bool = False
    picture_s: float = 5.0
    panel_s: float = 1.0

    def sign(self, state: str) -> str:
        """The sign of a state, one cell wide."""
        return (_SIGNS if self.unicode else _ASCII_SIGNS).get(state, "?")

    def bar(self, share: float, width: int) -> str:
        """A bar that is full for a share of 1."""
        full = round(max(0.0, min(1.0, share)) * width)
        return (
            ("█" * full + "░" * (width - full))
            if self.unicode
            else ("#" * full + "-" * (width - full))
        )

    def without_pictures(self) -> Look:
        """The same, without pictures."""
        return replace(self, pictures=False)


def look_of(environment: Mapping[str, str]) -> Look:
    """What the terminal of a process can show, by its environment.

    ASCII where the locale is not UTF-8 or BARFIELD_ASCII is set; no colour (and so no pictures)
    with NO_COLOR; light where COLORFGBG says that the background is light.
    """
    unicode = _is_utf8(environment) and not environment.get("BARFIELD_ASCII")
    color = not environment.get("NO_COLOR")
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    light = background.isdigit() and int(background) in (7, *range(9, 16))
    return Look(unicode=unicode, color=color, pictures=unicode and color, light=light)


def _is_utf8(environment: Mapping[str, str]) -> bool:
    given = next(
        filter(None, (environment.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))), ""
    )
    encoding = given.rpartition(".")[2].partition("@")[0] if "." in given else ""
    try:
        return codecs.lookup(encoding or locale.getencoding()).name == "utf-8"
    except LookupError:
        return False


def environment_look() -> Look:
    """What this process's terminal can show."""
    return look_of(os.environ)


def safe(text: str, longest: int = MOST_NAME) -> str:
    """Text of files, engines and logs for one line, as `one_line` makes it: nothing in it steers
    the terminal or turns what follows around. A name of megabytes costs no more than a long one."""
    return one_line(text[: longest + 1], longest)


class AsciiFilter(LineFilter):
    """Lets nothing but ASCII reach a terminal that would show something else in its place."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with a sign of equal width for each character."""
        return [Segment(_ascii(s.text), s.style, s.control) for s in segments]


def _ascii(text: str) -> str:
    return text if text.isascii() else "".join(map(_ascii_sign, text))


def _ascii_sign(character: str) -> str:
    if character.isascii():
        return character
    known = _REPLACEMENTS.get(character)
    if known is not None:
        return known
    plain = unicodedata.normalize("NFKD", character)[:1]
    wide = unicodedata.east_asian_width(character) in "WF"
    sign = plain if plain.isascii() else ("" if unicodedata.combining(character) else "?")
    return sign + "?" * (wide and bool(sign))


def joined(parts: Sequence[str], between: str = "  ") -> str:
    """The parts that say something."""
    return between.join(part for part in parts if part)
