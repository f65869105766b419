"""The parameters: a form made of the schema, to look up, change and save while the run goes on.

What is changed here is a draft until it is applied; what a draft would do is told before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import JsonValue
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Input

from tui.dashboard.keys import APP_KEYS, PARAMETER_KEYS, Key, bindings
from tui.dashboard.look import safe
from tui.dashboard.model import Model
from tui.dashboard.parameters_changing import ChangingScreen
from tui.dashboard.parameters_detail import detail_text, history_text
from tui.dashboard.parameters_editor import SearchField, ValueEditor
from tui.dashboard.parameters_effect import history, reach_of
from tui.dashboard.parameters_form import value_as_typed
from tui.dashboard.parameters_rows import NAME_CELLS, VALUE_CELLS, Choosing, rows_of
from tui.dashboard.parameters_table import ParametersTable, Row
from tui.dashboard.widgets import Line, Prose

_WIDE_CELLS = 130
_TALL_LINES = 32
_EDITOR_AT = 2 + NAME_CELLS  # after the cursor, the sign of a draft and the name


def _own_keys() -> tuple[Key, ...]:
    """The app's keys as they are on this screen: those that leave it ask about drafts first; the
    footer is for the screen's own."""
    asks = ("open", "detach")
    return tuple(
        replace(
            key,
            action=key.action if key.action.startswith(asks) else f"app.{key.action}",
            footer="help" in key.action,
        )
        for key in APP_KEYS
    )


