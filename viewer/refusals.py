"""How the server says no: title, message and hint, never a traceback or a path.

Programs get them as JSON; a person who opened the address in a browser, as a page.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from html import escape

from aiohttp import web
from aiohttp.typedefs import Handler

_log = logging.getLogger(__name__)

# With an icon of its own, as a browser asks for /favicon.ico otherwise.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="dark light">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 40em; margin: 2em auto; padding: 0 1em }}
</style>
<h1>{title}</h1>
<p>{message}
<p>{hint}
</html>
"""


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

    def page(self) -> web.Response:
        """The refusal as a person reads it."""
        text = _PAGE.format(
            title=escape(self.title), message=escape(self.message), hint=escape(self.hint)
        )
        return web.Response(
            text=text, content_type="text/html", status=self.status, headers=self.headers
        )


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
async def refusals_in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: whatever goes wrong is answered as the client reads it; our own faults are
    logged."""
    try:
        return await handler(request)
    except Refused as error:
        refused = error
    except web.HTTPException as error:
        refused = in_our_words(error, request.method, request.path)
    except ConnectionError:
        raise  # the client is gone: there is nobody to tell
    except Exception:
        # The path, not the query: a query may hold a token.
        _log.exception("%s %s failed", request.method, request.path)
        refused = our_fault()
    is_person = "text/html" in request.headers.get("Accept", "")
    return refused.page() if is_person else refused.response()
