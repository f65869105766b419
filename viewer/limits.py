"""How much of the server one client, and all of them together, may use."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the server bears.

    body_bytes, body_s: of a request's body, and the seconds it may take to arrive. message_bytes:
    of a message from the client of a stream. streams, polls: open at a time, of all clients.
    lookers: sockets for frames, open at a time. look_bytes, looks_per_s, looks_at_once: of the
    messages that each of them sends; more are read later. connections: open at a time, over the
    socket and over TCP each. commands_per_s, commands_at_once: of one kind of client, on average
    and in a burst. guesses_per_s, guesses_at_once: of wrong tokens, of all clients together.
    silence_s: a client that takes nothing for so long is dropped. tick_s: between two ticks.
    heartbeat_s: between two pings.
    """

    body_bytes: int = 1 << 20
    body_s: float = 10.0
    message_bytes: int = 64 << 10
    streams: int = 16
    polls: int = 64
    lookers: int = 32
    look_bytes: int = 4 << 10
    looks_per_s: float = 120.0
    looks_at_once: int = 240
    connections: int = 128
    commands_per_s: float = 20.0
    commands_at_once: int = 40
    guesses_per_s: float = 2.0
    guesses_at_once: int = 100
    silence_s: float = 30.0
    tick_s: float = 5.0
    heartbeat_s: float = 20.0


LIMITS = Limits()


class TokenBucket:
    """Lets `at_once` calls through, and then `per_s` of them a second."""

    def __init__(self, per_s: float, at_once: int) -> None:
        self._per_s = per_s
        self._most = float(at_once)
        self._left = float(at_once)
        self._filled = time.monotonic()

    def take(self) -> bool:
        """Whether one more is let through now."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._filled) * self._per_s)
        self._filled = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
