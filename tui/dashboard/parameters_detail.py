"""What is told of one parameter, and of all changes: text for the parameters' screen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.text import Text

from tui.dashboard.look import safe
from tui.dashboard.parameters_effect import Entry
from tui.dashboard.parameters_form import (
    FormField,
    range_in_words,
    value_as_typed,
    value_in_words,
)
from tui.words import as_sentence

_MOST_VALUE = 120


def detail_text(
    field: FormField, entries: Sequence[Entry], reach: str, message: str, effect: str
) -> Text:
    """All about a parameter, what matters most first.

    entries: the history. reach: what a change would do. message: what is wrong with what is being
    typed, effect: what that would do; "" where nothing is typed.
    """
    view = field.view
    text = Text()
    text.append(field.name, style="bold")
    text.append(f" = {safe(value_as_typed(view.value), _MOST_VALUE) or '(empty)'}", style="bold")
    text.append(f" {view.unit}\n" if view.unit and view.value is not None else "\n")
    if message:
        text.append(f"{safe(message)}\n", style="bold red")
    elif effect:
        text.append(f"{safe(effect)}\n", style="bold yellow")
    text.append(as_sentence(safe(view.effect)) + "\n")
    default = safe(value_as_typed(view.default), _MOST_VALUE) or "(empty)"
    text.append(f"{range_in_words(field)}; default {default}", style="dim")
    if field.optional:
        text.append("; none leaves it to the stage", style="dim")
    if not effect:
        text.append(f"\n{view.applies}", style="bold" if view.applies == "live" else "")
        text.append(f"  a change now: {reach}" if reach else "", style="dim")
    own = [entry for entry in entries if entry.change.parameter == field.name]
    for entry in reversed(own[-3:]):
        text.append("\n")
        text.append_text(entry_text(entry, with_name=False))
    return text


def entry_text(entry: Entry, *, with_name: bool = True) -> Text:
    """A change in one line: when, what, by whom, from which step on."""
    change = entry.change
    text = Text()
    text.append(f"{_clock(entry.time)}  ", style="dim")
    if with_name:
        text.append(f"{safe(change.parameter, 60)}  ", style="bold")
    old, new = (safe(value_in_words(value), 40) or "(empty)" for value in (change.old, change.new))
    text.append(f"{old} -> {new}")
    text.append(f"  by {safe(change.by, 60)}", style="dim")
    if entry.step is not None:
        text.append(f", from step {entry.step}", style="green")
    return text


def history_text(entries: Sequence[Entry], most: int | None = None) -> Text:
    """All changes, the newest first. most: lines; None for all."""
    text = Text()
    text.append("Changes of this run\n", style="bold")
    if not entries:
        return text.append("None yet: the parameters are as the run was started with.")
    shown = entries[::-1][: None if most is None else max(0, most - 1)]
    body = Text("\n").join(entry_text(entry) for entry in shown)
    return text.append_text(body)


def _clock(seconds: float) -> str:
    """The local time of day; with the date, where that is not today's."""
    then, now = time.localtime(seconds), time.localtime()
    today = (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday)
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)
