"""The WebSocket of those who look at the scene: their cameras come up, pictures go down.

Of the pictures of one viewer only the newest waits for it, and at most two are on their way: each
is acknowledged when it has been drawn. So a viewer that reads slowly gets fewer pictures, none of
them old, and costs nobody else anything.
"""

from __future__ import annotations

import asyncio

from aiohttp import WSCloseCode, WSMsgType, web

from pipeline.engine.interface import Engine, Window
from pipeline.errors import PipelineError
from pipeline.formats.bundle import Buffer, pack
from pipeline.view_requests import FrameAsk, FrameHeader, ViewFrame, ViewRequest
from viewer.limits import Limits, TokenBucket
from viewer.pacing import Pace
from viewer.reading import Query, checked, parse_json, read_query
from viewer.refusals import Refused
from viewer.sockets import closing_code, new_socket, part, refuse_crowd

_RETRY_S = 0.05
_OTHERWISE = "GET /api/state says what the run does; pictures come over WebSockets alone."


class Frames:
    """The viewers of one engine's scene."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._open: set[Looker] = set()

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Handler: one viewer, from its first camera to its last. Who may only look may look."""
        read_query(request, Query)
        ws, transport = new_socket(request, self._limits, self._limits.look_bytes, _OTHERWISE)
        refuse_crowd(len(self._open), self._limits.lookers)
        looker = Looker(ws, transport, self._engine, self._limits)
        self._open.add(looker)
        try:
            await ws.prepare(request)
            await looker.run()
        finally:
            self._open.discard(looker)
        return ws

    async def finish(self) -> None:
        """Before the engine ends: say goodbye to each viewer."""
        await asyncio.gather(*(looker.finish() for looker in self._open))


class Looker:
    """One viewer.

    While it rests (a hidden tab) it has no place before the scene; what it had been sent by then
    it may still acknowledge.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        engine: Engine,
        limits: Limits,
    ) -> None:
        self._ws = ws
        self._transport = transport
        self._engine = engine
        self._limits = limits
        self._window: Window | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bucket = TokenBucket(limits.looks_per_s, limits.looks_at_once)
        self._sending = asyncio.Lock()
        self._pace = Pace()
        self._room = asyncio.Event()
        self._quality = 0
        self._given_up = 0

    async def run(self) -> None:
        """Serve the viewer until it leaves, is too slow, or breaks the rules."""
        listening = asyncio.create_task(self._listen())
        waited: set[asyncio.Future[None]] = {listening, self._failed}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
            self._failed.cancel()
            results = await asyncio.gather(*waited, return_exceptions=True)
            await self._rest()
            await part(self._ws, self._transport, closing_code(results))

    async def finish(self) -> None:
        """Say goodbye: there will be no more pictures."""
        await part(self._ws, self._transport, WSCloseCode.GOING_AWAY, "The engine ends.")

    async def _listen(self) -> None:
        async for message in self._ws:
            while not self._bucket.take():  # what comes too fast waits, in the end at its sender
                await asyncio.sleep(_RETRY_S)
            if message.type is WSMsgType.TEXT:
                try:
                    parse_json(message.data)
                    await self._heed(checked(FrameAsk.model_validate_json, message.data))
                except Refused as refused:
                    await self._end(WSCloseCode.POLICY_VIOLATION, refused.message)
            elif message.type is WSMsgType.BINARY:
                await self._end(WSCloseCode.UNSUPPORTED_DATA, "Only text is taken.")
            else:
                return

    async def _heed(self, ask: FrameAsk) -> None:
        if ask.look is not None:
            await self._look(ask.look)
        elif ask.shown:
            self._acknowledge()
        else:
            await self._rest()

    async def _look(self, request: ViewRequest) -> None:
        if self._window is None:
            try:
                self._window = self._engine.look()
            except PipelineError as error:
                told = FrameHeader(
                    viewer="", seq=request.seq, error=f"{error.message} {error.hint}"
                )
                await self._send(ViewFrame(told))
                self._given_up += 1  # nobody waits for its acknowledgement
                return
            self._feeding = asyncio.create_task(self._feed(self._window))
            self._feeding.add_done_callback(self._note_end)
        fitted = self._pace.fitted(request)
        try:
            self._window.ask(fitted)
        except ValueError as error:
            raise Refused(400, "Not possible", f"seq: {error}.") from None
        self._quality = fitted.jpeg_quality

    def _acknowledge(self) -> None:
        if self._pace.underway and self._window is not None:
            self._pace.acknowledged()
            self._window.acknowledge()
            self._room.set()
        elif self._given_up:
            self._given_up -= 1
        else:
            raise Refused(400, "Not possible", "shown: there is no frame to acknowledge.")

    async def _rest(self) -> None:
        """Give the place before the scene back."""
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait({self._feeding})
        if self._window is not None:
            self._window.close()
        self._window = self._feeding = None
        self._given_up += self._pace.underway
        self._pace.forget()

    async def _feed(self, window: Window) -> None:
        """Send pictures as long as they are wanted, each as late as the link can take it."""
        while True:
            while not self._pace.has_room():
                self._room.clear()
                await self._room.wait()
            frame = await window.next_frame()
            self._pace.sent(frame, self._quality)
            await self._send(frame)

    async def _send(self, frame: ViewFrame) -> None:
        """Raises TimeoutError where the client takes nothing, and ConnectionError where it left."""
        async with self._sending, asyncio.timeout(self._limits.silence_s):
            await self._ws.send_bytes(as_bundle(frame))

    async def _end(self, code: WSCloseCode, reason: str) -> None:
        await part(self._ws, self._transport, code, reason)

    def _note_end(self, feeding: asyncio.Task[None]) -> None:
        """The end of a feed that nobody has cancelled is the end of the conversation."""
        if not feeding.cancelled() and not self._failed.done():
            error = feeding.exception()
            if error is not None:
                self._failed.set_exception(error)


def as_bundle(frame: ViewFrame) -> bytes:
    """A frame as browsers get it."""
    fields = frame.header.model_dump(exclude={"viewer"})
    buffers = []
    if frame.picture:
        buffers.append(Buffer("picture", "u8", (len(frame.picture),), frame.picture))
    if frame.depth:
        shape = (frame.header.depth_height, frame.header.depth_width)
        buffers.append(Buffer("depth", "f16", shape, frame.depth))
    return pack("frame", fields, buffers)
