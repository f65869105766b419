"""Driving the dashboard in tests without a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from tui.dashboard.app import DashboardApp, Outcome

MOST_SECONDS = 60.0
MOST_ROUNDS, STEADY_ROUNDS = 30, 3
SIZES = ((80, 24), (100, 40), (200, 60))
ThisPilot = Pilot[Outcome]


def drive(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario on an event loop of its own."""
    asyncio.run(scenario)


@asynccontextmanager
async def shown(app: DashboardApp, size: tuple[int, int] = (80, 24)) -> AsyncIterator[ThisPilot]:
    """The app without a terminal, once it has drawn all that was known."""
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        yield pilot


async def settle(pilot: ThisPilot) -> None:
    """Let the app take what is new, and draw it: until the screen stays as it is."""
    app = pilot.app
    assert isinstance(app, DashboardApp)
    app.take_news()
    app.tick()  # the clock may have gone on
    # A new panel is mounted, laid out and drawn, and may then share its room anew.
    unchanged, before = 0, ""
    for _ in range(MOST_ROUNDS):
        await pilot.pause()
        now = text_of(pilot)
        unchanged, before = (unchanged + 1 if now == before else 0), now
        if unchanged == STEADY_ROUNDS:
            break


async def press(pilot: ThisPilot, *keys: str) -> None:
    """Press keys, and let the app do what they mean."""
    for key in keys:
        await pilot.press(key)
    await pilot.app.workers.wait_for_complete()
    await settle(pilot)


async def until(pilot: ThisPilot, true: Callable[[], bool], most_s: float = MOST_SECONDS) -> None:
    """Wait for something to become true."""
    loop = asyncio.get_running_loop()
    last = loop.time() + most_s
    while not true():
        assert loop.time() < last, text_of(pilot)
        await pilot.pause(0.05)


async def until_shown(pilot: ThisPilot, *words: str) -> None:
    """Wait until all of these are on the screen: what a live run tells comes when it comes."""
    await until(pilot, lambda: all(word in text_of(pilot) for word in words))


def text_of(pilot: ThisPilot) -> str:
    """All that is on the screen, line by line."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)
