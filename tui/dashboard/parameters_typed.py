"""What a user types for a parameter, read by its schema; each refusal says what is possible.

The values here are those of JSON. What no schema says (settings that contradict each other) is
checked by the configuration itself: see `parameters_effect`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable
from typing import cast

from pydantic import JsonValue

from tui.dashboard.look import safe
from tui.dashboard.parameters_form import NONE, FormField, range_in_words, value_in_words

_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")
_MOST_DIGITS = 40
_MOST_SHOWN = 30
_WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+(_[0-9]+)*)?\.?([0-9]+(_[0-9]+)*)?([eE][+-]?[0-9]+)?", re.ASCII)


class Refused(ValueError):
    """Text that is no possible value of a parameter; the message says what is."""


def read_value(field: FormField, text: str) -> JsonValue:
    """The value that a text stands for. Raises Refused with a message for the user."""
    typed = text.strip()
    if field.optional and typed.casefold() in (NONE, "null", ""):
        return None
    if not typed and field.kind not in ("string", "array"):
        raise Refused(f"type a value: {range_in_words(field)}")
    return _READERS[field.kind](field, typed)


def _read_boolean(field: FormField, typed: str) -> JsonValue:
    word = typed.casefold()
    if word in _YES or word in _NO:
        return word in _YES
    raise Refused(f"{range_in_words(field)}, not {_shown(typed)}")


def _read_integer(field: FormField, typed: str) -> JsonValue:
    value: float | int
    if _WHOLE.fullmatch(typed) and len(typed) <= _MOST_DIGITS:
        value = int(typed)
    elif re.fullmatch(r"[+-]?[0-9]{1,3}([,.'][0-9]{3})+", typed):
        raise Refused(
            f"without {typed.lstrip('+-').strip('0123456789')[0]}: "
            f"{re.sub('[,.]', '', typed)[:_MOST_SHOWN]}"
        )
    else:
        value = _number(typed.replace(",", "."))
        if value != math.floor(value):
            raise Refused(f"a whole number, not {_shown(typed)}")
        value = int(value)
    if field.choices:
        return _chosen(field.choices, value_in_words(value))
    _check_limits(field, value)
    return value


def _read_number(field: FormField, typed: str) -> JsonValue:
    value = _number(typed)
    if field.choices:
        return _chosen(field.choices, value_in_words(value))
    _check_limits(field, value)
    return value


def _read_string(field: FormField, typed: str) -> JsonValue:
    return _chosen(field.choices, typed) if field.choices else typed


def _read_array(field: FormField, typed: str) -> JsonValue:
    if typed.startswith("["):
        try:
            entries = json.loads(typed)
        except (ValueError, RecursionError):
            raise Refused('a list is written a, b or ["a", "b"]') from None
        words = [str(entry) for entry in entries]
    else:
        words = [word for word in re.split(r"[,\s]+", typed) if word]
    if not field.choices:
        return cast(list[JsonValue], words)
    return [_chosen(field.choices, word) for word in words]


_READERS: dict[str, Callable[[FormField, str], JsonValue]] = {
    "boolean": _read_boolean,
    "integer": _read_integer,
    "number": _read_number,
    "string": _read_string,
    "array": _read_array,
}


def _number(typed: str) -> float:
    if typed.lstrip("+-").casefold() in ("nan", "inf", "infinity"):
        raise Refused("a number that has an end")
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", typed):
        raise Refused(f"with a point: {typed.replace(',', '.')[:_MOST_SHOWN]}")
    if len(typed) > _MOST_DIGITS:
        raise Refused(f"a number of at most {_MOST_DIGITS} characters")
    if not _NUMBER.fullmatch(typed) or not any(map(str.isdigit, typed)):
        raise Refused(f"a number, not {_shown(typed)}")
    try:
        value = float(typed)
    except ValueError:
        raise Refused(f"a number, not {_shown(typed)}") from None
    if not math.isfinite(value):
        raise Refused("a number that has an end")
    return value


def _chosen(choices: tuple[JsonValue, ...], typed: str) -> JsonValue:
    """The choice that is meant; capitals do not matter."""
    by_word = {value_in_words(choice).casefold(): choice for choice in choices}
    word = typed.casefold()
    if word in by_word:
        return by_word[word]
    # One that begins so, while it is being typed, is the likeliest.
    near = [name for name in by_word if word and name.startswith(word)]
    if all(isinstance(choice, str) for choice in choices):
        near = near or difflib.get_close_matches(word[:100], by_word, n=1)
    if near:
        raise Refused(f"did you mean {value_in_words(by_word[near[0]])}?")
    raise Refused(f"one of {', '.join(map(value_in_words, choices))}")


def _check_limits(field: FormField, value: float) -> None:
    for word, words, is_wrong in _LIMITS:
        limit = field.view.bounds.get(word)
        if isinstance(limit, int | float) and is_wrong(value, limit):
            unit = f" {field.view.unit}" if field.view.unit else ""
            raise Refused(f"{words} {value_in_words(limit)}{unit}")


_LIMITS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("minimum", "at least", lambda value, limit: value < limit),
    ("exclusiveMinimum", "more than", lambda value, limit: value <= limit),
    ("maximum", "at most", lambda value, limit: value > limit),
    ("exclusiveMaximum", "less than", lambda value, limit: value >= limit),
)


def _shown(typed: str) -> str:
    return repr(safe(typed, _MOST_SHOWN))
