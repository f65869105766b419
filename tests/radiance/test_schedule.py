"""A budget of time becomes steps, once, and is corrected where the pace changes."""

from __future__ import annotations

import pytest

from pipeline.radiance.schedule import Schedule


def run(schedule: Schedule, pace_s: list[float]) -> tuple[int, float]:
    """Steps and seconds to the end; pace_s: of each step, the last one from then on."""
    step, seconds = 0, 0.0
    while schedule.progress(step) < 1.0:
        seconds += pace_s[min(step, len(pace_s) - 1)]
        step += 1
        schedule.passed(step, seconds)
    return step, seconds


def test_steps_are_steps() -> None:
    schedule = Schedule(40, None)
    assert [schedule.progress(step) for step in (0, 10, 40, 41)] == [0.0, 0.25, 1.0, 1.0]
    assert run(schedule, [1e9]) == (40, 4e10)


def test_a_budget_is_used_up() -> None:
    schedule = Schedule(None, 100.0)
    assert schedule.steps is None
    steps, seconds = run(schedule, [3.0, 0.1])  # the first step warms up
    assert 98.0 < seconds <= 100.0
    assert 960 <= steps <= 975


def test_a_slower_or_faster_pace_is_noticed() -> None:
    slower = run(Schedule(None, 100.0), [0.1] * 200 + [0.3])
    faster = run(Schedule(None, 100.0), [0.1] * 200 + [0.03])
    assert 95.0 < slower[1] < 110.0 and 450 < slower[0] < 480
    assert 85.0 < faster[1] < 110.0 and 2300 < faster[0] < 3100


def test_a_steady_pace_changes_nothing() -> None:
    schedule = Schedule(None, 100.0)
    planned, seconds = set(), 0.0
    for step in range(1, 900):
        seconds += 0.1 + 0.01 * (step % 2)
        schedule.passed(step, seconds)
        planned.add(schedule.steps)
    assert len(planned) == 2  # none at first, then one


def test_a_budget_shorter_than_its_calibration_ends() -> None:
    assert run(Schedule(None, 2.0), [0.5]) == (4, 2.0)


def test_progress_never_falls() -> None:
    schedule = Schedule(None, 50.0)
    seconds, before = 0.0, 0.0
    for step in range(1, 3000):
        seconds += 0.05 if step < 300 else 0.02
        schedule.passed(step, seconds)
        assert schedule.progress(step) >= before
        before = schedule.progress(step)
    assert before == 1.0


def test_a_schedule_goes_on_where_it_was() -> None:
    one, two = Schedule(None, 100.0), Schedule(None, 100.0)
    for step in range(1, 300):
        one.passed(step, 0.1 * step)
    two.load_json(one.to_json())
    assert [two.progress(s) for s in (300, 700)] == [one.progress(s) for s in (300, 700)]
    with pytest.raises(KeyError):
        two.load_json({"steps": 3})


def test_a_schedule_has_one_measure() -> None:
    for steps, budget_s in ((None, None), (10, 10.0)):
        with pytest.raises(ValueError, match="either"):
            Schedule(steps, budget_s)
