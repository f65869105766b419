"""Waiting for room on a disk that was full."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 5.0
ENOUGH_MB = 64


async def room_again(folder: Path, wanted: Callable[[], bool]) -> bool:
    """Wait until ENOUGH_MB more than now are free where a folder lies; false where that is not
    `wanted` any more."""
    at_first = await asyncio.to_thread(_free_bytes, folder)
    while wanted():
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        free = await asyncio.to_thread(_free_bytes, folder)
        if free >= at_first + ENOUGH_MB * 2**20:
            return wanted()
    return False


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
