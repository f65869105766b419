"""Who may use the server, and as what."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["view", "control"]

_TOKEN_BYTES = 32
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_HOST_HEADER = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_ENGINE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Access:
    """Keys of one engine's server.

    engine: its identity, as in `RunView.engine`. control_token, view_token: for clients over TCP;
    the second one may look and not touch. hosts: what the `Host` header may say beside the names
    of the loopback interface. Raises ValueError for keys that protect nothing.
    """

    engine: str
    control_token: str = field(repr=False)
    view_token: str = field(repr=False)
    hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not _ENGINE.fullmatch(self.engine):
            raise ValueError(f"{self.engine!r} cannot be part of a cookie's name")
        if min(len(self.control_token), len(self.view_token)) < _TOKEN_BYTES:
            raise ValueError(f"a token has at least {_TOKEN_BYTES} characters")
        if self.control_token == self.view_token:
            raise ValueError("the two tokens are the same")

    @staticmethod
    def fresh(engine: str, hosts: Iterable[str] = ()) -> Access:
        """New random tokens, of 32 bytes each."""
        return Access(
            engine,
            secrets.token_urlsafe(_TOKEN_BYTES),
            secrets.token_urlsafe(_TOKEN_BYTES),
            frozenset(host.strip("[]").lower() for host in hosts),
        )

    @property
    def cookie(self) -> str:
        """Name of the cookie. Cookies ignore ports, so each engine has a name of its own."""
        return f"barfield-{self.engine}"

    def role_of(self, token: str) -> Role | None:
        """What a token entitles to, None: nothing. Takes equally long for all tokens."""
        given = token.encode("utf-8", "surrogateescape")
        control = hmac.compare_digest(given, self.control_token.encode())
        view = hmac.compare_digest(given, self.view_token.encode())
        return "control" if control else "view" if view else None

    def knows_host(self, header: str, also: Container[str] = ()) -> bool:
        """Whether a `Host` header names this machine; any port will do, for `ssh -L` changes it.

        also: further names of it, in small letters.
        """
        found = _HOST_HEADER.fullmatch(header)
        if found is None:
            return False
        name = (found[1] or found[2]).lower()
        return name in _LOOPBACK or name in self.hosts or name in also


@dataclass(frozen=True)
class Caller:
    """Who sent a request. by: in words, for the record. is_at_socket: through the Unix socket, so
    it is the owner of the run, or root."""

    by: str
    role: Role
    is_at_socket: bool = False
