"""A run at work: what grows while one looks, what one may change, and who may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.engine.runtime import EngineFile
from tests import fake_engine_process
from tests.browser import growing_worker
from tests.browser.conftest import NewTab
from tests.browser.runs import free_port
from tests.browser.tab import Tab, address_of
from tests.engine_runs import CHECKOUT, FAKE_BARFIELD, Host, kill, own_host, progress_of, until
from tests.fake_host import write_photographs
from tui import launch
from tui.client import EngineClient

PHOTOGRAPHS = 9
CHANGED = "mapping.max_reprojection_error_px"
# What a browser has to say when a server is killed under it, or does not let it in.
CUT_OFF = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "WebSocket")
SIGNED_OUT = ("401", "403")
LOOKS = "may look at the run, not change it"


class Growing(NamedTuple):
    """A run whose mapping grows. photographs: its folder."""

    host: Host
    photographs: Path
    engine: EngineFile

    def again(self) -> EngineFile:
        """The same run with a new engine, on the same port."""
        port = self.engine.port
        assert port is not None
        return self.host.begin(self.photographs, self.engine.root, port)


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Growing]:
    monkeypatch.setenv(fake_engine_process.WORKER, growing_worker.MODULE)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setattr(launch, "ENGINE_COMMAND", fake_engine_process.COMMAND)
    photographs = write_photographs(tmp_path / "photographs", PHOTOGRAPHS)
    with own_host(FAKE_BARFIELD) as host:
        engine = host.begin(photographs, tmp_path / "garden", free_port())
        until(lambda: progress_of(engine.root, "mapping"))
        yield Growing(host, photographs, engine)


def grow(tab: Tab, than: dict[str, Any] | None = None) -> dict[str, Any]:
    """Wait for more points and snapshots than there were."""
    points, snapshots = (than["livePoints"], than["live"]) if than else (0, 0)
    return tab.until(
        lambda stats: stats.get("livePoints", 0) > points and stats["live"] > snapshots
    )


def changes_of(engine: EngineFile) -> list[dict[str, Any]]:
    """The changes of parameters that the run's log tells of."""
    lines = (engine.root / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == "parameter"]


def field(tab: Tab, parameter: str) -> Any:
    """The form's field of a parameter, in its folder that is opened."""
    tab.until(lambda stats: stats["parameters"] > 50)
    tab.page.get_by_label("Find a parameter").fill(parameter)
    found = tab.page.locator(f'.parameters .lil-controller[title^="{parameter}:"] input')
    found.wait_for(state="visible")
    return found


def test_points_and_cameras_come_while_one_looks(growing: Growing, tab: Tab) -> None:
    first = grow(tab.open(growing.engine))
    tab.wait_for(lambda: tab.pixels().variance > 20.0)
    later = grow(tab, grow(tab, first))
    assert later["points"] > first["points"] and later["connection"] == "live"
    tab.until(lambda stats: stats["cameras"] == PHOTOGRAPHS)
    tab.says(".panel .about", f"live: {PHOTOGRAPHS} of {PHOTOGRAPHS}")
    tab.wait_for(lambda: "mapping" in (tab.page.locator(".run-doing").text_content() or ""))
    tab.page.keyboard.press("8")
    stats = tab.until(lambda stats: stats["layers"]["live"] is False)
    tab.until(lambda now: now["seq"] > stats["seq"])
    assert tab.stats()["live"] - stats["live"] <= 1


def test_a_change_in_the_form_reaches_the_engine_and_its_log(growing: Growing, tab: Tab) -> None:
    tab.allow("422", "409", "400")
    tab.open(growing.engine, "method")
    form = field(tab, CHANGED)
    assert form.input_value() == "4"
    form.fill("2.5")
    form.press("Enter")
    tab.wait_for(lambda: changes_of(growing.engine))
    client = EngineClient(growing.engine.socket)
    answer = client.config()
    assert answer.parameters[CHANGED].value == 2.5 and answer.revision >= 1
    tab.until(lambda stats: stats["revision"] == answer.revision)
    change = changes_of(growing.engine)[0]
    assert (change["parameter"], change["old"], change["new"]) == (CHANGED, 4.0, 2.5)
    tab.wait_for(lambda: any(one["step"] is not None for one in changes_of(growing.engine)))
    form.fill("-3")
    form.press("Enter")
    tab.says(".parameters .note", "0")
    tab.wait_for(lambda: form.input_value() == "2.5")
    assert client.config().parameters[CHANGED].value == 2.5
    tab.go("log")
    tab.says(".events li", f"{CHANGED}: 4 becomes 2.5")


