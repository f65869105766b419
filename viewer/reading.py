"""Reading what clients send: strict JSON, bodies and queries, refused with the field named."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from pydantic import BaseModel, ConfigDict, ValidationError

from viewer.limits import Limits
from viewer.refusals import Refused

MessageT = TypeVar("MessageT")
QueryT = TypeVar("QueryT", bound="Query")

_MOST_VALUES = 4000
_DEEPEST = 16
_LARGEST_INTEGER = 2**53 - 1  # the largest that a browser reads exactly
_WORDS = {"extra_forbidden": "unknown", "missing": "is missing"}
_HINT = "GET /api/schema describes every message."


class Query(BaseModel):
    """Base of all queries; by itself, the empty one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parse_json(text: str | bytes) -> Any:
    """A JSON text as plain data.

    Refused: what is not JSON in UTF-8, keys given twice, numbers that are none or that not every
    client reads exactly, halves of characters, and more or deeper nested values than any message
    of ours has.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        # Counted first: to build half a million small values would hold up the event loop.
        if sum(map(text.count, ",[{")) > _MOST_VALUES:
            raise _malformed(f"There are more than {_MOST_VALUES} values.")
        data = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError:
        raise _malformed(f"Values are nested more than {_DEEPEST} deep.") from None
    except UnicodeDecodeError:
        raise _malformed("The text is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at character {error.pos}.") from None
    except ValueError:  # an integer with thousands of digits
        raise _malformed("A number is too long.") from None
    _check(data)
    return data


def checked(validate: Callable[..., MessageT], data: Any) -> MessageT:
    """Plain data as a message. validate: pydantic's, of that message. Refused: what is not one."""
    try:
        return validate(data, strict=True)
    except ValidationError as error:
        raise _malformed(_in_words(error)) from None


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """The JSON body of a request. Refused: another type, too long, or too slow."""
    coding = request.headers.get("Content-Encoding", "identity")
    if request.content_type != "application/json" or coding != "identity":
        raise Refused(
            415,
            "Not JSON",
            "Content-Type: only application/json is taken, and no Content-Encoding.",
            _HINT,
        )
    if (request.content_length or 0) > limits.body_bytes:
        raise web.HTTPRequestEntityTooLarge(limits.body_bytes, request.content_length or 0)
    try:
        async with asyncio.timeout(limits.body_s):
            return await request.read()
    except TimeoutError:
        raise Refused(408, "Too slow", "The body of the request did not arrive.") from None
    except (BadHttpMessage, web.RequestPayloadError):
        raise Refused(400, "Not HTTP", "The body of the request is broken.") from None


def read_query(request: web.Request, model: type[QueryT]) -> QueryT:
    """The query of a request. Refused: unknown parameters, repeated ones, impossible values."""
    query = request.query
    if len(query) != len(set(query)):
        raise Refused(400, "Malformed query", "A parameter is given twice.")
    try:
        return model.model_validate_strings(dict(query))
    except ValidationError as error:
        known = ", ".join(model.model_fields) or "none"
        raise Refused(
            400, "Malformed query", _in_words(error), f"Parameters here: {known}."
        ) from None


def _malformed(message: str) -> Refused:
    return Refused(400, "Malformed message", message, _HINT)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise _malformed("A key is given twice.")
    return data


def _check(data: Any) -> None:
    """Refuse values that some client or the event log could not take."""
    waiting: list[tuple[str, int, Any]] = [("", 0, data)]
    while waiting:
        where, depth, value = waiting.pop()
        if depth > _DEEPEST:
            raise _malformed(f"Values are nested more than {_DEEPEST} deep.")
        if isinstance(value, dict):
            _check_text("a key", "".join(value))
            waiting += [(key, depth + 1, entry) for key, entry in value.items()]
        elif isinstance(value, list):
            waiting += [(where, depth + 1, entry) for entry in value]
        elif isinstance(value, str):
            _check_text(where, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise _malformed(f"{_short(where)}: not a finite number.")
        elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise _malformed(f"{_short(where)}: larger than {_LARGEST_INTEGER}.")


def _check_text(where: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _malformed(f"{_short(where)}: half of a surrogate pair is no character.") from None


def _in_words(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = _short(".".join(map(str, first["loc"]))) or "the message"
    return f"{place}: {_WORDS.get(first['type'], first['msg'])[:300]}."


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
