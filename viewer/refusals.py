"""How the server says no: JSON with title, message and hint, never a traceback or a path."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

_log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that is not carried out.

    status: of HTTP. title: a few words. message: what is wrong, naming the field. hint: what to do
    about it.
    """

    def __init__(
        self,
        status: int,
        title: str,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{title}: {message}")
        self.status = status
        self.title = title
        self.message = message
        self.hint = hint
        self.headers = headers or {}

    def response(self) -> web.Response:
        """The refusal as the client gets it."""
        words = {"title": self.title, "message": self.message, "hint": self.hint}
        return web.json_response({"error": words}, status=self.status, headers=self.headers)


def our_fault() -> Refused:
    """What the client is told of an error that is none of its own; the log has the details."""
    return Refused(
        500,
        "The engine failed at this",
        "The request was in order, and the engine could not answer it. The run goes on.",
        "engine.log in the run directory says why.",
    )


def in_our_words(error: web.HTTPException, method: str, path: str) -> Refused:
    """A refusal for what aiohttp itself refuses."""
    place = path[:80]
    match error:
        case web.HTTPNotFound():
            return Refused(404, "Nothing here", f"{place} is no address of this server.")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Refused(
                405,
                "Wrong method",
                f"{place} takes {allowed}, not {method[:20]}.",
                headers={"Allow": allowed},
            )
        case web.HTTPRequestEntityTooLarge():
            return Refused(413, "Too long", "The body of the request is too long.")
        case web.HTTPExpectationFailed():
            return Refused(417, "Unknown header", "Expect: only 100-continue is known.")
        case _:
            return Refused(error.status, "Not possible", f"{error.reason}.")


@web.middleware
async def refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: whatever goes wrong is answered in JSON; our own faults are logged."""
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()
    except web.HTTPException as error:
        return in_our_words(error, request.method, request.path).response()
    except ConnectionError:
        raise  # the client is gone: there is nobody to tell
    except Exception:
        # The path, not the query: a query may hold a token.
        _log.exception("%s %s failed", request.method, request.path)
        return our_fault().response()
