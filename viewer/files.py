"""Sending files: the built client, and what a run has, with Range, ETag and compressed siblings.

Which file an address means is looked up, never made of the address.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from viewer.reading import Query, read_query
from viewer.refusals import Refused

FOR_GOOD = "private, max-age=31536000, immutable"
"""For what never changes under its address."""

ASK_AGAIN = "private, no-cache"
"""For what may change: browsers ask whether it has, and get it only then."""

WHOLE = "X-Whole-Length"
"""Header with the bytes of a file of which only the first ones are sent."""

_REFUSED = re.compile(r"q=0(\.0*)?")
CLIENT = Path(__file__).parent / "web" / "dist"
HOW_TO_BUILD = "python -m viewer.web.build"
MEDIA_TYPES: Mapping[str, str] = {
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".glb": "model/gltf-binary",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".scene": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".woff2": "font/woff2",
}


def send_file(path: Path, caching: str, media_type: str | None = None) -> web.FileResponse:
    """The answer that sends a file, or the part of it that is asked for.

    caching: FOR_GOOD or ASK_AGAIN. media_type: by the file's name otherwise.
    """
    kind = media_type or MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    headers = {"Content-Type": kind, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    return web.FileResponse(path, headers=headers)


def send_beginning(path: Path, count: int, caching: str) -> web.Response:
    """The answer that sends at most so many of the first bytes of a file, and tells its size."""
    try:
        with path.open("rb") as file:
            first = file.read(count)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        raise Refused(404, "No such file", f"{path.name} cannot be read.") from None
    kind = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    headers = {"Content-Type": kind, "Cache-Control": caching, WHOLE: str(size)}
    return web.Response(body=first, headers=headers)


def takes_gzip(accepted: str) -> bool:
    """Whether a header Accept-Encoding takes gzip, which it may also name to refuse it."""
    weights = {}
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        weights[coding.strip()] = weight.replace(" ", "")
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return not _REFUSED.fullmatch(weight)


@dataclass
class Client:
    """The built client: its page, and its other files by their names.

    Their names hold hashes of their contents: a client that is built anew, as by an upgrade while a
    run goes on, has others, which are looked for when the first of them is asked for.
    """

    index: Path
    assets: Mapping[str, Path]

    @staticmethod
    def read(folder: Path = CLIENT) -> Client | None:
        """The client in a folder; None where none was built."""
        index = folder / "index.html"
        try:
            with os.scandir(folder / "assets") as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError:
            return None
        if not index.is_file():
            return None
        known = [name for name in names if Path(name).suffix in MEDIA_TYPES]
        return Client(index, {name: folder / "assets" / name for name in known})

    async def send_asset(self, request: web.Request) -> web.StreamResponse:
        """Handler of `/assets/NAME`."""
        read_query(request, Query)
        name = request.match_info["name"]
        if name not in self.assets and (anew := Client.read(self.index.parent)) is not None:
            self.assets = anew.assets
        path = self.assets.get(name)
        if path is None:
            raise Refused(
                404, "Nothing here", "The client has no such file.", "Load the page again."
            )
        accepted = request.headers.get("Accept-Encoding", "")
        if "gzip" in accepted.lower() and not takes_gzip(accepted):
            # aiohttp would send the compressed sibling: it looks for the word alone.
            body = await asyncio.to_thread(path.read_bytes)
            headers = {"Content-Type": MEDIA_TYPES[path.suffix], "Cache-Control": FOR_GOOD}
            return web.Response(body=body, headers=headers | {"Vary": "Accept-Encoding"})
        return send_file(path, FOR_GOOD)
