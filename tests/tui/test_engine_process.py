"""What the engine process does beside its run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from pipeline.engine import runtime
from pipeline.engine.runtime import EngineFile
from pipeline.errors import PipelineError
from pipeline.process_identity import ProcessIdentity
from tui import engine_process


def test_an_engine_that_cannot_be_published_for_once_is_published_later(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = EngineFile(
        identity=ProcessIdentity.current(),
        engine="e",
        run=root.name,
        root=root,
        socket=runtime.socket_path(root),
        port=None,
        token="t",
        view_token="v",
        version="0",
        started=time.time(),
    )
    failures = [PipelineError("Cannot write", "the runtime folder is full"), OSError("not there")]

    async def publish_until_it_succeeds() -> None:
        loop, published = asyncio.get_running_loop(), asyncio.Event()

        def publish(engine: EngineFile) -> None:
            if failures:
                raise failures.pop(0)
            assert engine == file
            loop.call_soon_threadsafe(published.set)

        monkeypatch.setattr(runtime, "publish", publish)
        publishing = asyncio.create_task(engine_process._publish_again([file]))
        async with asyncio.timeout(10):
            await published.wait()
        publishing.cancel()

    monkeypatch.setattr(engine_process, "SECONDS_BETWEEN_PUBLISHING", 0.001)
    asyncio.run(publish_until_it_succeeds())
    assert "the runtime folder is full" in caplog.text and "not there" in caplog.text
