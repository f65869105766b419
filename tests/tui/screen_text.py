"""What a terminal of some size shows after the bytes that a program has sent.

It knows what Textual sends (moves, text, colours, erasing) and passes over the rest (modes, titles,
questions).
"""

from __future__ import annotations

import codecs
import re

from rich.cells import cell_len

_ESCAPE = re.compile(
    r"\x1b\[(?P<parameters>[0-9;:?<>=]*)[ -/]*(?P<final>[@-~])"  # CSI
    r"|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS and their like, to the end of the string
    r"|\x1b(?![\[\]P_^X])[ -/]*[0-~]"
)
_BEGIN_OF_ESCAPE = re.compile(r"\x1b(?:[\]P_^X][^\x07\x1b]*\x1b?|\[[0-9;:?<>=]*[ -/]*|[ -/]*)\Z")

_BLANK = " ", ""


class ScreenText:
    """A screen to which a program writes. `feed` takes bytes as they come."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._row = self._column = 0
        self._style = ""
        self._cells = self._blank()

    @property
    def text(self) -> str:
        """All lines, without the blanks at their ends."""
        return "\n".join("".join(cell[0] for cell in row).rstrip() for row in self._cells)

    @property
    def look(self) -> list[tuple[str, str]]:
        """Every cell with its style, as far as it differs from those of others."""
        return [cell for row in self._cells for cell in row]

    def feed(self, data: bytes) -> None:
        """Take what the program has sent."""
        told = self._rest + self._decoder.decode(data)
        # What may be the beginning of an escape sequence waits for its end.
        begun = _BEGIN_OF_ESCAPE.search(told)
        end = len(told) if begun is None else begun.start()
        self._rest = told[end:]
        at = 0
        for found in _ESCAPE.finditer(told, 0, end):
            self._write(told[at : found.start()])
            at = found.end()
            if found["final"] is not None:
                self._control(found["parameters"], found["final"])
        self._write(told[at:end])

    def _blank(self) -> list[list[tuple[str, str]]]:
        return [[_BLANK] * self.width for _ in range(self.height)]

    def _write(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self._column = 0
            elif character == "\n":
                self._line_feed()
            elif character >= " ":
                self._put(character)

    def _put(self, character: str) -> None:
        cells = cell_len(character)
        if cells == 0:
            return
        if self._column + cells > self.width:
            self._column = 0
            self._line_feed()
        row = self._cells[self._row]
        row[self._column] = character, self._style
        for column in range(self._column + 1, self._column + cells):
            row[column] = "", self._style
        self._column += cells

    def _line_feed(self) -> None:
        if self._row < self.height - 1:
            self._row += 1
        else:
            self._cells = [*self._cells[1:], [_BLANK] * self.width]

    def _control(self, parameters: str, final: str) -> None:
        if final == "m":
            self._style = "" if parameters in ("", "0") else self._style + parameters
        elif final == "h" and parameters == "?1049":
            self._cells = self._blank()
            self._row = self._column = 0
        if not re.fullmatch(r"[0-9;]*", parameters):
            return
        numbers = [int(number or 0) for number in parameters.split(";")]
        first, second = numbers[0], numbers[1] if len(numbers) > 1 else 0
        if final in "Hf":
            self._row = min(self.height, max(1, first)) - 1
            self._column = min(self.width, max(1, second)) - 1
        elif final in "AB":
            by = max(1, first) * (-1 if final == "A" else 1)
            self._row = min(self.height - 1, max(0, self._row + by))
        elif final in "CD":
            by = max(1, first) * (-1 if final == "D" else 1)
            self._column = min(self.width - 1, max(0, self._column + by))
        elif final == "G":
            self._column = min(self.width, max(1, first)) - 1
        elif final == "J" and first in (2, 3):
            self._cells = self._blank()
        elif final == "K":
            row = self._cells[self._row]
            begin = 0 if first in (1, 2) else self._column
            end = self._column + 1 if first == 1 else self.width
            row[begin:end] = [_BLANK] * (end - begin)
