"""What the routes answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.engine.messages import (
    Answer,
    ConfigAnswer,
    EventsAnswer,
    LogAnswer,
    MetricAnswer,
    Pause,
    RunView,
    SetParameters,
    StageView,
    message_schemas,
)
from pipeline.errors import PipelineError
from tests.viewer.fake_engine import ENGINE, SECRET_PATH
from tests.viewer.server import Server, Way, running, wait_for
from viewer.security import HEADERS


@pytest.mark.parametrize("way", ["socket", "tcp"])
def test_the_state_is_a_run_view(server: Server, way: Way) -> None:
    reply = server.send("/api/state", way=way)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert RunView.model_validate_json(reply.body) == server.engine.view()


def test_events_come_at_once_where_there_are_some(server: Server) -> None:
    server.run(server.engine.emit())
    reply = server.send(f"/api/events?engine={ENGINE}&since=0&wait=30")
    answer = EventsAnswer.model_validate_json(reply.body)
    assert [event["seq"] for event in answer.events] == list(range(1, server.engine.seq + 1))
    assert server.engine.asked[-1] == (ENGINE, 0, 30.0)


def test_events_of_another_engine_are_answered_with_the_state(server: Server) -> None:
    answer = EventsAnswer.model_validate_json(server.send("/api/events?engine=other").body)
    assert answer.view == server.engine.view()


def test_a_poll_waits_for_the_next_event(server: Server) -> None:
    since = server.engine.seq
    with server.connect("socket") as sock:
        target = f"/api/events?engine={ENGINE}&since={since}&wait=30"
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        server.run(server.engine.emit())
        sock.settimeout(10)
        assert f'"seq":{since + 1}'.encode() in sock.recv(65536)


def test_configuration_and_schemas(server: Server) -> None:
    config = ConfigAnswer.model_validate_json(server.send("/api/config").body)
    assert config == server.engine.config()
    assert server.send("/api/config/schema").json == RunConfig.model_json_schema()
    assert server.send("/api/schema").json == message_schemas()


def test_log_and_metrics(server: Server) -> None:
    log = LogAnswer.model_validate_json(server.send("/api/log?stage=features&lines=3").body)
    assert log.lines == ("line 0", "line 1", "line 2")
    reply = server.send("/api/metrics?stage=mapping&name=points&buckets=4")
    assert len(MetricAnswer.model_validate_json(reply.body).buckets) == 4


@pytest.mark.parametrize(
    ("target", "status", "word"),
    [
        ("/api/log?stage=nothing", 404, "nothing"),
        ("/api/metrics?stage=mapping&name=nothing", 404, "nothing"),
        ("/api/log", 400, "stage"),
        ("/api/log?stage=features&lines=0", 400, "lines"),
        ("/api/log?stage=features&lines=1000000", 400, "lines"),
        ("/api/log?stage=../../etc/passwd", 400, "stage"),
        ("/api/log?stage=%2e%2e%2fx", 400, "stage"),
        ("/api/log?stage=features%00", 400, "stage"),
        (f"/api/log?stage={'f' * 41}", 400, "stage"),
        ("/api/metrics?stage=mapping&name=points&buckets=-1", 400, "buckets"),
        ("/api/metrics?stage=mapping&name=points&buckets=many", 400, "buckets"),
        ("/api/metrics?stage=mapping&name=../points", 400, "name"),
        ("/api/events?since=-1", 400, "since"),
        ("/api/events?since=99999999999999999999999", 400, "since"),
        ("/api/events?wait=31", 400, "wait"),
        ("/api/events?wait=nan", 400, "wait"),
        ("/api/events?wait=1&wait=2", 400, "twice"),
        ("/api/events?sinec=1", 400, "sinec"),
        ("/api/state?x", 400, "x"),
        ("/api/config?x=1", 400, "x"),
        ("/api/config/schema?x=1", 400, "x"),
        ("/api/schema?x=1", 400, "x"),
        ("/api/nothing", 404, "/api/nothing"),
        ("/api/state/", 404, "/api/state/"),
        ("/api", 404, "/api"),
        ("/favicon.ico", 404, "/favicon.ico"),
    ],
)
def test_what_is_asked_wrongly_is_named(
    server: Server, target: str, status: int, word: str
) -> None:
    reply = server.send(target)
    assert reply.status == status
    assert word in reply.error["message"]


def test_a_person_reads_a_refusal_as_a_page(server: Server) -> None:
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    reply = server.send("/?token=" + "w" * 43, accept, token=None)
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>No valid token</h1>" in reply.body.decode()
    assert "<p>`barfield view RUN` prints the address" in reply.body.decode()
    assert reply.headers.items() >= {name.lower(): text for name, text in HEADERS.items()}.items()
    reply = server.send("/api/state?%3Cb%3E=1", accept)
    assert reply.status == 400
    assert "&lt;b&gt;" in reply.body.decode()
    assert "<b>" not in reply.body.decode()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with running(tmp_path) as server:
        yield server


def test_a_command_reaches_the_engine_with_who_gave_it(fresh: Server) -> None:
    given = {"op": "set", "changes": {"matching.ratio": 0.7}, "base_revision": 3}
    reply = fresh.command(given)
    assert reply.status == 200
    assert Answer.model_validate_json(reply.body) == Answer(
        ok=True, message="set: so be it.", revision=7
    )
    cookie = {"Cookie": f"{fresh.access.cookie}={fresh.access.control_token}"}
    body = b'{"op": "pause"}'
    assert fresh.send("/api/command", cookie, body, token=None).status == 200
    assert fresh.command({"op": "pause"}, way="socket").status == 200
    set_it = SetParameters(op="set", changes={"matching.ratio": 0.7}, base_revision=3)
    pause = Pause(op="pause")
    commands = fresh.engine.commands
    assert commands[:2] == [(set_it, "script"), (pause, "browser")]
    assert commands[2][0] == pause
    assert commands[2][1].startswith("terminal of ")


def test_a_command_that_the_engine_refuses(fresh: Server) -> None:
    fresh.engine.refuse = True
    reply = fresh.command({"op": "pause"})
    assert reply.status == 409
    answer = Answer.model_validate_json(reply.body)
    assert (answer.ok, answer.hint) == (False, "Start it again.")


def test_a_client_that_leaves_does_not_interrupt_its_command(fresh: Server) -> None:
    fresh.engine.slow_s = 0.3
    body = b'{"op": "pause"}'
    head = (
        "POST /api/command HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with fresh.connect("socket") as sock:
        sock.sendall(head.encode() + body)
        wait_for(lambda: bool(fresh.engine.commands))
    assert fresh.engine.finished == []
    wait_for(lambda: bool(fresh.engine.finished))


def test_a_poll_ends_with_its_client(fresh: Server) -> None:
    target = f"/api/events?engine={ENGINE}&since=99&wait=30"
    with fresh.connect("socket") as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(lambda: fresh.engine.polls == 1)
    wait_for(lambda: fresh.engine.polls == 0)


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "Input/output error", SECRET_PATH),
        PipelineError("Disk full", f"{SECRET_PATH} cannot be written", f"free {SECRET_PATH}"),
    ],
)
def test_an_engine_that_fails_tells_the_log_and_not_the_client(
    fresh: Server, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    fresh.engine.fail = error
    for reply in (fresh.command({"op": "pause"}), fresh.send("/api/log?stage=features")):
        assert reply.status == 500
        assert "engine.log" in reply.error["hint"]
        assert SECRET_PATH not in reply.body.decode()
        assert "Traceback" not in reply.body.decode()
    assert caplog.text.count(SECRET_PATH) >= 2
    assert caplog.records[0].levelno == logging.ERROR


def test_names_that_are_not_utf_8_are_still_answered(fresh: Server) -> None:
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    fresh.engine.stages = (StageView.model_construct(name="features", doing=name),)
    reply = fresh.send("/api/state")
    assert reply.status == 200
    assert json.loads(reply.body.decode("utf-8"))["stages"][0]["doing"] == "caf?.jpg"


def test_the_page_shows_the_state_and_escapes_it(fresh: Server) -> None:
    fresh.engine.stages = (
        StageView(name="features", total=9, unit="photos", doing="<script>alert(1)</script>"),
    )
    reply = fresh.send("/")
    page = reply.body.decode()
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "desk" in page
    assert "0 of 9 photos" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
