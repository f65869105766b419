"""The client of the engine: what it understands, and what it says when the engine does not answer
or answers something else."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.engine.messages import Answer
from pipeline.errors import PipelineError
from pipeline.events import Event, Progress
from tests.tui.fake_engine import FakeEngine
from tui.client import EngineClient, EngineGone, EngineSilent


@pytest.fixture
def client(engine: FakeEngine) -> EngineClient:
    """A client of the fake engine."""
    return EngineClient(socket_of(engine), answer_s=5.0)


def socket_of(engine: FakeEngine) -> Path:
    return Path(str(engine._server.server_address))


def test_the_state_and_the_events_since(engine: FakeEngine, client: EngineClient) -> None:
    engine.tell_run("starting")
    engine.tell_stage("features", "started")
    engine.tell("features", Progress(3, 10, "photos", "x.jpg"))
    view = client.state()
    assert (view.engine, view.state, view.seq) == ("fake", "starting", 3)
    assert (view.stages[0].name, view.stages[0].done, view.stages[0].total) == ("features", 3, 10)
    answer = client.events("fake", 2, 0.0)
    assert answer.seq == 3 and answer.view is None
    assert [Event.from_json(data).record for data in answer.events] == [
        Progress(3, 10, "photos", "x.jpg")
    ]
    assert client.events("fake", 3, 0.0).events == ()


def test_waiting_for_events_ends_with_the_first(engine: FakeEngine, client: EngineClient) -> None:
    threading.Timer(0.1, engine.tell_run, ["running"]).start()
    assert [data["state"] for data in client.events("fake", 0, 20.0).events] == ["running"]


def test_a_refusal_is_an_answer(engine: FakeEngine, client: EngineClient) -> None:
    engine.answers["pause"] = Answer(ok=False, message="Nothing to pause.", revision=3)
    assert client.command({"op": "pause"}) == engine.answers["pause"]
    assert client.command({"op": "stop"}).ok
    assert engine.commands == [{"op": "pause"}, {"op": "stop"}]


def test_the_engine_s_own_words_reach_the_user(engine: FakeEngine, client: EngineClient) -> None:
    error = b'{"error": {"title": "Malformed message", "message": "op: unknown", "hint": "Look."}}'
    engine.replies["/api/command"] = 400, error
    with pytest.raises(PipelineError) as caught:
        client.command({"op": "fly"})
    assert (caught.value.title, caught.value.message, caught.value.hint) == (
        "Malformed message", "op: unknown", "Look.",
    )  # fmt: skip
    assert not isinstance(caught.value, EngineGone | EngineSilent)
    engine.replies["/api/events"] = 503, b'{"error": {"title": "Too many clients"}}'
    with pytest.raises(EngineSilent, match="Too many clients"):
        client.events("fake", 0, 0.0)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "not JSON"),
        (200, b"[]", "protocol"),
        (200, b'{"protocol": 99, "surprise": 1}', "version 99 of the protocol"),
        (200, b'{"protocol": 1, "engine": "e"}', "RunView.run"),
        (200, b'{"engine": "e", "surprise": "s"}', "RunView"),
        (500, b"{}", "status 500"),
        (418, b'"teapot"', "status 418"),
    ],
)
def test_what_it_does_not_understand_is_of_another_version(
    engine: FakeEngine, client: EngineClient, status: int, body: bytes, words: str
) -> None:
    engine.replies["/api/state"] = status, body
    with pytest.raises(PipelineError, match="another version") as error:
        client.state()
    assert words in error.value.message


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A server that treats each connection in its own way."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield
        thread.join(10)


def test_nobody_there(folders: Path) -> None:
    with pytest.raises(EngineGone, match="is gone"):
        EngineClient(folders / "nothing").state()
    stale = folders / "stale"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(stale))
    with pytest.raises(EngineGone, match="is gone"):
        EngineClient(stale).state()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH_9\r\n\r\n"])
def test_an_engine_that_dies_in_the_middle_of_its_answer(folders: Path, said: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(said)

    with listening(folders / "s", serve), pytest.raises(EngineGone):
        EngineClient(folders / "s", 5.0).state()


def test_a_torn_body_is_a_gone_engine(folders: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"engine"')

    with listening(folders / "s", serve), pytest.raises(EngineGone):
        EngineClient(folders / "s", 5.0).state()


def test_an_engine_that_takes_the_question_and_says_nothing(folders: Path) -> None:
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        done.wait(10)

    with listening(folders / "s", serve):
        with pytest.raises(EngineSilent, match="does not answer"):
            EngineClient(folders / "s", 0.2).state()
        done.set()


@pytest.mark.skipif(os.getuid() == 0, reason="root may connect to everything")
def test_a_socket_that_is_not_ours(folders: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folders / "s"))
        server.listen()
        (folders / "s").chmod(0)
        with pytest.raises(PipelineError, match="Not your run"):
            EngineClient(folders / "s").state()
