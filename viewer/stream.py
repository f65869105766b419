"""The WebSocket stream: the state, then events as they come; commands the other way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from pipeline.engine.interface import Engine, Subscription
from pipeline.engine.messages import Answer, Ask, EventBatch, Hello, Message, Tick, Told
from viewer.access import Caller
from viewer.commanding import Commands
from viewer.limits import Limits
from viewer.reading import Query, checked, parse_json, read_query
from viewer.refusals import Refused
from viewer.security import caller_of
from viewer.sockets import closing_code, new_socket, part, refuse_crowd
from viewer.writing import as_json

_LAST_EVENTS_S = 1.0


class Streams:
    """The clients that listen to one engine."""

    def __init__(self, engine: Engine, commands: Commands, limits: Limits) -> None:
        self._engine = engine
        self._commands = commands
        self._limits = limits
        self._open: set[Stream] = set()

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Handler: one client, from its first message to its last."""
        read_query(request, Query)
        limits = self._limits
        ws, transport = new_socket(
            request, limits, limits.message_bytes, "GET /api/events has the same events."
        )
        refuse_crowd(len(self._open), limits.streams)
        stream = Stream(ws, transport, self._engine, self._commands, limits)
        self._open.add(stream)
        try:
            await ws.prepare(request)
            await stream.run(caller_of(request))
        finally:
            self._open.discard(stream)
        return ws

    async def finish(self) -> None:
        """Before the engine ends: give each client its last events, and say goodbye."""
        await asyncio.gather(*(stream.finish() for stream in self._open))


class Stream:
    """One client of the stream."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        engine: Engine,
        commands: Commands,
        limits: Limits,
    ) -> None:
        self._ws = ws
        self._transport = transport
        self._engine = engine
        self._commands = commands
        self._limits = limits
        self._sending = asyncio.Lock()
        self._sent = -1

    async def run(self, caller: Caller) -> None:
        """Serve the client until it leaves, is too slow, or breaks the rules."""
        parts = (self._feed(), self._tick(), self._listen(caller))
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await self._close(closing_code(results))

    async def finish(self) -> None:
        """Send what is still to be sent, for a moment at most, and close."""
        newest = self._engine.view().seq
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EVENTS_S):
                while self._sent < newest or self._transport.get_write_buffer_size():
                    await asyncio.sleep(0.02)
        await self._close(WSCloseCode.GOING_AWAY, "The engine ends.")

    async def _feed(self) -> None:
        while True:
            subscription = self._engine.subscribe()
            try:
                view = self._engine.view()  # no event falls between the two
                await self._send(Hello(view=view))
                self._sent = view.seq
                await self._forward(subscription)
            finally:
                subscription.close()

    async def _forward(self, subscription: Subscription) -> None:
        """Pass events on until the client has fallen behind: then it gets the state anew."""
        while (batch := await subscription.next_batch()) is not None:
            if batch:
                await self._send(EventBatch(events=tuple(batch)))
                self._sent = max(event["seq"] for event in batch)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick_s)
            await self._send(Tick(seq=self._engine.view().seq))

    async def _listen(self, caller: Caller) -> None:
        async for message in self._ws:
            if message.type is WSMsgType.TEXT:
                await self._reply(message.data, caller)
            elif message.type is WSMsgType.BINARY:
                await self._close(WSCloseCode.UNSUPPORTED_DATA, "Only text is taken.")
            else:
                return

    async def _reply(self, text: str, caller: Caller) -> None:
        number: int | None = None
        try:
            data = parse_json(text)
            number = _number_of(data)
            ask = checked(Ask.model_validate, data)
            self._commands.admit(caller)
            answer = await self._commands.carry_out(ask.command, caller)
        except Refused as refused:
            if number is None:
                await self._close(WSCloseCode.POLICY_VIOLATION, refused.message)
                return
            answer = Answer(ok=False, message=refused.message, hint=refused.hint)
        if number is not None:
            await self._send(Told(id=number, answer=answer))

    async def _send(self, message: Message) -> None:
        """Raises TimeoutError where the client takes nothing, and ConnectionError where it left."""
        text = as_json(message)
        async with self._sending, asyncio.timeout(self._limits.silence_s):
            await self._ws.send_str(text)

    async def _close(self, code: WSCloseCode, reason: str = "") -> None:
        await part(self._ws, self._transport, code, reason)


def _number_of(data: Any) -> int | None:
    """The number that an answer has to repeat, if the message has a usable one."""
    number = data.get("id") if isinstance(data, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None
