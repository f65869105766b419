"""What every request has to pass before anything looks at it.

The rules and their reasons: a port on the loopback interface is open to every user of the machine
and, through his browser, to every web page that a user visits.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct
from asyncio import BaseTransport
from collections.abc import Container

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from viewer.access import Access, Caller
from viewer.limits import Limits, TokenBucket
from viewer.refusals import Refused

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self' blob:; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "barfield",
}
_CALLER = web.RequestKey("caller", Caller)
_TARGET = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?(?:\?.*)?")
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


def guard(access: Access, limits: Limits, names: Container[str] = ()) -> Middleware:
    """The middleware that lets nobody pass who may not. names: see `Access.knows_host`; there may
    be more of them later."""
    user = _name_of(os.geteuid())
    guesses = TokenBucket(limits.guesses_per_s, limits.guesses_at_once)

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_target(request)
        _check_part(request)
        _check_host(request, access, names)
        _check_origin(request)
        request[_CALLER] = _identify(request, access, user, guesses)
        return await handler(request)

    return checked


def caller_of(request: web.Request) -> Caller:
    """Who sent a request that has passed `guard`."""
    return request[_CALLER]


async def harden(_: web.Request, response: web.StreamResponse) -> None:
    """Give a response the headers that keep browsers from misusing it."""
    response.headers.update(HEADERS)
    if response.status >= 400:  # the headers of a file that is not sent after all
        response.headers["Cache-Control"] = "no-store"
    response.headers.setdefault("Cache-Control", "no-store")


def peer_uid(transport: BaseTransport) -> int | None:
    """User at the other end of a Unix socket; None for another kind of connection."""
    sock = transport.get_extra_info("socket")
    if sock.family != socket.AF_UNIX:
        return None
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid


def _check_target(request: web.Request) -> None:
    # Our addresses are plain. What is not, tries to mean one thing here and another elsewhere.
    if not _TARGET.fullmatch(request.raw_path):
        raise Refused(400, "Not an address", "The path has characters or parts that none here has.")


def _check_part(request: web.Request) -> None:
    # aiohttp would take the last zero bytes for all of them.
    if request.headers.get("Range", "").replace(" ", "") == "bytes=-0":
        raise Refused(416, "No such part", "The last 0 bytes of anything are none.")


def _check_host(request: web.Request, access: Access, names: Container[str]) -> None:
    # A page from elsewhere can make its own name point to 127.0.0.1, but not change this header.
    # The number at which the connection came in is no name that a page could have.
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not (
        access.knows_host(hosts[0], names) or access.knows_host(hosts[0], _own_address(request))
    ):
        raise Refused(
            403,
            "Foreign Host",
            "The Host header does not name this machine.",
            "Use http://127.0.0.1:PORT/, on your side of the tunnel too.",
        )


def _own_address(request: web.Request) -> tuple[str, ...]:
    """The address at this end of a TCP connection."""
    name = request.transport and request.transport.get_extra_info("sockname")
    return (str(name[0]).removeprefix("::ffff:"),) if isinstance(name, tuple) else ()


def _check_origin(request: web.Request) -> None:
    host = request.headers["Host"]
    own = (f"http://{host}", f"https://{host}")
    if any(origin not in own for origin in request.headers.getall("Origin", [])):
        raise Refused(403, "Foreign Origin", "Another web page may not use this server.")
    for site in request.headers.getall("Sec-Fetch-Site", []):
        typed_in = (
            site == "none"
            and request.method == "GET"
            and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
            and request.headers.get("Sec-Fetch-Dest", "document") == "document"
        )
        if site != "same-origin" and not typed_in:
            raise Refused(
                403,
                "Foreign page",
                "Another web page may not lead here (Sec-Fetch-Site).",
                "Type or paste the address into the browser.",
            )


def _identify(request: web.Request, access: Access, user: str, guesses: TokenBucket) -> Caller:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    uid = peer_uid(transport)
    if uid is not None:
        if uid not in (0, os.geteuid()):
            raise Refused(403, "Another user", "This socket is for the user who started the run.")
        return Caller(f"terminal of {'root' if uid == 0 else user}", "control", is_at_socket=True)
    token, by = _token_of(request, access)
    role = access.role_of(token)
    if role is None:
        if token and not guesses.take():  # who has the right one is let in all the same
            raise Refused(
                429,
                "Too many wrong tokens",
                "Somebody tries one after the other.",
                headers={"Retry-After": "1", "Connection": "close"},
            )
        raise Refused(
            401,
            "No valid token",
            "The token is missing, or belongs to another run or an earlier start of this one.",
            "`barfield view RUN` prints the address with the token of this start; for scripts, "
            "engine.json in the folder of the socket holds it.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return Caller(by, role)


def _token_of(request: web.Request, access: Access) -> tuple[str, str]:
    """The token of a request, "" where there is none, and what kind of client sends it so."""
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        return (token.strip() if scheme.lower() == "bearer" else ""), "script"
    if request.path == "/" and "token" in request.query:
        return request.query["token"], "browser"
    return request.cookies.get(access.cookie, ""), "browser"


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
