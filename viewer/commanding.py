"""The way of commands from clients to the engine."""

from __future__ import annotations

import asyncio
import logging

from pipeline.engine.interface import Engine
from pipeline.engine.messages import Answer, Command
from viewer.access import Caller
from viewer.limits import Limits, TokenBucket
from viewer.refusals import Refused, our_fault

_log = logging.getLogger(__name__)


class Commands:
    """Passes commands on: only of those who may, only so many a second, and each to its end."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._buckets: dict[str, TokenBucket] = {}
        self._running: set[asyncio.Task[Answer]] = set()

    def admit(self, caller: Caller) -> None:
        """Let a caller give one more command. Refused: who may only look, and too many."""
        if caller.role != "control":
            raise Refused(403, "View only", "This token may look at the run, not change it.")
        # One bucket for each kind of caller: new connections do not bring new allowances.
        limits = self._limits
        bucket = self._buckets.setdefault(
            caller.by, TokenBucket(limits.commands_per_s, limits.commands_at_once)
        )
        if not bucket.take():
            raise Refused(
                429,
                "Too many commands",
                f"More than {limits.commands_per_s:g} commands a second.",
                "Wait a second.",
                headers={"Retry-After": "1"},
            )

    async def carry_out(self, command: Command, caller: Caller) -> Answer:
        """The engine's answer. A client that goes away does not interrupt its command. Refused:
        where the engine fails at it."""
        task = asyncio.create_task(self._engine.command(command, caller.by))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except Exception:
            _log.exception("%s failed", command.op)
            raise our_fault() from None
