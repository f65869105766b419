"""What the tests of whole runs rely on: a loop that is held is told of, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.watched_loop import held

PROGRAM = """
import asyncio, time
from tests.engine.watched_loop import MOST_S, watch

def compute():
    end = time.thread_time() + 2 * MOST_S
    while time.thread_time() < end:
        pass

async def {name}():
    {body}

watch()
asyncio.run({name}())
"""


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("compute()", True),
        ("time.sleep(2 * MOST_S)", True),
        ("await asyncio.sleep(2 * MOST_S)", False),
        ("await asyncio.to_thread(time.sleep, 2 * MOST_S)", False),
    ],
)
def test_what_holds_the_loop_is_told(tmp_path: Path, body: str, told: bool) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        program = PROGRAM.format(name="culprit", body=body)
        subprocess.run([sys.executable, "-c", program], stderr=file, check=True)
    assert [("culprit" in line) for line in held(log)] == [True] * told
