"""Starting an engine process: the handshake, its refusals, and engines that are there already."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engine.messages import Answer
from pipeline.engine.runtime import find_engine
from pipeline.errors import PipelineError
from pipeline.request import GivenPaths, RunRequest
from pipeline.run_directory import read_request
from tests.tui.fake_cli import FAKE_ENGINE
from tests.tui.fake_engine import FakeEngine, Play, publish
from tests.tui.terminals import CHECKOUT
from tui import launch
from tui.client import EngineClient, EngineGone
from tui.launch import Started, make_room, start_engine


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake in the place of the engine process."""
    monkeypatch.setattr(launch, "ENGINE_COMMAND", FAKE_ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    """What is asked of a run."""
    return RunRequest(paths=GivenPaths(photos=tmp_path), out=tmp_path / "runs" / "garden")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, request_: RunRequest) -> Iterator[Started]:
    """An engine process in the middle of a long run."""
    play(monkeypatch, Play(steps=10_000))
    started = start_engine(request_, port=None)
    yield started
    end(started)


def play(monkeypatch: pytest.MonkeyPatch, what: Play) -> None:
    for name, value in what.as_variable().items():
        monkeypatch.setenv(name, value)


def end(started: Started) -> None:
    started.process.kill()
    started.process.wait()


def test_an_engine_is_started_in_a_session_of_its_own(
    started: Started, request_: RunRequest
) -> None:
    pid = started.process.pid
    assert find_engine(request_.out) == started.engine
    assert started.engine.identity.pid == pid
    assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert EngineClient(started.engine.socket).state().state in ("starting", "running")
    assert read_request(request_.out) == request_


def test_an_engine_that_is_held_stays_in_the_session_but_out_of_reach_of_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    play(monkeypatch, Play(steps=10_000))
    started = start_engine(request_, tied=True, port=None)
    pid = started.process.pid
    assert os.getsid(pid) == os.getsid(0)
    assert os.getpgid(pid) == pid != os.getpgid(0)
    end(started)


def test_names_that_are_no_text_reach_the_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(monkeypatch, Play(steps=10_000))
    photos = tmp_path / os.fsdecode(b"caf\xe9")
    request = RunRequest(paths=GivenPaths(photos=photos), out=tmp_path / os.fsdecode(b"r\xe9"))
    started = start_engine(request, port=None)
    assert read_request(request.out) == request
    end(started)


def test_what_the_engine_has_against_a_start_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    refusal = {"title": "In use", "message": "by 7", "hint": "Wait."}
    play(monkeypatch, Play(refuse=refusal))
    with pytest.raises(PipelineError) as error:
        start_engine(request_, port=None)
    assert (error.value.title, error.value.message, error.value.hint) == ("In use", "by 7", "Wait.")


def test_an_engine_that_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    play(monkeypatch, Play(say="no module named x"))
    with pytest.raises(PipelineError, match="did not start") as error:
        start_engine(request_, port=None)
    assert "exit code 1" in error.value.message and "no module named x" in error.value.message
    request_.out.mkdir(parents=True)
    (request_.out / "engine.log").write_text("its last words\n")
    monkeypatch.setattr(launch, "ENGINE_COMMAND", ("/bin/false",))
    with pytest.raises(PipelineError, match="did not start") as error:
        start_engine(request_, port=None)
    assert "its last words" in error.value.message and "engine.log" in error.value.hint


def test_an_engine_that_never_gets_ready_is_ended(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    monkeypatch.setattr(launch, "_SECONDS_TO_START", 0.2)
    monkeypatch.setattr(launch, "_SECONDS_TO_EXIT", 0.2)
    monkeypatch.setattr(launch, "ENGINE_COMMAND", ("/bin/sh", "-c", "echo $$ >&2; exec sleep 60"))
    with pytest.raises(PipelineError, match="not ready") as error:
        start_engine(request_, port=None)
    pid = int(error.value.message.splitlines()[1])
    assert not Path(f"/proc/{pid}").exists()


def test_an_engine_that_dies_as_soon_as_it_is_ready(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    script = 'echo "{\\"ok\\": true}" >&$2'
    monkeypatch.setattr(launch, "ENGINE_COMMAND", ("/bin/bash", "-c", script, "engine"))
    with pytest.raises(EngineGone, match="as soon as it had begun"):
        start_engine(request_, port=None)


def test_a_run_that_goes_on_is_not_started_again(started: Started, request_: RunRequest) -> None:
    with pytest.raises(PipelineError, match="goes on already") as error:
        start_engine(request_, port=None)
    assert "barfield attach garden" in error.value.hint
    assert started.engine.identity.alive()


def test_an_engine_that_only_lingers_makes_room(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    play(monkeypatch, Play(steps=1, end="failed", quiet_s=60))
    first = start_engine(request_, port=None)
    client = EngineClient(first.engine.socket)
    while client.state().state != "failed":
        time.sleep(0.02)
    second = start_engine(request_, port=None)
    assert first.process.wait(10) == 0
    assert second.engine.engine != first.engine.engine
    assert find_engine(request_.out) == second.engine
    end(second)


def test_an_engine_that_is_stopping_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest
) -> None:
    play(monkeypatch, Play(steps=10_000, stop_s=0.5))
    first = start_engine(request_, port=None)
    client = EngineClient(first.engine.socket)
    client.command({"op": "stop"})
    while client.state().state != "stopping":
        time.sleep(0.01)
    make_room(request_.out)
    assert not first.engine.identity.alive()
    first.process.wait()


def test_an_engine_that_does_not_end_is_named(
    monkeypatch: pytest.MonkeyPatch, engine: FakeEngine
) -> None:
    monkeypatch.setattr(launch, "_SECONDS_TO_GO", 0.2)
    engine.tell_run("failed", "boom")
    engine.answers["stop"] = Answer(ok=True)
    publish(engine)
    with pytest.raises(PipelineError, match="does not end") as error:
        make_room(engine.root)
    assert str(os.getpid()) in error.value.message
    assert engine.commands == [{"op": "stop"}]


def test_ctrl_c_while_it_starts_ends_it(
    monkeypatch: pytest.MonkeyPatch, request_: RunRequest, tmp_path: Path
) -> None:
    pids = tmp_path / "pid"
    script = f"cat > /dev/null; echo $$ > {pids}; kill -INT {os.getpid()}; exec sleep 60"
    monkeypatch.setattr(launch, "ENGINE_COMMAND", ("/bin/sh", "-c", script))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_engine(request_, port=None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not Path(f"/proc/{pids.read_text().strip()}").exists()
