"""A client of the engine, over its unix socket.

Plain `http.client`: a command such as `barfield status` has to answer at once.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import ValidationError

from pipeline.engine.messages import (
    PROTOCOL,
    Answer,
    ConfigAnswer,
    EventsAnswer,
    LogAnswer,
    Message,
    MetricAnswer,
    PortAnswer,
    RunView,
)
from pipeline.errors import PipelineError

SECONDS_TO_ANSWER = 15.0
_BUSY = (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE)
MessageT = TypeVar("MessageT", bound=Message)


class EngineGone(PipelineError):
    """Nobody listens at the engine's socket any more."""


class EngineSilent(PipelineError):
    """The engine is there, but does not answer in time or has too many clients."""


class EngineClient:
    """Asks one engine. Each question has a connection of its own, so a client can be used by
    several threads, and outlives any of its questions.

    answer_s: how long to wait for an answer. Every method raises EngineGone, EngineSilent, or
    PipelineError with what the engine has against the question.
    """

    def __init__(self, socket_path: Path, answer_s: float = SECONDS_TO_ANSWER) -> None:
        self._socket_path = socket_path
        self._answer_s = answer_s

    def state(self) -> RunView:
        """The whole state of the run."""
        return self._get(RunView, "/api/state")

    def events(self, engine: str, since: int, wait_s: float) -> EventsAnswer:
        """Events after `since`; the engine waits up to `wait_s` seconds for the first one."""
        asked = {"engine": engine, "since": since, "wait": wait_s}
        return self._get(EventsAnswer, "/api/events", asked, wait_s)

    def command(self, command: Mapping[str, Any]) -> Answer:
        """Give a command (`messages.Command`, as plain data); a refusal is an answer too."""
        status, data = self._ask("POST", "/api/command", json.dumps(command))
        if status == http.client.CONFLICT:
            return _parsed(Answer, data)
        return _parsed(Answer, _accepted(status, data))

    def open_port(self, host: str, port: int | None) -> PortAnswer:
        """Have the engine listen on TCP too. port: None for the first free one."""
        body = json.dumps({"host": host, "port": port})
        return _parsed(PortAnswer, _accepted(*self._ask("POST", "/api/port", body)))

    def config(self) -> ConfigAnswer:
        """The current configuration."""
        return self._get(ConfigAnswer, "/api/config")

    def log(self, stage: str, lines: int) -> LogAnswer:
        """The last lines of a stage's log."""
        return self._get(LogAnswer, "/api/log", {"stage": stage, "lines": lines})

    def metric(self, stage: str, name: str, buckets: int) -> MetricAnswer:
        """A metric over the whole run, in at most that many buckets."""
        asked = {"stage": stage, "name": name, "buckets": buckets}
        return self._get(MetricAnswer, "/api/metrics", asked)

    def _get(
        self,
        kind: type[MessageT],
        path: str,
        asked: Mapping[str, Any] | None = None,
        wait_s: float = 0.0,
    ) -> MessageT:
        target = f"{path}?{urlencode(asked)}" if asked else path
        return _parsed(kind, _accepted(*self._ask("GET", target, wait_s=wait_s)))

    def _ask(
        self, method: str, target: str, body: str | None = None, wait_s: float = 0.0
    ) -> tuple[int, Any]:
        """Status and JSON body of an answer."""
        connection = _UnixConnection(self._socket_path, self._answer_s + wait_s)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            if answer.length is None:
                raise http.client.HTTPException("the answer has no length: it is torn")
            content = answer.read()
        except (TimeoutError, BlockingIOError) as error:
            raise EngineSilent(
                "The engine does not answer",
                f"{self._socket_path}: no answer within {self._answer_s + wait_s:.0f} s.",
                "It may be stopped (SIGSTOP), or the machine may be out of memory.",
            ) from error
        except PermissionError as error:
            raise PipelineError(
                "Not your run", f"{self._socket_path} belongs to another user.", ""
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise EngineGone(
                "The engine is gone",
                f"{self._socket_path}: {error or type(error).__name__}.",
                "Start the same `barfield run` command again; it continues.",
            ) from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError as error:
            raise _other_version(f"{target}: the answer is not JSON") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _accepted(status: int, data: Any) -> Any:
    """The answer, if it is none that tells of an error."""
    if status == http.client.OK:
        return data
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        raise _other_version(f"it answered with status {status}")
    title, message, hint = (str(error.get(key, "")) for key in ("title", "message", "hint"))
    raise (EngineSilent if status in _BUSY else PipelineError)(title, message, hint)


def _parsed(kind: type[MessageT], data: Any) -> MessageT:
    spoken = data.get("protocol", PROTOCOL) if isinstance(data, dict) else None
    if spoken != PROTOCOL:
        raise _other_version(f"it speaks version {spoken} of the protocol, not {PROTOCOL}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _other_version(f"{kind.__name__}.{where}: {first['msg']}") from error


def _other_version(what: str) -> PipelineError:
    return PipelineError(
        "The engine is of another version",
        f"The answer was not understood: {what}.",
        "Use the barfield that started the run, or stop the run and start it again with this one.",
    )
