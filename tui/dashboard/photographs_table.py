"""The table of photographs: its columns, its order, its filter."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from tui.dashboard.long_list import LongList, cell
from tui.dashboard.look import Look, safe

if TYPE_CHECKING:
    from pipeline.photograph_facts import PhotographFacts

_SIGN_CELLS = 2
_LEAST_NAME, _MOST_NAME, _LEAST_WHY = 12, 40, 18
_DIGITS = re.compile(r"(\d+)")
REGISTERED, NOT_REGISTERED, UNKNOWN = "registered", "not registered", "no verdict yet"


@dataclass(frozen=True)
class Column:
    """A column of numbers. width: cells with the gap before it. value: what it is ordered by; None
    where it is not known. shown: of a value. first: the table has to be this wide to show it."""

    title: str
    width: int
    value: Callable[[PhotographFacts], float | None]
    shown: Callable[[float], str] = "{:.0f}".format
    first: int = 0


COLUMNS: tuple[Column, ...] = (
    Column("keypoints", 10, lambda fact: fact.keypoints),
    Column("matches", 9, lambda fact: fact.matches),
    Column("inliers", 9, lambda fact: fact.inliers, first=90),
    Column("pairs", 7, lambda fact: fact.partners, first=97),
    Column("points", 8, lambda fact: fact.points, first=105),
    Column("error", 7, lambda fact: fact.error_px, "{:.2f}".format),
    Column("focal", 7, lambda fact: fact.focal_px),
    Column("sharp", 7, lambda fact: fact.sharpness),
)
# What the table can be ordered by: verdict, name, then each of the columns.
ORDERS = ("verdict", "name", *(column.title for column in COLUMNS))


@dataclass(frozen=True)
class Rows:
    """Photographs with what filter and order need of each: its words, and its place by name."""

    facts: Sequence[PhotographFacts] = ()
    texts: Sequence[str] = ()
    places: Sequence[int] = ()

    @staticmethod
    def of(facts: Sequence[PhotographFacts]) -> Rows:
        """Prepare many photographs; in a thread, because it takes a while."""
        texts = [f"{fact.name} {fact.reason} {verdict_word(fact)}".lower() for fact in facts]
        places = [0] * len(facts)
        keys = [natural(fact.name) for fact in facts]
        for place, i in enumerate(sorted(range(len(facts)), key=keys.__getitem__)):
            places[i] = place
        return Rows(facts, texts, places)


def verdict_word(fact: PhotographFacts) -> str:
    """Whether a photograph is registered, in words."""
    if fact.registered is None:
        return UNKNOWN
    return REGISTERED if fact.registered else NOT_REGISTERED


def verdict_sign(fact: PhotographFacts, look: Look) -> tuple[str, str]:
    """The same as a sign of one cell, and its style."""
    if fact.registered is None:
        return look.sign("waiting"), "dim"
    return (look.sign("done"), "green") if fact.registered else (look.sign("failed"), "bold red")


class PhotographTable(LongList):
    """Every photograph that passes the filter, in order; those that are not registered first,
    unless the user wants another order."""

    HEADER = 1

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._rows = Rows()
        self._shown: list[int] = []
        self._blurry: Collection[str] = frozenset()
        self._words: list[str] = []
        self._models = 0
        self.order = 0
        self.falling = False

    def set_rows(self, rows: Rows, blurry: Collection[str]) -> None:
        """Show these; the marked photograph stays marked. blurry: names of the blurry ones."""
        marked = self.marked
        self._blurry = frozenset(blurry)
        self._rows = rows
        self._models = len({fact.model for fact in rows.facts if fact.model is not None})
        self._arrange(marked)

    def set_filter(self, text: str) -> None:
        """Show those whose name and verdict contain every word."""
        words = text.lower().split()
        if words != self._words:
            self._words = words
            self._arrange(self.marked)

    def set_order(self, order: int, falling: bool | None = None) -> None:
        """Order by one of `ORDERS`. falling: the largest first; None: as suits it best."""
        self.order = order % len(ORDERS)
        self.falling = self.order >= 2 if falling is None else falling
        self._arrange(self.marked)

    @property
    def marked(self) -> int | None:
        """The number of the marked photograph in the facts; None where none is shown."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def line(self, number: int, width: int) -> Text:
        """A photograph."""
        fact = self._rows.facts[self._shown[number]]
        name, why = self._widths(width)
        sign, style = verdict_sign(fact, self._look)
        text = Text(no_wrap=True)
        text.append(f"{sign} ", style=style)
        text.append(cell(fact.name, name) + " ")
        text.append(_cut(self._why(fact), why), style="" if fact.registered is False else "dim")
        for column in _columns(width):
            value = column.value(fact)
            shown = "-" if value is None else column.shown(value)
            blurry = column.title == "sharp" and fact.name in self._blurry
            text.append(f"{shown:>{column.width}}", style="yellow" if blurry else "")
        return text

    def header(self, number: int, width: int) -> Text:
        """The titles, with a mark at what orders the table."""
        name, why = self._widths(width)
        mark = "▼" if self.falling else "▲"
        titles = [title + (mark if self.order == i else "") for i, title in enumerate(ORDERS)]
        text = Text(cell("", _SIGN_CELLS) + cell(titles[1].replace("name", "photograph"), name + 1))
        text.append(cell(titles[0], why))
        for column in _columns(width):
            title = titles[ORDERS.index(column.title)]
            text.append(f"{title:>{column.width}}")
        text.stylize("bold")
        return text

    def header_clicked(self, x: int) -> None:
        """Order by the column there; again: the other way round."""
        name, why = self._widths(self.columns)
        ends = [_SIGN_CELLS + name + 1, _SIGN_CELLS + name + 1 + why]
        orders = [1, 0]
        for column in _columns(self.columns):
            ends.append(ends[-1] + column.width)
            orders.append(ORDERS.index(column.title))
        order = next((order for end, order in zip(ends, orders, strict=True) if x < end), 0)
        self.set_order(order, not self.falling if order == self.order else None)

    def _why(self, fact: PhotographFacts) -> str:
        if not fact.registered:
            return fact.reason or verdict_word(fact)
        return f"model {fact.model}" if self._models > 1 else REGISTERED

    def _widths(self, width: int) -> tuple[int, int]:
        """Cells of the name and of the reason."""
        left = max(0, width - _SIGN_CELLS - 1 - sum(column.width for column in _columns(width)))
        longest = max((len(fact.name) for fact in self._rows.facts[:1000]), default=0)
        most = max(_LEAST_NAME, min(_MOST_NAME, left - _LEAST_WHY))
        name = max(_LEAST_NAME, min(most, longest))
        return name, max(0, left - name)

    def _arrange(self, marked: int | None) -> None:
        texts = enumerate(self._rows.texts)
        chosen = [i for i, text in texts if all(word in text for word in self._words)]
        keys = {i: self._key(i) for i in chosen}
        known = [i for i in chosen if keys[i] is not None]
        known.sort(key=keys.__getitem__, reverse=self.falling)
        # What is not known is neither large nor small: it comes last either way.
        self._shown = known + [i for i in chosen if keys[i] is None]
        cursor = self._shown.index(marked) if marked in set(self._shown) else 0
        self.set_lines(len(self._shown), cursor)
        self.post_message(self.Moved(self.cursor))

    def _key(self, number: int) -> Any:
        """What a photograph is ordered by; None where it is not known."""
        if self.order >= 2:
            return COLUMNS[self.order - 2].value(self._rows.facts[number])
        place = self._rows.places[number]
        return place if self.order else (_rank(self._rows.facts[number]), place)


def _cut(text: str, width: int) -> str:
    """Words in exactly so many cells; their beginning says the most."""
    clean = safe(text)
    return (
        set_cell_size(clean, width)
        if cell_len(clean) <= width
        else (set_cell_size(clean, max(0, width - 1)) + "…")
    )


def _columns(width: int) -> list[Column]:
    return [column for column in COLUMNS if width >= column.first]


def _rank(fact: PhotographFacts) -> int:
    return 1 if fact.registered is None else 2 * fact.registered


def natural(name: str) -> list[tuple[int, str]]:
    """A key that orders 9.jpg before 10.jpg."""
    parts = _DIGITS.split(name[:1000].lower())
    return [(int(part[:18]) if part.isdecimal() else 0, part) for part in parts]
