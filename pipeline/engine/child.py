"""A process that is started and waited for without holding the event loop.

asyncio's own way holds it until the system has loaded the program, which takes its time on a busy
machine or from a network disk.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any


class Child:
    """A child process. All methods belong to the event loop."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        loop = asyncio.get_running_loop()
        self._process = process
        self._ended = asyncio.Event()

        def reap() -> None:
            process.wait()
            with suppress(RuntimeError):  # the loop has come to its end before
                loop.call_soon_threadsafe(self._ended.set)

        threading.Thread(target=reap, name=f"reaper of {process.pid}", daemon=True).start()

    @classmethod
    async def start(cls, command: Sequence[str], **options: Any) -> Child:
        """Start a process; options: of subprocess.Popen. Raises OSError if the system refuses."""

        def begin() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, **options)

        return cls(await asyncio.to_thread(begin))

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """As of subprocess, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> None:
        """Return when it has ended and was reaped."""
        await self._ended.wait()