def test_a_change_elsewhere_is_seen_in_the_form(growing: Growing, tab: Tab) -> None:
    tab.open(growing.engine, "method")
    form = field(tab, CHANGED)
    tab.page.locator("h2").first.click()
    client = EngineClient(growing.engine.socket)
    assert client.command({"op": "set", "changes": {CHANGED: 7.5}}).ok
    tab.wait_for(lambda: form.input_value() == "7.5")


def test_pause_and_go_on(growing: Growing, tab: Tab) -> None:
    tab.open(growing.engine, "method")
    tab.page.get_by_role("button", name="Pause").click()
    tab.until(lambda stats: stats["state"] == "paused")
    assert EngineClient(growing.engine.socket).state().state == "paused"
    tab.page.get_by_role("button", name="Go on").click()
    tab.until(lambda stats: stats["state"] == "running")


def test_who_may_only_look_changes_nothing(growing: Growing, tab: Tab) -> None:
    tab.allow("403")
    tab.open(growing.engine, token=growing.engine.view_token)
    grow(tab)
    tab.go("method")
    tab.until(lambda stats: stats["parameters"] > 50)
    buttons = tab.page.locator(".orders button")
    if buttons.count():  # then the engine says why not
        buttons.first.click()
        tab.says(".method .about", LOOKS)
    form = field(tab, CHANGED)
    if form.is_enabled():
        form.fill("2.5")
        form.press("Enter")
        tab.says(".parameters .note", LOOKS)
        tab.wait_for(lambda: form.input_value() == "4")
    client = EngineClient(growing.engine.socket)
    assert client.state().state == "running" and not changes_of(growing.engine)
    assert client.config().parameters[CHANGED].value == 4.0


def test_killed_and_started_again(growing: Growing, tab: Tab, new_tab: NewTab) -> None:
    """Each engine has its own token: the page says so, and goes on as soon as the new address was
    opened in that browser."""
    tab.allow(*CUT_OFF, *SIGNED_OUT)
    before = grow(tab.open(growing.engine))
    kill(growing.engine.identity.pid)
    tab.until(lambda stats: stats["connection"] == "lost")
    tab.says(".banner", "does not answer")
    assert tab.stats()["points"] >= before["points"]
    growing.host.wait_until_empty()
    engine = growing.again()
    tab.until(lambda stats: stats["connection"] == "refused")
    tab.says(
        ".banner", "Open the address that the terminal prints (barfield view RUN prints it again)"
    )
    other = new_tab(beside=tab).open(engine)
    grow(other)
    stats = tab.until(lambda stats: stats["connection"] == "live")
    assert stats["engine"] == engine.engine != growing.engine.engine
    tab.page.locator(".banner").wait_for(state="hidden")
    grow(tab, tab.stats())


def test_reloaded_while_the_run_goes_on(growing: Growing, tab: Tab) -> None:
    first = grow(tab.open(growing.engine))
    tab.reload()
    again = tab.until(lambda stats: stats.get("livePoints") and stats["seq"] > first["seq"])
    assert again["points"] > 0


def test_a_wrong_token_is_refused_in_words(growing: Growing, tab: Tab) -> None:
    tab.allow("401")
    answer = tab.page.goto(address_of(growing.engine, "w" * 43))
    assert answer is not None and answer.status == 401
    assert "token" in tab.text("body")
    answer = tab.page.goto(f"http://127.0.0.1:{growing.engine.port}/")
    assert answer is not None and answer.status == 401
    assert tab.open(growing.engine).until(lambda stats: stats["connection"] == "live")
