"""The rows of the parameters' table: stages as headings, parameters in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from rich.text import Text

from tui.dashboard.look import Look, safe
from tui.dashboard.parameters_form import (
    FILTERS,
    Filter,
    FormField,
    groups_of,
    matches,
    range_in_words,
    value_in_words,
)
from tui.dashboard.parameters_table import Row

NAME_CELLS = 28
VALUE_CELLS = 17
_APPLIES_CELLS = 8
_APPLIES_STYLES = {"live": "bold green", "stage": "dim", "restart": "yellow"}
_CLUSTER = "cluster"  # the section of no stage


class Choosing:
    """Which parameters are shown. only: those of one kind. search: words that they have."""

    def __init__(self) -> None:
        self.only: Filter = "all"
        self.search = ""

    def turn(self) -> None:
        """The next kind."""
        self.only = FILTERS[(FILTERS.index(self.only) + 1) % len(FILTERS)]

    def wants(self, field: FormField, is_draft: bool) -> bool:
        """Whether a parameter is shown."""
        if self.only == "live" and field.view.applies != "live":
            return False
        is_changed = is_draft or field.view.value != field.view.default
        return matches(field, self.search) and (self.only != "changed" or is_changed)


def rows_of(
    fields: Mapping[str, FormField],
    drafts: Mapping[str, JsonValue],
    choosing: Choosing,
    stages: Sequence[tuple[str, str]],
    wrong: tuple[str, str],
    look: Look,
    width: int,
) -> list[Row]:
    """The rows for a number of cells.

    stages: name and state of those of the run. wrong: a parameter, and what is wrong with what is
    typed for it.
    """
    rows: list[Row] = []
    states = dict(stages)
    groups = groups_of(
        fields, tuple(states), lambda field: choosing.wants(field, field.name in drafts)
    )
    for group in groups:
        state = states.get(group.stage, "")
        words = "running" if state == "started" else state
        words = f"{look.sign(state)} {words}" if state else "not a stage of this run"
        rows.append(heading_row(group.stage, "" if group.stage == _CLUSTER else words, group.about))
        for field in group.fields:
            draft = value_in_words(drafts[field.name]) if field.name in drafts else None
            message = wrong[1] if field.name == wrong[0] else ""
            rows.append(field_row(field, width, draft, safe(message)))
    return rows


def field_row(field: FormField, width: int, draft: str | None, message: str = "") -> Row:
    """A parameter in one line of a number of cells.

    draft: the new value that is not applied yet, None where there is none. message: what is wrong
    with it, in the place of all that follows the value.
    """
    view = field.view
    text = Text(no_wrap=True)
    text.append("*" if draft is not None else " ", style="bold yellow")
    changed = view.value != view.default
    text.append(_cut(field.label, NAME_CELLS), style="bold" if changed or draft is not None else "")
    shown = value_in_words(view.value) or "(empty)"
    if draft is not None:
        shown = f"{safe(shown, 8)} -> {draft or '(empty)'}"
    style = "bold yellow" if draft is not None else ("bold" if changed else "")
    text.append(_cut(shown, VALUE_CELLS), style=style)
    if message:
        text.append(message, style="bold red")
        return Row(field.name, text)
    text.append(f"{view.applies:<{_APPLIES_CELLS}}", style=_APPLIES_STYLES[view.applies])
    unit_cells = 9 if width < 100 else 21
    text.append(_cut(view.unit, unit_cells), style="dim")
    if width >= 110:
        told = f"default {value_in_words(view.default) or '(empty)'}"
        text.append(_cut(told, 22), style="dim")
    text.append(range_in_words(field), style="dim")
    return Row(field.name, text)


def heading_row(stage: str, state: str, about: str) -> Row:
    """The heading of a stage."""
    text = Text(no_wrap=True)
    text.append(safe(stage, 40), style="bold cyan")
    text.append(f"  {state}" if state else "")
    text.append(f"  {about}", style="dim")
    return Row("", text)


def _cut(text: str, cells: int) -> str:
    """Text in exactly so many cells, the last one empty."""
    cut = Text(safe(text))
    cut.truncate(cells - 1, overflow="ellipsis", pad=True)
    return cut.plain + " "
