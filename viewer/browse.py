"""What people browse of a run: photographs, pairs, clouds, meshes, previews, films.

Everything is asked for by number, id or name, and looked up in the run; see `pipeline.browsing`.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import Field
from pydantic_core import to_json

from pipeline.browsing import Browser, Facts, NotThere, NotYet, Picture
from pipeline.engine.interface import Engine
from pipeline.errors import PipelineError
from viewer.files import ASK_AGAIN, FOR_GOOD, send_beginning, send_file, takes_gzip
from viewer.reading import Query, read_query
from viewer.refusals import Refused
from viewer.writing import as_json

_log = logging.getLogger(__name__)
T = TypeVar("T")


class PictureQuery(Query):
    """v: whatever changes when the photographs do; with it, browsers need not ask again."""

    v: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$")


class CloudQuery(Query):
    """first: only so many bytes of the file; a browser that is told of a file together with the
    page can ask for nothing else of it."""

    first: int | None = Field(None, ge=1, le=2**20)


class Browse:
    """Handlers around one run. browser: None where the run has no directory to look into."""

    def __init__(self, engine: Engine, browser: Browser | None) -> None:
        self._engine = engine
        self._browser = browser

    def routes(self) -> list[web.RouteDef]:
        """Where each handler is found."""
        handlers: dict[str, Handler] = {
            "/api/scene": self.scene,
            r"/clouds/{cloud:[a-z0-9-]{1,60}}/{file:[a-z]{1,20}\.[a-z]{1,8}}": self.cloud,
            r"/meshes/{mesh:[a-z0-9-]{1,60}}/mesh.glb": self.mesh,
            r"/api/previews/{stage:[a-z_]{1,40}}/{file:[A-Za-z0-9._-]{1,80}}": self.preview,
            "/api/photographs": self.photographs,
            r"/photographs/{i:[0-9]{1,9}}/thumbnail": self.thumbnail,
            r"/photographs/{i:[0-9]{1,9}}/picture": self.picture,
            r"/photographs/{i:[0-9]{1,9}}/depth": self.depth,
            r"/photographs/{i:[0-9]{1,9}}/keypoints": self.keypoints,
            "/api/pairs": self.pairs,
            r"/pairs/{i:[0-9]{1,9}}/{j:[0-9]{1,9}}/matches": self.matches,
            "/api/planar": self.planar,
            "/planar/animation.gif": self.animation,
            "/api/renders": self.films,
            r"/renders/{name:[A-Za-z0-9._-]{1,140}}": self.film,
        }
        return [web.get(path, handler, allow_head=False) for path, handler in handlers.items()]

    async def scene(self, request: web.Request) -> web.StreamResponse:
        """What there is to see: `SceneAnswer`."""
        read_query(request, Query)
        answer = await self._engine.scene()
        return web.Response(text=as_json(answer), content_type="application/json")

    async def cloud(self, request: web.Request) -> web.StreamResponse:
        """A file of a cloud, or what it begins with."""
        first = read_query(request, CloudQuery).first
        cloud, file = request.match_info["cloud"], request.match_info["file"]
        path = await self._look(lambda run: run.cloud_file(cloud, file))
        if first is None:
            return send_file(path, FOR_GOOD)
        return await asyncio.to_thread(send_beginning, path, first, FOR_GOOD)

    async def mesh(self, request: web.Request) -> web.StreamResponse:
        """The file of a mesh."""
        read_query(request, Query)
        mesh = request.match_info["mesh"]
        return send_file(await self._look(lambda run: run.mesh_file(mesh)), FOR_GOOD)

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """One of the newest previews of a stage."""
        read_query(request, Query)
        stage, file = request.match_info["stage"], request.match_info["file"]
        return send_file(await self._look(lambda run: run.preview(stage, file)), ASK_AGAIN)

    async def photographs(self, request: web.Request) -> web.StreamResponse:
        """What is known of every photograph."""
        read_query(request, Query)
        facts = await self._facts()
        return _packed(request, facts.photographs, facts.version)

    async def pairs(self, request: web.Request) -> web.StreamResponse:
        """The pairs that were compared, with what came of it."""
        read_query(request, Query)
        facts = await self._facts()
        return _packed(request, facts.pairs, facts.version)

    async def thumbnail(self, request: web.Request) -> web.StreamResponse:
        """The small picture of a photograph."""
        return await self._picture(request, Browser.thumbnail)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """The photograph itself, where browsers can show it."""
        return await self._picture(request, Browser.picture)

    async def depth(self, request: web.Request) -> web.StreamResponse:
        """The depth map of a photograph, as a container."""
        query = read_query(request, PictureQuery)
        number = int(request.match_info["i"])
        answer = _container(await self._look(lambda run: run.depth(number)))
        if query.v is not None:
            answer.headers["Cache-Control"] = FOR_GOOD
        return answer

    async def keypoints(self, request: web.Request) -> web.StreamResponse:
        """The keypoints of a photograph, as a container."""
        read_query(request, Query)
        number = int(request.match_info["i"])
        try:
            seen = (await self._facts()).seen.get(number)
        except Refused:
            seen = None  # the keypoints themselves are to be seen all the same
        return _container(await self._look(lambda run: run.keypoints(number, seen)))

    async def matches(self, request: web.Request) -> web.StreamResponse:
        """The matches of a pair and its two-view geometry, as a container."""
        read_query(request, Query)
        i, j = int(request.match_info["i"]), int(request.match_info["j"])
        if i >= j:
            raise Refused(404, "No such pair", "The first number is the smaller one.")
        return _container(await self._look(lambda run: run.matches(i, j)))

    async def planar(self, request: web.Request) -> web.StreamResponse:
        """The curves of a planar alignment."""
        read_query(request, Query)
        found = await self._look(Browser.planar)
        body = to_json(found, inf_nan_mode="null")
        return web.Response(body=body, content_type="application/json")

    async def animation(self, request: web.Request) -> web.StreamResponse:
        """The film of a planar alignment."""
        read_query(request, Query)
        return send_file(await self._look(Browser.animation), ASK_AGAIN)

    async def films(self, request: web.Request) -> web.StreamResponse:
        """The films that were rendered."""
        read_query(request, Query)
        found = [
            {
                "name": film.name,
                "bytes": film.size,
                "changed": film.changed,
                "url": f"/renders/{film.name}",
            }
            for film in await self._look(Browser.films)
        ]
        return web.json_response({"films": found})

    async def film(self, request: web.Request) -> web.StreamResponse:
        """One of them."""
        read_query(request, Query)
        name = request.match_info["name"]
        return send_file(await self._look(lambda run: run.film(name)), ASK_AGAIN)

    async def _picture(
        self, request: web.Request, find: Callable[[Browser, int], Picture]
    ) -> web.StreamResponse:
        query = read_query(request, PictureQuery)
        number = int(request.match_info["i"])
        found = await self._look(lambda run: find(run, number))
        caching = ASK_AGAIN if query.v is None else FOR_GOOD
        return send_file(found.path, caching, found.media_type)

    async def _facts(self) -> Facts:
        browser = self._run()
        try:
            return await browser.facts()
        except PipelineError as error:
            raise _refusal(error) from None

    async def _look(self, look: Callable[[Browser], T]) -> T:
        """What is found in the run, off the event loop."""
        browser = self._run()
        try:
            return await asyncio.to_thread(look, browser)
        except PipelineError as error:
            raise _refusal(error) from None

    def _run(self) -> Browser:
        if self._browser is None:
            raise Refused(404, "No run directory", "This engine has no files to look into.")
        return self._browser


def _refusal(error: PipelineError) -> Refused:
    if not isinstance(error, NotThere | NotYet):
        _log.warning("browsing: %s: %s", error.title, error.message)
    status = 404 if isinstance(error, NotThere) else 409 if isinstance(error, NotYet) else 500
    return Refused(status, error.title, error.message, error.hint)


def _container(data: bytes) -> web.Response:
    return web.Response(body=data, content_type="application/octet-stream")


def _packed(request: web.Request, packed: bytes, version: str) -> web.Response:
    """JSON that is gzipped already, once for each version."""
    headers = {"ETag": f'"{version}"', "Cache-Control": ASK_AGAIN, "Vary": "Accept-Encoding"}
    known = request.if_none_match or ()
    if any(tag.value in (version, "*") for tag in known):
        return web.Response(status=304, headers=headers)
    if takes_gzip(request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=packed, headers=headers, content_type="application/json")
    body = gzip.decompress(packed)
    return web.Response(body=body, headers=headers, content_type="application/json")
