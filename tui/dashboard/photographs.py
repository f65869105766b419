"""The photographs: a table of verdicts, and a page of each."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Input

from tui.dashboard.keys import (
    LEAVE,
    OPEN_KEY,
    PAGE_KEYS,
    PHOTOGRAPH_KEYS,
    TABLE_KEYS,
    bindings,
    hint,
)
from tui.dashboard.long_list import LongList
from tui.dashboard.look import safe
from tui.dashboard.model import Model
from tui.dashboard.photographs_page import MOST_NEIGHBOURS, Page, PhotographPage
from tui.dashboard.photographs_table import ORDERS, PhotographTable, Rows, verdict_word
from tui.dashboard.pictures import MOST_CELLS
from tui.dashboard.screens import DashboardScreen
from tui.dashboard.widgets import Line, Prose

if TYPE_CHECKING:
    from pipeline.photograph_facts import Photographs

_WIDE_CELLS = 150
_PAUSE_S = 0.15  # after the last move, before a page is read
_DONE = ("done", "skipped", "stale")
_MAKERS = ("ingest", "features", "matching", "verification", "mapping")
_NOT_REGISTERED = "not registered"


class PhotographsScreen(DashboardScreen):
    """Every photograph, registered or not and why; Enter opens its page, which has a place of its
    own where there is room."""

    NAME: ClassVar[str] = "photographs"
    READS: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(PHOTOGRAPH_KEYS),
        LEAVE,
        Binding("up,down", "to_table", show=False),  # from the filter
    ]
    CSS = """
    PhotographsScreen #body { height: 1fr; layout: vertical; }
    PhotographsScreen #why { height: 2; }
    PhotographsScreen #filter { display: none; height: 1; border: none; padding: 0; }
    PhotographsScreen #page { display: none; height: 1fr; }
    PhotographsScreen.-page #page { display: block; }
    PhotographsScreen.-page #table, PhotographsScreen.-page #why { display: none; }
    PhotographsScreen.-wide #why { display: none; }
    PhotographsScreen.-wide #body { layout: horizontal; }
    PhotographsScreen.-wide #table { display: block; width: 1fr; margin: 0 2 0 0; }
    PhotographsScreen.-wide #page { display: block; width: 75; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._photographs: Photographs | None = None
        self._known: tuple[object, ...] | None = None
        self._blurry: frozenset[str] = frozenset()
        self._page_of: int | None = None
        # Held, not looked up: news may come when the screen has been taken apart already.
        self._head = Line(id="head")
        self._table = PhotographTable(self.dashboard.look, id="table")
        self._page = PhotographPage(self.dashboard.look, id="page")
        self._why = Prose(id="why")
        self._filter = Input(
            placeholder="words of the name or of the verdict", id="filter", compact=True
        )
        self._keys = Line(id="keys")

    def content(self) -> ComposeResult:
        """How many are registered; the table; the whole verdict of the marked one; the filter."""
        yield self._head
        with Container(id="body"):
            yield self._table
            yield self._page
        yield self._why
        yield self._filter
        yield self._keys

    def on_mount(self) -> None:
        """The keys go to the table."""
        self._table.focus()

    def on_resize(self, event: events.Resize) -> None:
        """Table and page side by side where there is room."""
        wide = event.size.width >= _WIDE_CELLS
        if wide != self.has_class("-wide"):
            self.set_class(wide, "-wide")
            self._view_page(False)
        self._page.set_class(not wide, "-alone")
        self._show_keys()

    def show(self, model: Model) -> None:
        """Read again what a stage has finished since."""
        known = tuple(
            (stage.name, stage.state, stage.seconds)
            for stage in model.stages
            if stage.name in _MAKERS and stage.state in _DONE
        )
        blurry = model.reports.get("ingest", {}).get("blurry")
        self._blurry = frozenset(map(str, blurry)) if isinstance(blurry, list) else frozenset()
        if known != self._known:
            self._known = known
            finished = {stage.name for stage in model.stages if stage.state in _DONE}
            # Without a state, as a run without an engine, all counts that is there.
            read = partial(self._read, known, finished if model.stages else frozenset(_MAKERS))
            self.run_worker(read, thread=True, group="photographs", exclusive=True)
        self._show_head()

    def on_long_list_moved(self, message: LongList.Moved) -> None:
        """Another photograph is marked."""
        message.stop()
        self._show_why()
        if self.has_class("-wide") or self.has_class("-page"):
            self.set_timer(_PAUSE_S, self._open_marked)

    def on_long_list_opened(self, message: LongList.Opened) -> None:
        """Show the page of a photograph."""
        message.stop()
        self._open_marked()
        if not self.has_class("-wide"):
            self._view_page(True)

    def on_input_changed(self, event: Input.Changed) -> None:
        """The filter follows what is typed."""
        self._table.set_filter(event.value)
        self._show_head()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The filter stays, the keys go to the table."""
        self._table.focus()
        if not event.value.strip():
            self._filter.display = False

    def action_leave(self) -> None:
        """From the page to the table, without the filter, back to the run."""
        if self.has_class("-page"):
            self._view_page(False)
        elif self._filter.display:
            self._filter.value = ""
            self._filter.display = False
            self._table.focus()
        else:
            self.dismiss()

    def action_filter(self) -> None:
        """Type words to look for."""
        self._view_page(False)
        self._filter.display = True
        self._filter.focus()

    def action_to_table(self) -> None:
        """The keys go to the table."""
        self._table.focus()

    def action_only_missing(self) -> None:
        """Show those that are not registered; again: all."""
        self._filter.value = "" if self._filter.value == _NOT_REGISTERED else _NOT_REGISTERED
        self._filter.display = bool(self._filter.value)

    def action_order(self, by: int) -> None:
        """Order by the next column; 0: turn the order round."""
        table = self._table
        table.set_order(table.order + by, None if by else not table.falling)
        self._show_head()

    def action_turn_page(self, by: int) -> None:
        """The photograph before or after, with its page."""
        self._table.action_move(by)

    def action_keypoints(self) -> None:
        """The picture with or without keypoints."""
        self._page.toggle_keypoints()

    def _view_page(self, on: bool) -> None:
        if on != self.has_class("-page"):
            self.set_class(on, "-page")
            (self._page if on else self._table).focus()
        self._show_keys()

    def _read(self, known: tuple[object, ...], finished: Collection[str]) -> None:
        # Here, in the thread: it brings numpy.
        from pipeline.photograph_facts import read_photographs

        photographs = read_photographs(self.dashboard.link.root, finished)
        rows = Rows.of(photographs.facts)
        self.app.call_from_thread(self._take, known, photographs, rows)

    def _take(self, known: tuple[object, ...], photographs: Photographs, rows: Rows) -> None:
        if known != self._known or not self.is_mounted:
            return  # an older look that took longer
        self._photographs = photographs
        self._page_of = None
        self._table.set_rows(rows, self._blurry)
        self._show_head()
        self._show_why()
        self.has_read()

    def _open_marked(self) -> None:
        """Read the page of the marked photograph, if it is not the one that is shown."""
        number, photographs = self._table.marked, self._photographs
        if number == self._page_of or photographs is None:
            return
        self._page_of = number
        if number is None:
            self._page.show(None)
            return
        self._page.show(Page(photographs.facts[number], is_read=False))
        pictures = self.dashboard.look.pictures
        read = partial(self._read_page, self.dashboard.link.root, photographs, number, pictures)
        self.run_worker(read, thread=True, group="page", exclusive=True)

    def _read_page(self, root: Path, photographs: Photographs, number: int, pictures: bool) -> None:
        page = page_of(root, photographs, number, pictures)
        self.app.call_from_thread(self._take_page, number, page)

    def _take_page(self, number: int, page: Page) -> None:
        if self.is_mounted and number == self._page_of:
            self._page.show(page)

    def _show_head(self) -> None:
        self._head.show(self._summary())

    def _summary(self) -> Text:
        text = Text(no_wrap=True)
        if self._photographs is None:
            return Text("Photographs: looking at what there is...", style="dim")
        facts, table = self._photographs.facts, self._table
        if not facts:
            return Text("No photographs yet: the stage ingest finds them.", style="dim")
        text.append(f"{len(facts)} photographs", style="bold")
        verdicts = [fact.registered for fact in facts if fact.registered is not None]
        missing = verdicts.count(False)
        if len(verdicts) > missing:
            text.append(f"  {len(verdicts) - missing} registered", style="green")
        if missing:
            text.append(f"  {missing} not registered", style="bold red")
        if len(verdicts) < len(facts):
            text.append(f"  {len(facts) - len(verdicts)} without a verdict yet", style="dim")
        if table.count < len(facts):
            text.append(f"  {table.count} shown", style="yellow")
        way = ", largest first" if table.falling else ""
        text.append(f"  by {ORDERS[table.order]}{way}", style="dim")
        if self._photographs.skipped_model:
            text.append("  too many to read errors", style="dim")
        if self._photographs.gaps:
            text.append(f"  not read: {safe('; '.join(self._photographs.gaps), 200)}", "yellow")
        return text

    def _show_why(self) -> None:
        number = self._table.marked
        if self._photographs is None or number is None:
            self._why.show("")
            return
        fact = self._photographs.facts[number]
        text = Text.assemble((safe(fact.name, 100), "bold"), f": {verdict_word(fact)}")
        if fact.registered is False:
            text.append(f": {safe(fact.reason)}")
        self._why.show(text)

    def _show_keys(self) -> None:
        keys = PAGE_KEYS if self.has_class("-page") else (OPEN_KEY, *TABLE_KEYS)
        if self.has_class("-wide"):
            keys = (*TABLE_KEYS, PAGE_KEYS[-1])
        self._keys.show(Text(hint(keys), style="dim"))


def page_of(root: Path, photographs: Photographs, number: int, pictures: bool) -> Page:
    """Read what the page of a photograph shows; blocks. number: in the facts. pictures: draw its
    keypoints."""
    from pipeline.photograph_facts import read_keypoints
    from tui.dashboard.photographs_picture import keypoints_picture, plain_picture

    fact = photographs.facts[number]
    neighbours = photographs.neighbours(number, MOST_NEIGHBOURS)
    known = tuple((neighbour, photographs.facts[neighbour.number]) for neighbour in neighbours)
    if fact.size is None:  # it was refused
        return Page(fact, known)
    found = read_keypoints(root, number, fact)
    sees = photographs.sees_point(number, len(found.keypoints))
    drawn = plain = b""
    if pictures and (found.thumbnail or len(found.keypoints)):
        drawn = keypoints_picture(found, sees, fact.size, MOST_CELLS)
        plain = plain_picture(found, fact.size, MOST_CELLS)
    return Page(fact, known, drawn, plain, int(sees.sum()), len(sees))
