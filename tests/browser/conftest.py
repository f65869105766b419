"""A browser, a small finished run of the desk, and engines at work, for the tests of this folder.

The browser and the run serve all of them and end with the last one: Playwright's loop must not run
under tests that have loops of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from pipeline.engine.runtime import EngineFile
from tests.browser.chromium import MISSING, find_chromium
from tests.browser.runs import make_desk_run, make_planar_run, viewed
from tests.browser.tab import KEPT_PIXELS, Tab
from tests.engine_runs import Host, own_host

WINDOW = {"width": 800, "height": 480}
NewTab = Callable[..., Tab]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser of the system, drawing in software. Without one there is nothing to test, and
    that is a failure."""
    path = find_chromium()
    if path is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def new_tab(browser: Browser) -> Iterator[NewTab]:
    """Makes tabs, each in a browser window without history unless it is given another tab. What
    goes wrong in one of them fails the test."""
    tabs: list[Tab] = []

    def make(script: str = KEPT_PIXELS, beside: Tab | None = None, **options: object) -> Tab:
        if beside is not None:
            context = beside.context
        else:
            context = browser.new_context(**{"viewport": WINDOW, **options})  # type: ignore[arg-type]
            context.add_init_script(script)
        tabs.append(Tab(context))
        return tabs[-1]

    yield make
    try:
        for tab in tabs:  # before what is under way is broken off
            tab.is_sound()
    finally:
        for context in {tab.context for tab in tabs}:
            context.close()


@pytest.fixture
def tab(new_tab: NewTab) -> Tab:
    """A tab of its own."""
    return new_tab()


@pytest.fixture(scope="package")
def desk_host() -> Iterator[Host]:
    """Where the run of the desk is made and shown."""
    with own_host() as host:
        yield host


@pytest.fixture(scope="package")
def desk(desk_host: Host, tmp_path_factory: pytest.TempPathFactory) -> EngineFile:
    """Shows a finished run of eight small photographs of the desk, with a field."""
    return viewed(desk_host, make_desk_run(desk_host, tmp_path_factory.mktemp("desk")))


@pytest.fixture(scope="package")
def planar(desk_host: Host, tmp_path_factory: pytest.TempPathFactory) -> EngineFile:
    """Shows a finished planar run."""
    return viewed(desk_host, make_planar_run(desk_host, tmp_path_factory.mktemp("planar")))
