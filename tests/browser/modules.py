"""Modules of the client's sources in an empty page of their own, for tests of them alone."""

from __future__ import annotations

import subprocess
from functools import cache

from playwright.sync_api import Page, Route

from viewer.web.build import WEB, find_node

ORIGIN = "http://client.test"
_SECONDS = 60


def open_modules(page: Page, source: str) -> None:
    """Go to an empty page whose `m` has what a piece of TypeScript exports; its imports are
    relative to the client's sources."""
    script = bundled(source)

    def answer(route: Route) -> None:
        if route.request.url == f"{ORIGIN}/m.js":
            route.fulfill(body=script, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html><title>alone</title>", content_type="text/html")

    page.route(f"{ORIGIN}/**", answer)
    page.goto(f"{ORIGIN}/")
    page.evaluate("async () => { window.m = await import('/m.js'); }")


@cache
def bundled(source: str) -> str:
    """The piece with all that it imports."""
    node = find_node()
    assert node is not None
    esbuild = WEB / "node_modules" / "esbuild" / "bin" / "esbuild"
    done = subprocess.run(
        [node.program, esbuild, "--bundle", "--format=esm", "--target=es2022", "--loader=ts"],
        input=source,
        cwd=WEB / "src",
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
