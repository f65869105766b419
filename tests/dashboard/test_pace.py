"""How often the screen is drawn."""

from __future__ import annotations

from pathlib import Path

from tests.dashboard.pilot import drive, rest, shown, type_keys
from tests.dashboard.recorded import app_of, in_mapping
from tui.dashboard.pace import MOST_FRAMES_A_SECOND, FramePace


class Clock:
    """Monotonic seconds that the test turns."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_no_second_has_too_many_frames_and_the_first_ones_do_not_wait() -> None:
    clock = Clock()
    pace = FramePace(clock)
    drawn: list[float] = []
    while clock.now < 105.0:
        if pace.may_draw():
            pace.drawn()
            drawn.append(clock.now)
        clock.now += 1 / 60
    assert drawn[2] - drawn[0] < 0.04
    in_a_second = [sum(begin <= at < begin + 1.0 for at in drawn) for begin in drawn]
    assert min(in_a_second[:-15]) >= MOST_FRAMES_A_SECOND - 4
    assert max(in_a_second) <= MOST_FRAMES_A_SECOND


def test_after_a_rest_a_key_does_not_wait() -> None:
    clock = Clock()
    pace = FramePace(clock)
    for _ in range(3):
        pace.drawn()
    assert not pace.may_draw()
    clock.now += 0.5
    for _ in range(3):
        assert pace.may_draw()
        pace.drawn()
    assert not pace.may_draw()


class Counted(FramePace):
    """Counts the frames."""

    frames = 0

    def drawn(self) -> None:
        self.frames += 1
        super().drawn()


def test_what_was_held_back_is_drawn_a_little_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, app = Clock(), app_of(in_mapping(tmp_path))
        async with shown(app) as pilot:
            app.pace = pace = Counted(clock)
            for _ in range(20):
                await type_keys(pilot, "k")
            assert pace.frames == 3
            clock.now += 10.0
            await rest(pilot)
            assert pace.frames > 3

    drive(scenario())
