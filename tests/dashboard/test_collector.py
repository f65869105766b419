"""Python's collector waits until nobody types."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard.pilot import drive, press, shown
from tests.dashboard.recorded import app_of, in_mapping
from tui.dashboard.collector import IdleCollector


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The collections, by the test's clock; Python's own settings are as before afterwards."""
    made: list[float] = []
    before = gc.get_threshold()
    monkeypatch.setattr(gc, "collect", lambda: made.append(Clock.now))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(Clock, "now", 100.0)
    yield made
    gc.set_threshold(*before)


class Clock:
    """Monotonic seconds that the test turns."""

    now = 100.0

    def __call__(self) -> float:
        return Clock.now


def test_it_waits_until_nobody_types(collections: list[float]) -> None:
    collector = IdleCollector(Clock())
    for second in range(101, 130):
        Clock.now = float(second)
        if second < 110:
            collector.typed()
        collector.rest()
    assert len(collections) == 1 and collections[0] >= 111.0


def test_it_comes_now_and_then_where_nobody_types_at_all(collections: list[float]) -> None:
    collector = IdleCollector(Clock())
    for second in range(101, 400):
        Clock.now = float(second)
        collector.rest()
    assert 2 <= len(collections) <= 5


def test_a_key_of_the_dashboard_counts(collections: list[float], tmp_path: Path) -> None:
    async def scenario() -> None:
        collector = IdleCollector(Clock())
        app = app_of(in_mapping(tmp_path), collector=collector)
        async with shown(app) as pilot:
            Clock.now += 10.0
            collector.rest()
            assert not collections
            await press(pilot, "k")
            Clock.now += 10.0
            collector.rest()
            assert collections

    drive(scenario())
