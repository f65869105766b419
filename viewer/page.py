"""The page at `/`: the client where it is built, else the state of the run as plain HTML."""

from __future__ import annotations

from html import escape
from pathlib import Path

from aiohttp import web
from pydantic import Field

from pipeline.engine.interface import Engine
from pipeline.engine.messages import RunView, StageView
from pipeline.errors import PipelineError
from pipeline.scene_answer import CloudView, SceneAnswer
from viewer.access import Access
from viewer.files import ASK_AGAIN, HOW_TO_BUILD, Client, send_file
from viewer.reading import Query, read_query
from viewer.refusals import Refused

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5">
<link rel="icon" href="data:,">
<title>{run}: {state}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }}
td, th {{ text-align: left; padding: 0 1.5em 0 0; vertical-align: top }}
</style>
<h1>{run}</h1>
<p><strong>{state}</strong> {why} {hint}</p>
<table>
<tr><th>Stage<th>State<th>Done<th>
{stages}
</table>
<ul>
{warnings}
</ul>
<p>{note}
</html>
"""


# The points of a first picture: all of them would compete with the code that draws them.
FIRST_POINTS = "points.bin?first=131072"  # as in prefetch.ts
FIRST_OF_OCTREE = ("metadata.json", "hierarchy.bin")


class PageQuery(Query):
    """token: signs a browser in."""

    token: str | None = Field(None, max_length=200)


class Page:
    """Handler of the page, and of the link that signs a browser in."""

    def __init__(self, engine: Engine, access: Access, client: Client | None) -> None:
        self._engine = engine
        self._access = access
        self._client = client

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The client; with a token in the query, a cookie instead, and the page without it."""
        token = read_query(request, PageQuery).token
        if token is None:
            return self._plain() if self._client is None else await self._whole(self._client.index)
        if self._access.role_of(token) is None:
            raise Refused(401, "No valid token", "The token belongs to another run.")
        # The token must not stay in the address bar, nor in the browser's history.
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(self._access.cookie, token, path="/", httponly=True, samesite="Strict")
        return response

    async def show_plain(self, request: web.Request) -> web.StreamResponse:
        """The state, without scripts."""
        read_query(request, Query)
        return self._plain()

    async def _whole(self, index: Path) -> web.FileResponse:
        """The client's page; with it comes what its scene will ask for first, two round trips
        earlier than its scripts could."""
        page = send_file(index, ASK_AGAIN)
        try:
            cloud = opening_cloud(await self._engine.scene())
        except PipelineError:
            cloud = None  # the page asks for itself, and says what is wrong
        if cloud is not None:
            files = (FIRST_POINTS,) if cloud.format == "points" else FIRST_OF_OCTREE
            page.headers["Link"] = ", ".join(
                f"<{cloud.url}{file}>; rel=preload; as=fetch; crossorigin" for file in files
            )
        return page

    def _plain(self) -> web.Response:
        note = "" if self._client else f"The viewer is not built: {HOW_TO_BUILD} builds it."
        html = state_as_html(self._engine.view(), note)
        return web.Response(text=html, content_type="text/html")


def opening_cloud(scene: SceneAnswer) -> CloudView | None:
    """The cloud that a page loads first, which is `openingCloud` in opening.ts; None: there is
    none yet."""
    dense = next((cloud for cloud in scene.clouds if cloud.name == "dense"), None)
    if dense is not None and not any(mesh.stage == "mesh" for mesh in scene.meshes):
        return dense
    others = [cloud for cloud in scene.clouds if cloud is not dense]
    streamed = [cloud for cloud in others if cloud.format == "points"]
    found = streamed or others
    return found[-1] if found else dense


def state_as_html(view: RunView, note: str = "") -> str:
    """A whole page without scripts; all texts of the run are escaped."""
    return _PAGE.format(
        run=escape(view.run),
        state=escape(view.state),
        why=escape(view.why),
        hint=escape(view.hint),
        stages="\n".join(_row(stage) for stage in view.stages),
        warnings="\n".join(f"<li>{escape(warning)}" for warning in view.warnings),
        note=escape(note),
    )


def _row(stage: StageView) -> str:
    done = "" if stage.total is None else f"{stage.done} of {stage.total} {stage.unit}"
    words = stage.doing or stage.why
    return "<tr>" + "".join(
        f"<td>{escape(text)}" for text in (stage.name, stage.state, done, words)
    )