class ParametersScreen(ChangingScreen):
    """Every parameter, by stage."""

    NAME: ClassVar[str] = "parameters"
    READS: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(PARAMETER_KEYS, priority=True),
        *bindings(_own_keys()),
    ]
    CSS = """
    ParametersScreen #body { layout: vertical; height: 1fr; }
    ParametersScreen #form { height: 1fr; width: 1fr; }
    ParametersScreen #editor { position: absolute; }
    ParametersScreen #side { height: 8; padding: 0 1; border-top: solid $boost; }
    ParametersScreen.-tall #side { height: 12; }
    ParametersScreen #recent { display: none; height: auto; margin: 1 0 0 0; }
    ParametersScreen #preview { display: none; padding: 0 1; background: $warning 30%;
        color: $text; }
    ParametersScreen #preview.-on { display: block; }
    ParametersScreen #history { display: none; height: 1fr; padding: 0 1; }
    ParametersScreen.-history #history { display: block; }
    ParametersScreen.-history #body { display: none; }
    ParametersScreen.-wide #body { layout: horizontal; }
    ParametersScreen.-wide #side { width: 62; height: 1fr; padding: 0 1; border-top: none;
        border-left: solid $boost; }
    ParametersScreen.-wide #recent { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._choosing = Choosing()
        self._editing = ""
        self._typed: JsonValue = None
        self._message = ""
        self._drawn: object = None

    def content(self) -> ComposeResult:
        """From the top: what is shown, what the drafts would do, a search, the form, help."""
        yield Line(id="title")
        yield Prose(id="preview")  # not at the bottom, where the answers cover it
        yield SearchField()
        with Container(id="body"):
            with Container(id="form"):
                yield ParametersTable(self.dashboard.look, id="table")
                yield ValueEditor()
            with Vertical(id="side"):
                yield Prose(id="detail")
                yield Prose(id="recent")
        with VerticalScroll(id="history"):
            yield Prose(id="changes")

    def on_mount(self) -> None:
        """The keys go to the table."""
        super().on_mount()
        self.set_focus(self.table)

    @property
    def table(self) -> ParametersTable:
        """The form."""
        return self.query_one(ParametersTable)

    @property
    def editor(self) -> ValueEditor:
        """Where a value is typed."""
        return self.query_one(ValueEditor)

    @property
    def search(self) -> SearchField:
        """Where the search is typed."""
        return self.query_one(SearchField)

    def show(self, model: Model) -> None:
        """Show the parameters as they are, and ask again where they have changed."""
        self.keep_up(model)
        self.query_one("#title", Line).show(self._title(model))
        self._show_rows(model)
        self._show_preview(model)
        self._show_side(model)

    def on_resize(self, event: events.Resize) -> None:
        """Beside each other where there is room."""
        self.set_class(event.size.width >= _WIDE_CELLS, "-wide")
        self.set_class(event.size.height >= _TALL_LINES, "-tall")
        self._drawn = None
        self.call_after_refresh(self.show_now)
        self.call_after_refresh(self._place_editor)

    def on_parameters_table_moved(self) -> None:
        """Tell of the parameter at the cursor."""
        if self._editing != self.table.selected:  # one may type before this message comes
            self._stop_editing()
        self.show_now()

    def on_parameters_table_chosen(self) -> None:
        """Edit what was clicked at twice."""
        self.action_edit()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Look at each key: is it possible, and what would it do?"""
        if event.input is self.search:
            self._choosing.search = event.value
        elif self._editing:
            self._check(event.value)
        self.show_now()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep a value as a draft; from the search, go to what was found."""
        if event.input is self.search:
            self.search.display = bool(self.search.value)
            self.set_focus(self.table)
            return
        self._check(event.value)
        if not self._message:
            self._draft(self._editing, self._typed)
            self._stop_editing()
        self.show_now()

    def action_edit(self) -> None:
        """Type a value for the parameter at the cursor."""
        field = self.drafts.fields.get(self.table.selected)
        if field is None or self.dashboard.readonly:
            return
        self._editing, self._message = field.name, ""
        self._typed = self.drafts.value(field)
        self._place_editor()
        self.editor.open(value_as_typed(self._typed), [value_as_typed(v) for v in field.steps])
        self.show_now()

    def action_step(self, by: int) -> None:
        """The next choice of the parameter at the cursor, where it has some."""
        field = self.drafts.fields.get(self.table.selected)
        if field is None or not field.steps:
            return
        value = self.drafts.value(field)
        at = field.steps.index(value) + by if value in field.steps else 0
        self._draft(field.name, field.steps[at % len(field.steps)])
        self.show_now()

    def action_default(self) -> None:
        """Draft the default of the parameter at the cursor."""
        field = self.drafts.fields.get(self.table.selected)
        if field is not None:
            self._draft(field.name, field.view.default)
            self.show_now()

    def action_search(self) -> None:
        """Look for parameters."""
        self.set_class(False, "-history")
        self.search.open()

    def action_filter(self) -> None:
        """All, those that are taken live, those that differ from their default."""
        self._choosing.turn()
        self.show_now()

    def action_history(self) -> None:
        """Who changed what and when, in the place of the form; again: back."""
        self._stop_editing()
        self.toggle_class("-history")
        changes = self.query_one("#history", VerticalScroll)
        self.set_focus(changes if self.has_class("-history") else self.table)
        self.show_now()

    def action_leave(self) -> None:
        """One step back: from typing, the history, a search; then to the run."""
        if self._editing:
            self._stop_editing()
            self.show_now()
        elif self.has_class("-history"):
            self.action_history()
        elif self.search.display or self.search.value:
            self.search.close()
            self.set_focus(self.table)
            self.show_now()
        else:
            self.action_open(self.NAME)

    def _draft(self, name: str, value: JsonValue) -> None:
        wrong = self.drafts.draft(name, value)
        if wrong:
            self.dashboard.say(safe(wrong), wrong=True)

    def _check(self, text: str) -> None:
        self._typed, self._message = self.drafts.read(self._editing, text)

    def _stop_editing(self) -> None:
        if self._editing:
            self._editing, self._message = "", ""
            self.editor.close()
            self.set_focus(self.table)

    def _place_editor(self) -> None:
        if self._editing:
            width = VALUE_CELLS - 1
            self.editor.styles.width = width
            self.editor.styles.offset = (_EDITOR_AT, self.table.cursor_line)

    def _effect(self, model: Model) -> str:
        """What the drafts, and what is being typed, would do."""
        typed = {self._editing: self._typed} if self._editing and not self._message else {}
        return self.drafts.effect(model.stages, typed).in_words()

    def _show_rows(self, model: Model) -> None:
        drafts, choosing, width = self.drafts, self._choosing, self.table.columns
        stages = tuple((stage.name, model.state_of(stage)) for stage in model.stages)
        wrong = self._editing, self._message
        key = (drafts.looks, repr(drafts.values), stages, width, wrong, choosing.only,
               choosing.search)  # fmt: skip
        if key == self._drawn:
            return
        self._drawn = key
        look = self.dashboard.look
        rows = rows_of(drafts.fields, drafts.values, choosing, stages, wrong, look, width)
        self.table.show(rows, self._first(model, rows))
        self._place_editor()

    def _first(self, model: Model, rows: Sequence[Row]) -> str:
        """Where the cursor is when the screen opens: at the stage that runs."""
        if self.table.selected or not rows:
            return ""
        stage = model.current.name if model.current is not None else ""
        names = [row.name for row in rows if row.name.partition(".")[0] == stage]
        live = [name for name in names if self.drafts.fields[name].view.applies == "live"]
        return next(iter(live or names), "")

    def _show_preview(self, model: Model) -> None:
        preview = self.query_one("#preview", Prose)
        effect = self._effect(model) if self.drafts.values else ""
        preview.set_class(bool(self.drafts.values), "-on")
        if self.drafts.values:
            told = (
                f"{self.drafts.counted()} to apply: {effect}" if effect else self.drafts.counted()
            )
            keys = "a applies, z" if self.drafts.applicable() else "z"
            preview.show(safe(f"{told}. {keys} drops the last."))

    def _show_side(self, model: Model) -> None:
        entries = history(model)
        if self.has_class("-history"):
            self.query_one("#changes", Prose).show(history_text(entries))
            return
        field = self.drafts.fields.get(self.table.selected)
        detail = self.query_one("#detail", Prose)
        if field is None:
            words = "Nothing found. Esc ends the search, v shows all."
            problem = self.drafts.known.problem or "Asking the engine ..."
            detail.show(words if self.drafts.fields else safe(problem))
        else:
            effect = self._effect(model) if self._editing else ""
            is_draft = field.name in self.drafts.values  # then the line above tells
            reach = "" if is_draft else reach_of(field, model.stages).in_words()
            detail.show(detail_text(field, entries, reach, self._message, effect))
        self.query_one("#recent", Prose).show(history_text(entries, 12))

    def _title(self, model: Model) -> Text:
        text = Text(no_wrap=True)
        text.append("Parameters", style="bold")
        text.append(f"  {safe(self.dashboard.run_name, 30)}")
        text.append(f"  revision {self.drafts.known.answer.revision}", style="dim")
        if self._choosing.only != "all":
            text.append(f"  only {self._choosing.only} ones (v)", style="yellow")
        if self.search.value and not self.search.display:
            text.append(f"  search: {safe(self.search.value, 20)}", style="yellow")
        if self.drafts.known.problem:
            text.append(f"  {safe(self.drafts.known.problem, 60)}", style="bold yellow")
        if self.dashboard.readonly:
            text.append("  read only", style="dim")
        elif self._editing:
            text.append("  Enter keeps the value, Esc does not", style="dim")
        else:
            text.append("  b default  left/right choose  v filter", style="dim")
        return text
