"""Keys that come faster than a screen: before it has read what they are about, or all at once."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pipeline.engine.messages import ConfigAnswer
from pipeline.photograph_facts import Photographs, read_photographs
from tests.dashboard.configured import ConfiguredRun, as_far_as_mapping
from tests.dashboard.photograph_run import mapped_run
from tests.dashboard.pilot import (
    drive,
    key_event,
    press,
    rest,
    shown,
    text_of,
    type_keys,
    until,
    until_shown,
)
from tests.dashboard.recorded import app_of
from tests.dashboard.sketched import growing
from tui.dashboard.log_screen import LogScreen
from tui.dashboard.parameters import ParametersScreen
from tui.dashboard.photographs import PhotographsScreen
from tui.dashboard.run_screen import RunScreen

ERROR = "mapping.max_reprojection_error_px"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory that holds nothing yet."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return folder


@pytest.fixture
def goes_on() -> Event:
    """What was asked for is there."""
    return Event()


@pytest.fixture
def photographed(root: Path, goes_on: Event, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a disk takes its time to read photographs."""

    def slow(*asked: Any) -> Photographs:
        goes_on.wait(30.0)
        return read_photographs(*asked)

    monkeypatch.setattr("pipeline.photograph_facts.read_photographs", slow)
    return root


@pytest.fixture
def configured(root: Path, goes_on: Event, monkeypatch: pytest.MonkeyPatch) -> ConfiguredRun:
    """A run whose engine takes its time to tell the parameters."""
    run = as_far_as_mapping(root)
    tell = run.config

    def slow() -> ConfigAnswer:
        goes_on.wait(30.0)
        return tell()

    monkeypatch.setattr(run, "config", slow)
    return run


def test_photographs_take_them_when_they_are_read(photographed: Path, goes_on: Event) -> None:
    async def scenario() -> None:
        async with shown(app_of(mapped_run(photographed))) as pilot:
            await type_keys(pilot, "i", "o", "j", "j", "enter")
            await until_shown(pilot, "looking at what there is")
            goes_on.set()
            await until_shown(pilot, "do not")
            assert pilot.app.screen.has_class("-page")
            # As if they had come later: in the other order the fifth one is marked still.
            assert "00006.jpg" in text_of(pilot).splitlines()[1]

    drive(scenario())


def test_parameters_take_them_and_what_is_typed_into_a_field(
    configured: ConfiguredRun, goes_on: Event
) -> None:
    async def scenario() -> None:
        async with shown(app_of(configured)) as pilot:
            keys = ("slash", *"reprojection", "enter", "down", "enter", "3", "enter", "a")
            await type_keys(pilot, "p", *keys)
            await until_shown(pilot, "Asking the engine")
            goes_on.set()
            await until(pilot, lambda: bool(configured.commands))
            (command,) = configured.commands
            assert command["changes"] == {ERROR: 3.0}
            assert isinstance(pilot.app.screen, ParametersScreen)

    drive(scenario())


def test_parameters_take_keys_that_come_all_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(as_far_as_mapping(tmp_path / "garden"))) as pilot:
            await press(pilot, "p")
            for key in ("down", "down", "enter", "3", "enter"):
                pilot.app.post_message(key_event(key))
            await press(pilot)
            screen = pilot.app.screen
            assert isinstance(screen, ParametersScreen)
            assert screen.drafts.values == {ERROR: 3.0}

    drive(scenario())


def test_a_field_takes_keys_that_come_all_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        run = as_far_as_mapping(tmp_path / "garden")
        async with shown(app_of(run)) as pilot:
            await press(pilot, "p")
            # Ctrl-U and Enter act only when they have gone up to the app: what follows waits.
            search = ("slash", *"reprojection", "enter", "down")
            for key in (*search, "enter", "ctrl+u", "3", ".", "5", "enter", "a"):
                pilot.app.post_message(key_event(key))
            await until(pilot, lambda: bool(run.commands))
            (command,) = run.commands
            assert command["changes"] == {ERROR: 3.5}

    drive(scenario())


def test_the_log_takes_them_before_its_first_lines(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(growing(root))) as pilot:
            for key in ("l", "home", "down"):
                pilot.app.post_message(key_event(key))
            await press(pilot)
            screen = pilot.app.screen
            assert isinstance(screen, LogScreen)
            assert screen.query_one("#list").cursor == 1  # type: ignore[attr-defined]

    drive(scenario())


@pytest.mark.parametrize("keys", [("j", "i"), ("j", "escape"), ("slash", "i", "escape")])
def test_leaving_does_not_wait(photographed: Path, goes_on: Event, keys: tuple[str, ...]) -> None:
    async def scenario() -> None:
        async with shown(app_of(mapped_run(photographed))) as pilot:
            await type_keys(pilot, "i")
            assert isinstance(pilot.app.screen, PhotographsScreen)
            await type_keys(pilot, *keys)
            assert isinstance(pilot.app.screen, RunScreen)
            goes_on.set()
            await pilot.app.workers.wait_for_complete()
            await rest(pilot)
            assert isinstance(pilot.app.screen, RunScreen)

    drive(scenario())
