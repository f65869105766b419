"""The model: what is folded into it, in bounded memory."""

from __future__ import annotations

from pathlib import Path

from pipeline.engine.messages import Bucket, MetricAnswer
from pipeline.events import Event, FilmChanged, Metric, ParameterChanged, Warned
from tests.dashboard.recorded import RecordedRun, begin, finish, in_mapping
from tui.dashboard.model import MOST_LINES, MOST_SERIES, Connection, Model, Update


def folded(run: RecordedRun) -> Model:
    """A model of all that was told."""
    model = Model()
    update = run.take()
    assert update is not None
    model.fold(update)
    return model


def test_the_current_stage_is_the_one_that_runs_or_ended_last(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path)
    begin(run)
    model = folded(run)
    assert model.current is not None and model.current.name == "ingest"
    finish(run, "ingest", "features")
    assert (current := folded(run).current) is not None and current.name == "features"
    assert (current := folded(in_mapping(tmp_path)).current) is not None
    assert current.name == "mapping"
    assert Model().current is None and Model().state == ""


def test_events_that_come_twice_count_once(tmp_path: Path) -> None:
    run = in_mapping(tmp_path)
    update = run.take()
    assert update is not None
    model = Model()
    model.fold(update)
    lines = list(model.lines)
    points = model.series["mapping", "points"].points(100)
    model.fold(update)
    assert list(model.lines) == lines
    assert model.series["mapping", "points"].points(100) == points and len(points) == 12


def test_a_fresh_update_begins_anew(tmp_path: Path) -> None:
    model = folded(in_mapping(tmp_path))
    assert model.series and model.lines
    model.fold(Update(Connection("live"), 1.0, fresh=True))
    assert not model.series and not model.lines and model.view is None


def test_parameters_leave_a_mark_where_they_take_effect() -> None:
    asked = ParameterChanged("mapping.loss_scale_px", 1.0, 2.0, "eva", 1)
    applied = ParameterChanged("mapping.loss_scale_px", 1.0, 2.0, "eva", 1, step=7)
    events = (Event(1, 5.0, 5.0, "mapping", asked), Event(2, 6.0, 6.0, "mapping", applied))
    model = Model()
    model.fold(Update(Connection("live"), 0.0, events=events))
    assert [mark.step for mark in model.marks_of("mapping")] == [7]
    assert model.marks_of("radiance") == [] and model.changes[0][1] == asked


def test_a_film_is_told_of_when_it_begins_and_ends(tmp_path: Path) -> None:
    run = in_mapping(tmp_path)
    run.tell("", FilmChanged("orbit", "rendering", 0, 90))
    run.tell("", *(FilmChanged("orbit", "rendering", done, 90) for done in range(1, 90)))
    run.tell("", FilmChanged("orbit", "done", 90, 90, file="orbit.mp4"))
    run.tell("", FilmChanged("spiral", "failed", 3, 90, why="the disk is full"))
    assert [(line.level, line.text) for line in list(folded(run).lines)[-3:]] == [
        ("info", "film orbit begun"),
        ("info", "film orbit done: renders/orbit.mp4"),
        ("error", "film spiral failed: the disk is full"),
    ]


def test_history_is_joined_with_what_comes_later() -> None:
    buckets = tuple(
        Bucket(first_step=10 * i, last_step=10 * i + 9, low=i, high=i + 1, last=i + 0.5)
        for i in range(5)
    )
    history = (MetricAnswer(stage="radiance", name="loss", buckets=buckets),)
    event = Event(9, 0.0, 0.0, "radiance", Metric("loss", 9.0, 60))
    model = Model()
    model.fold(Update(Connection("live"), 0.0, history=history, events=(event,)))
    points = model.series["radiance", "loss"].points(100)
    assert [step for step, _, _ in points] == sorted(step for step, _, _ in points)
    assert points[-1] == (60.0, 9.0, 9.0)
    assert min(low for _, low, _ in points) == 0 and max(p[2] for p in points[:-1]) == 5


def test_a_flood_stays_in_bounded_memory() -> None:
    events = tuple(
        Event(i + 1, float(i), float(i), "radiance", Metric(f"m{i % 500}", float(i), i))
        if i % 10
        else Event(i + 1, float(i), float(i), "radiance", Warned(f"{i}"))
        for i in range(50_000)
    )
    model = Model()
    model.fold(Update(Connection("live"), 0.0, events=events))
    assert len(model.lines) == MOST_LINES and model.lines_seen == 5000
    assert len(model.series) <= MOST_SERIES


def test_the_age_of_the_data_is_by_the_clock_of_the_update() -> None:
    model = Model()
    assert model.age_s(5.0) is None
    model.fold(Update(Connection("live"), 3.0, events=(Event(1, 0, 0, "", Warned("x")),)))
    assert model.age_s(5.0) == 2.0
    model.fold(Update(Connection("silent"), 3.0))
    assert model.age_s(9.0) == 6.0
