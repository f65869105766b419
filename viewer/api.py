"""The HTTP interface: what clients ask of the engine, and how it is answered."""

from __future__ import annotations

import asyncio
from functools import cache

from aiohttp import web
from pydantic import BaseModel, Field
from pydantic_core import to_json

from pipeline.config import RunConfig
from pipeline.engine.interface import Engine
from pipeline.engine.messages import COMMAND, message_schemas
from viewer.commanding import Commands
from viewer.limits import Limits
from viewer.reading import Query, checked, parse_json, read_body, read_query
from viewer.refusals import Refused
from viewer.security import caller_of
from viewer.writing import as_json

_LONGEST_WAIT_S = 30
_STAGE = r"^[a-z_]+$"
_METRIC = r"^[A-Za-z0-9_][A-Za-z0-9_ .:/()%-]*$"


class EventsQuery(Query):
    """engine, since: of the newest event that the client knows. wait: seconds, for the next one."""

    engine: str = Field("", max_length=64)
    since: int = Field(0, ge=0, lt=2**53)
    wait: float = Field(0.0, ge=0, le=_LONGEST_WAIT_S)


class LogQuery(Query):
    """The last `lines` of the log of `stage`."""

    stage: str = Field(max_length=40, pattern=_STAGE)
    lines: int = Field(50, ge=1, le=5000)


class MetricQuery(Query):
    """Metric `name` of `stage`, in at most so many `buckets`."""

    stage: str = Field(max_length=40, pattern=_STAGE)
    name: str = Field(max_length=80, pattern=_METRIC)
    buckets: int = Field(200, ge=1, le=5000)


class Api:
    """Handlers around one engine."""

    def __init__(self, engine: Engine, commands: Commands, limits: Limits) -> None:
        self._engine = engine
        self._commands = commands
        self._limits = limits
        self._polls: set[asyncio.Timeout] = set()

    def routes(self) -> list[web.RouteDef]:
        """Where each handler is found."""
        gets = {
            "/api/state": self.state,
            "/api/events": self.events,
            "/api/config": self.config,
            "/api/config/schema": self.config_schema,
            "/api/schema": self.schema,
            "/api/log": self.log,
            "/api/metrics": self.metrics,
        }
        routes = [web.get(path, handler, allow_head=False) for path, handler in gets.items()]
        return [*routes, web.post("/api/command", self.command)]

    def finish(self) -> None:
        """Before the engine ends: answer all who wait for events."""
        for poll in self._polls:
            poll.reschedule(asyncio.get_running_loop().time())

    async def state(self, request: web.Request) -> web.Response:
        """The whole state: `RunView`."""
        read_query(request, Query)
        return _answer(self._engine.view())

    async def events(self, request: web.Request) -> web.Response:
        """Events after a sequence number: `EventsAnswer`; long poll with `wait`."""
        query = read_query(request, EventsQuery)
        if len(self._polls) >= self._limits.polls:
            raise Refused(
                503,
                "Too many clients",
                f"{self._limits.polls} requests wait for events already.",
                headers={"Retry-After": "5"},
            )
        try:
            async with asyncio.timeout(None) as poll:
                self._polls.add(poll)
                answer = await self._engine.events_since(query.engine, query.since, query.wait)
        except TimeoutError:  # the server ends: the client gets what there is
            answer = await self._engine.events_since(query.engine, query.since, 0.0)
        finally:
            self._polls.discard(poll)
        return _answer(answer)

    async def config(self, request: web.Request) -> web.Response:
        """The parameters: `ConfigAnswer`."""
        read_query(request, Query)
        return _answer(self._engine.config())

    async def config_schema(self, request: web.Request) -> web.Response:
        """JSON Schema of the configuration."""
        read_query(request, Query)
        return _json(await asyncio.to_thread(_config_schema))

    async def schema(self, request: web.Request) -> web.Response:
        """JSON Schema of every message, by its name."""
        read_query(request, Query)
        return _json(await asyncio.to_thread(_message_schemas))

    async def log(self, request: web.Request) -> web.Response:
        """The last lines of a stage's log: `LogAnswer`."""
        query = read_query(request, LogQuery)
        try:
            return _answer(await self._engine.log_tail(query.stage, query.lines))
        except KeyError:
            raise Refused(404, "No such stage", f"stage: there is no {query.stage}.") from None

    async def metrics(self, request: web.Request) -> web.Response:
        """A metric over the whole run, decimated: `MetricAnswer`."""
        query = read_query(request, MetricQuery)
        try:
            answer = await self._engine.metric(query.stage, query.name, query.buckets)
        except KeyError:
            raise Refused(
                404, "No such metric", f"name: {query.stage} has no metric {query.name}."
            ) from None
        return _answer(answer)

    async def command(self, request: web.Request) -> web.Response:
        """Carry out one `Command`: `Answer`, with status 409 where the engine refuses."""
        read_query(request, Query)
        caller = caller_of(request)
        self._commands.admit(caller)
        body = await read_body(request, self._limits)
        command = checked(COMMAND.validate_python, parse_json(body))
        answer = await self._commands.carry_out(command, caller)
        return _answer(answer, status=200 if answer.ok else 409)


def _answer(message: BaseModel, status: int = 200) -> web.Response:
    return web.Response(text=as_json(message), status=status, content_type="application/json")


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


@cache
def _config_schema() -> bytes:
    return to_json(RunConfig.model_json_schema())


@cache
def _message_schemas() -> bytes:
    return to_json(message_schemas())
