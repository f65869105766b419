"""Viewers of novel views in a process of their own, and an engine that shows them pictures.

A picture's `step` is the time at which it was shown, on the clock that all processes of a machine
share: so a viewer knows how old a picture is that it gets.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import aiohttp
from PIL import Image

from pipeline.formats.bundle import unpack
from pipeline.view_requests import LEVELS, FrameHeader, ViewFrame, ViewRequest
from tests.viewer.fake_engine import FakeEngine, FakeWindow

PHOTOGRAPH = Path(__file__).parents[2] / "sample_scenes" / "desk" / "images" / "desk_001.jpg"
ROWS = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
SECONDS_BETWEEN_LEVELS = 0.02
SECONDS_TO_REST = 0.15  # then the client asks for the finest


def now_ms() -> int:
    """Milliseconds on the clock of the machine."""
    return time.monotonic_ns() // 1_000_000


@cache
def picture(width: int, height: int, quality: int) -> bytes:
    """A photograph of that size, as JPEG."""
    with Image.open(PHOTOGRAPH) as image:
        made = io.BytesIO()
        image.resize((width, height)).save(made, "JPEG", quality=quality)
    return made.getvalue()


class ShowingEngine(FakeEngine):
    """Shows every viewer what it asks for, one level after the other, as if it cost nothing."""

    async def show(self) -> None:
        """Until cancelled."""
        left: dict[FakeWindow, list[int]] = {}
        seen: dict[FakeWindow, int] = {}
        while True:
            for window in self.windows:
                asked = window.requests[-1] if window.requests else None
                if asked is not None and seen.get(window) != asked.seq:
                    seen[window] = asked.seq
                    left[window] = [n for n in LEVELS if asked.coarsest >= n >= asked.finest]
                if asked is not None and left.get(window):
                    window.show(_frame(asked, left[window].pop(0)))
            await asyncio.sleep(SECONDS_BETWEEN_LEVELS)


def _frame(asked: ViewRequest, level: int) -> ViewFrame:
    width, height = max(8, asked.width // level), max(8, asked.height // level)
    header = FrameHeader(
        viewer="", seq=asked.seq, step=now_ms(), level=level,  # type: ignore[arg-type]
        final=level == asked.finest, width=width, height=height,
    )  # fmt: skip
    return ViewFrame(header, picture(width, height, asked.jpeg_quality))


@dataclass
class Seen:
    """What one viewer got: how old each picture was in ms, the bytes, and the steps with the times
    at which they came, in seconds."""

    ages_ms: list[int] = field(default_factory=list)
    carried: int = 0
    steps: list[tuple[float, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Manner:
    """How a viewer looks: for so many seconds, at a size, with so many new cameras a second.

    pause_s: between two pictures, of one that reads slowly. rests: after each camera it asks for
    the finest picture too, as when the camera has come to rest.
    """

    seconds: float = 5.0
    width: int = 640
    height: int = 360
    cameras_per_s: float = 15.0
    pause_s: float = 0.0
    rests: bool = False


async def look(base: str, token: str, manner: Manner) -> Seen:
    """One viewer, for its time."""
    seen = Seen()
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(base, headers=headers) as session,
        session.ws_connect("/api/frames", max_msg_size=0) as socket,
    ):
        moving = asyncio.create_task(_move(socket, manner))
        try:
            async with asyncio.timeout(manner.seconds):
                while True:
                    data = await socket.receive_bytes()
                    header, _ = unpack(data)
                    seen.ages_ms.append(now_ms() - header["step"])
                    seen.steps.append((time.monotonic(), header["step"]))
                    seen.carried += len(data)
                    await asyncio.sleep(manner.pause_s)
                    await socket.send_json({"shown": True})
        except TimeoutError:
            return seen
        finally:
            moving.cancel()


async def _move(socket: aiohttp.ClientWebSocketResponse, manner: Manner) -> None:
    seq = 0
    pause_s = 1.0 / manner.cameras_per_s
    while True:
        for finest, wait_s in (
            ((4, SECONDS_TO_REST), (1, pause_s)) if manner.rests else ((4, pause_s),)
        ):
            seq += 1
            request = {
                "seq": seq, "width": manner.width, "height": manner.height, "fov_y_deg": 50,
                "cam_from_world": ROWS, "coarsest": 8, "finest": finest, "jpeg_quality": 80,
            }  # fmt: skip
            await socket.send_json({"look": request})
            await asyncio.sleep(wait_s)


async def look_from_outside(base: str, token: str, manners: Sequence[Manner]) -> list[Seen]:
    """Viewers in another process, at the same time."""
    told = json.dumps({"base": base, "token": token, "manners": [asdict(m) for m in manners]})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.frames_load",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate(told.encode())
    return [Seen(**one) for one in json.loads(out)]


async def _main() -> None:
    told = json.load(sys.stdin)
    looks = [look(told["base"], told["token"], Manner(**manner)) for manner in told["manners"]]
    seen = await asyncio.gather(*looks)
    print(json.dumps([asdict(one) for one in seen]))


if __name__ == "__main__":
    asyncio.run(_main())
