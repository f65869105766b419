"""A worker that tells ten thousand things a second, and clients that take them or do not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from pipeline.engine.runtime import EngineFile
from pipeline.engine.state import read_view
from tests.engine import troubled_worker
from tests.engine.troubled_worker import EVENTS_A_SECOND
from tests.engine.watched_loop import held
from tests.engine_runs import (
    MOST_SECONDS,
    STREAM_REQUEST,
    Host,
    peak_rss_mb,
    stage_of,
)
from tui.client import EngineClient

FLOOD_S = 3.0
MOST_RSS_MB = 300.0


@dataclass
class Seen:
    """What a client of the stream saw of the flood: when batches came, how far it was, and the most
    memory that the engine had used."""

    times: list[float] = field(default_factory=list)
    steps: int = 0
    rss_mb: float = 0.0

    @property
    def batches_a_second(self) -> float:
        """How often one came."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


def test_a_flood_of_events_is_thinned_for_those_who_read_and_costs_nothing_for_the_others(
    host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(troubled_worker.FLOOD_S, str(FLOOD_S))
    run = tmp_path / "run"
    engine = host.begin(photographs, run)
    assert EngineClient(engine.socket).command({"op": "pause"}).ok  # until all listen
    stopped = host.start("attach", str(run), stdout=subprocess.PIPE)
    assert stopped.stdout is not None and stopped.stdout.readline(), "it has begun to follow"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(engine.socket))
        deaf.sendall(STREAM_REQUEST)
        os.kill(stopped.pid, signal.SIGSTOP)
        seen = asyncio.run(listen(engine))
    assert seen.steps >= 0.5 * FLOOD_S * EVENTS_A_SECOND, "it was a flood"
    assert 2.0 <= seen.batches_a_second <= 6.0
    assert seen.rss_mb <= MOST_RSS_MB
    assert held(run / "engine.log") == []
    view = read_view(run)
    assert view is not None and view.state == "done"
    assert stage_of(view, "pairs").warnings > 0
    os.kill(stopped.pid, signal.SIGCONT)
    assert stopped.wait(MOST_SECONDS) == 0
    host.wait_until_empty()


async def listen(engine: EngineFile) -> Seen:
    """Resume the run of an engine, and listen to its stream until it has ended."""
    seen = Seen()
    connector = aiohttp.UnixConnector(str(engine.socket))
    async with (
        asyncio.timeout(MOST_SECONDS),
        aiohttp.ClientSession("http://localhost", connector=connector) as session,
        session.ws_connect("/api/stream") as stream,
    ):
        await stream.send_json({"type": "command", "id": 1, "command": {"op": "resume"}})
        async for message in stream:
            told = json.loads(message.data)
            events = told.get("events", [])
            if any((e["stage"], e["kind"]) == ("pairs", "metric") for e in events):
                seen.times.append(time.monotonic())
                seen.rss_mb = peak_rss_mb(engine.identity.pid)
            for event in events:
                if (event["stage"], event["kind"]) == ("pairs", "progress"):
                    seen.steps = max(seen.steps, event["done"])
            if any(e["kind"] == "run" and e["state"] == "done" for e in events):
                break
    return seen
