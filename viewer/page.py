"""The page at `/`: the client where it is built, else the state of the run as plain HTML."""

from __future__ import annotations

from html import escape
from pathlib import Path

from aiohttp import web
from pydantic import Field

from pipeline.engine.interface import Engine
from pipeline.engine.messages import RunView, StageView
from pipeline.errors import PipelineError
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
            clouds = (await self._engine.scene()).clouds
        except PipelineError:
            clouds = ()  # the page asks for itself, and says what is wrong
        streamed = [cloud for cloud in clouds if cloud.format == "points"]
        begin = (FIRST_POINTS,) if streamed else ("metadata.json", "hierarchy.bin")
        if clouds:
            url = (streamed or clouds)[-1].url  # as `firstCloud` in prefetch.ts
            page.headers["Link"] = ", ".join(
                f"<{url}{file}>; rel=preload; as=fetch; crossorigin" for file in begin
            )
        return page

    def _plain(self) -> web.Response:
        note = "" if self._client else f"The viewer is not built: {HOW_TO_BUILD} builds it."
        html = state_as_html(self._engine.view(), note)
        return web.Response(text=html, content_type="text/html")


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
