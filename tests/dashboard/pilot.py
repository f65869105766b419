"""Driving the dashboard in tests without a terminal.

Textual's own pilot waits until the process has used next to no processor for 20 ms, four times for
each key: that is most of a test, and says nothing where other programs use the processors too. Here
the messages are looked at: the app is at rest when no widget has one and the screen stays as it is.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from tui.dashboard.app import DashboardApp, Outcome

MOST_SECONDS = 60.0
MOST_ROUNDS, QUIET_ROUNDS = 100, 3
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


async def settle(pilot: Pilot[Any]) -> None:
    """Let the app take what is new, with what it does for that in threads, and draw it: until no
    thread is at work and the screen stays as it is."""
    # A new panel is mounted, laid out and drawn, and may then share its room anew. What it draws
    # before it has that room stays until it is asked again, as by the app's own clock.
    app = pilot.app
    before = None
    for _ in range(MOST_ROUNDS):
        if isinstance(app, DashboardApp):
            app.take_news()
            app.tick()
        at_work = bool(app.workers)  # also those that end meanwhile: what they found is not drawn
        await rest(pilot)
        if at_work or app.workers:
            with suppress(WorkerCancelled):  # another one has taken its place
                await app.workers.wait_for_complete()
            before = None
            continue
        now = text_of(pilot)
        if now == before:
            return
        before = now


async def rest(pilot: Pilot[Any]) -> None:
    """Wait until no widget has a message. Threads and timers may still bring some."""
    quiet = 0
    for _ in range(MOST_ROUNDS):
        await pilot.pause(0)
        nodes = (pilot.app, *pilot.app.screen.walk_children(with_self=True))
        quiet = 0 if any(node.message_queue_size for node in nodes) else quiet + 1
        if quiet == QUIET_ROUNDS:
            return


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, and let the app do what they mean, with what it does in threads."""
    await type_keys(pilot, *keys)
    await settle(pilot)


async def type_keys(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, each once the app is at rest after the one before."""
    for key in keys:
        pilot.app.post_message(key_event(key))
        await rest(pilot)


def key_event(key: str) -> Key:
    """A key as a terminal sends it. key: a character, or a key as Textual names it."""
    if len(key) == 1:
        return Key(_character_to_key(key), key)
    try:
        return Key(key, unicodedata.lookup(key.replace("_", " ")))
    except KeyError:
        return Key(key, None)


async def until(pilot: Pilot[Any], true: Callable[[], bool], most_s: float = MOST_SECONDS) -> None:
    """Wait for something to become true."""
    loop = asyncio.get_running_loop()
    last = loop.time() + most_s
    while not true():
        assert loop.time() < last, text_of(pilot)
        await pilot.pause(0.05)


async def until_shown(pilot: ThisPilot, *words: str) -> None:
    """Wait until all of these are on the screen: what a live run tells comes when it comes."""
    await until(pilot, lambda: all(word in text_of(pilot) for word in words))


def text_of(pilot: Pilot[Any]) -> str:
    """All that is on the screen, line by line."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)
