"""The state is the sum of the events, whatever the clocks do."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from itertools import accumulate
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.fold import RunState
from pipeline.engine.messages import RunView, StageView
from pipeline.engine.state import JournalIdentity, run_view
from pipeline.events import (
    Checkpointed,
    Event,
    FilmChanged,
    FilmStateName,
    Metric,
    ParameterChanged,
    Progress,
    Record,
    Report,
    RunChanged,
    RunStateName,
    StageChanged,
    StageStateName,
    Warned,
)
from tests.engine.journals import ROOT, identity

STAGES = ("ingest", "features", "mapping")
WORDS = st.sampled_from(["", "a", "why not", "ü\n"])
NUMBERS = st.integers(-3, 40) | st.integers(0, 10**12)
RUN_STATES: list[RunStateName] = [
    "starting",
    "running",
    "paused",
    "stopping",
    "stopped",
    "failed",
    "done",
]
STAGE_STATES: list[StageStateName] = [
    "waiting",
    "started",
    "done",
    "skipped",
    "stale",
    "stopped",
    "failed",
]

FILM_STATES: list[FilmStateName] = ["rendering", "done", "failed", "cancelled"]


def stage_changed(
    stage: str, state: StageStateName, seconds: float, words: str
) -> tuple[str, Record]:
    return stage, StageChanged(stage, state, seconds, words, words, (words,))


def records() -> st.SearchStrategy[tuple[str, Record]]:
    stages = st.sampled_from(STAGES)
    seconds = st.sampled_from([0.0, 0.5, 3600.0])
    of_stages: list[st.SearchStrategy[Record]] = [
        st.builds(Progress, NUMBERS, st.none() | NUMBERS, WORDS, WORDS),
        st.builds(Metric, st.sampled_from(["loss", "points"]), st.floats(), NUMBERS, WORDS),
        st.builds(Warned, WORDS, WORDS),
        st.builds(Report, st.just({"a": [1, None]})),
        st.builds(Checkpointed, NUMBERS),
    ]
    return st.one_of(
        st.tuples(stages, st.one_of(of_stages)),
        st.builds(stage_changed, stages, st.sampled_from(STAGE_STATES), seconds, WORDS),
        st.tuples(
            st.just(""),
            st.builds(RunChanged, st.sampled_from(RUN_STATES), WORDS)
            | st.builds(ParameterChanged, WORDS, NUMBERS, NUMBERS, WORDS, NUMBERS)
            | st.builds(FilmChanged, WORDS, st.sampled_from(FILM_STATES), NUMBERS, NUMBERS),
        ),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events whose monotonic clock mostly grows (not over a reboot), and whose wall clock jumps."""
    begin: list[tuple[str, Record]] = [
        ("", RunChanged("starting")),
        *((name, StageChanged(name, "started")) for name in STAGES),
    ]
    told = [*begin[: draw(st.integers(0, len(begin)))], *draw(st.lists(records(), max_size=40))]
    steps = st.sampled_from([0.0, 0.1, 0.25, 1.0, 7.0, 40.0, 5000.0, -1e6])
    monos = accumulate(draw(steps) for _ in told)
    walls = st.floats(0, 1e10)
    return [
        Event(seq, draw(walls), max(0.0, mono), stage, record)
        for seq, ((stage, record), mono) in enumerate(zip(told, monos, strict=True), start=1)
    ]


def fold(events: list[Event], state: RunState | None = None) -> RunState:
    state = state or RunState()
    for event in events:
        state.apply(event)
    return state


def through_json(state: RunState) -> RunState:
    return RunState.model_validate(json.loads(json.dumps(state.model_dump(mode="json"))))


def view_of(state: RunState, mono: float | None = None) -> RunView:
    return run_view(ROOT, identity(), state, state.mono if mono is None else mono)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(events=histories(), data=st.data())
def test_a_snapshot_and_the_rest_are_the_whole(events: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    whole = fold(events)
    pieces = fold(events[cut:], through_json(fold(events[:cut])))
    assert pieces == whole
    assert view_of(pieces) == view_of(whole)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(events=histories(), later=st.sampled_from([-1e6, 0.0, 3.0, 1e7]))
def test_a_view_is_sane_whatever_the_clocks_do(events: list[Event], later: float) -> None:
    state = fold(events)
    view = view_of(state, state.mono + later)
    text = view.model_dump_json()
    assert RunView.model_validate_json(text) == view  # nothing in it that JSON cannot say
    assert view.seconds >= 0
    assert view.seq == len(events)
    assert len(view.warnings) <= 50
    for stage in view.stages:
        assert stage.seconds >= 0
        for value in (stage.rate, stage.left_s):
            assert value is None or (math.isfinite(value) and value >= 0)
        assert stage.rate is None or stage.state == "started"
        assert stage.left_s is None or stage.rate is not None


@settings(derandomize=True, deadline=None, max_examples=30)
@given(events=histories(), data=st.data())
def test_the_wall_clock_decides_nothing(events: list[Event], data: st.DataObject) -> None:
    walls = st.floats(0, 1e10)
    moved = [Event(e.seq, data.draw(walls), e.mono, e.stage, e.record) for e in events]
    assert view_of(fold(moved)) == view_of(fold(events))


class Telling:
    """Builds a state by hand."""

    def __init__(self) -> None:
        self.state = RunState()
        self.mono = 1000.0

    def __call__(self, stage: str, record: Record, after_s: float = 0.0) -> None:
        self.mono += after_s
        seq = self.state.seq + 1
        self.state.apply(Event(seq, 1e9 + self.mono, self.mono, stage, record))

    def stage(self, name: str = "features", later_s: float = 0.0) -> StageView:
        view = view_of(self.state, self.mono + later_s)
        return next(stage for stage in view.stages if stage.name == name)


def started() -> Telling:
    tell = Telling()
    tell("", RunChanged("starting"))
    for name in STAGES:
        tell(name, StageChanged(name, "waiting"))
    tell("", RunChanged("running"))
    tell("features", StageChanged("features", "started", why="first time"))
    return tell


def progress(done: int, total: int | None = 1000, unit: str = "photos") -> Progress:
    return Progress(done, total, unit, "a.jpg")


def test_rate_and_time_left_of_a_steady_stage() -> None:
    tell = started()
    for second in range(100):
        tell("features", progress(4 * second), 1.0)
    stage = tell.stage()
    assert (stage.done, stage.total, stage.unit, stage.doing) == (396, 1000, "photos", "a.jpg")
    assert stage.rate is not None and 3.9 < stage.rate < 4.1
    assert stage.left_s is not None and 148 < stage.left_s < 154
    assert stage.seconds == 100.0
    assert tell.stage(later_s=5).seconds == 105.0


def test_the_rate_follows_the_last_half_minute() -> None:
    tell = started()
    for second in range(200):
        tell("features", progress(100 * second, None), 1.0)
    for second in range(40):
        tell("features", progress(19_900 + second, None), 1.0)
    rate = tell.stage().rate
    assert rate is not None and 0.9 < rate < 1.3
    assert tell.stage().left_s is None  # of an unknown total


def test_slow_items_have_a_rate_too() -> None:
    tell = started()
    for done in range(5):
        tell("features", progress(done, 10), 100.0)
        for _ in range(30):
            tell("features", progress(done, 10), 3.0)
    stage = tell.stage()
    assert stage.rate is not None and 1 / 240 < stage.rate < 1 / 180
    assert stage.left_s is not None and 1000 < stage.left_s < 1500


def test_a_stage_that_hangs_becomes_slow() -> None:
    tell = started()
    for second in range(20):
        tell("features", progress(10 * second), 1.0)
    for _ in range(200):
        tell("features", progress(190), 1.0)
    rate = tell.stage().rate
    assert rate is not None and 0 < rate < 1.0


def test_nothing_is_guessed_from_too_little() -> None:
    tell = started()
    assert tell.stage().rate is None
    tell("features", progress(1), 1.0)
    tell("features", progress(500), 0.1)
    assert (tell.stage().rate, tell.stage().left_s) == (None, None)
    tell("features", progress(501), 1.0)
    assert tell.stage().rate is not None


def test_counting_anew_or_something_else_restarts_the_rate() -> None:
    for restarting in (progress(3), progress(5000, unit="pairs"), progress(900, None)):
        tell = started()
        for second in range(10):
            tell("features", progress(100 * second), 1.0)
        tell("features", restarting, 1.0)
        assert tell.stage().rate is None
        assert tell.stage().done == restarting.done
        for _ in range(5):
            tell("features", restarting, 1.0)
        assert tell.stage().rate is None  # it does not grow


def test_a_pause_does_not_count_as_slowness() -> None:
    tell = started()
    for second in range(10):
        tell("features", progress(10 * second), 1.0)
    tell("", RunChanged("paused", "by me"))
    assert tell.stage().rate is None
    tell("", RunChanged("running"), 3600.0)
    for second in range(10, 15):
        tell("features", progress(10 * second), 1.0)
    rate = tell.stage().rate
    assert rate is not None and 9.9 < rate < 10.1


def test_the_end_of_a_stage() -> None:
    tell = started()
    tell("features", progress(997), 2.0)
    tell("features", Warned("few keypoints", "a.jpg"))
    tell("features", Checkpointed(7))
    tell("features", StageChanged("features", "done", 2.5), 0.5)
    stage = tell.stage(later_s=100)
    assert (stage.state, stage.seconds, stage.done, stage.doing) == ("done", 2.5, 1000, "")
    assert (stage.warnings, stage.checkpoint_step) == (1, 7)
    assert (stage.rate, stage.left_s) == (None, None)


def test_a_failure_keeps_its_words_until_the_next_try() -> None:
    tell = started()
    tell("features", progress(5), 2.0)
    failed = StageChanged("features", "failed", 0.0, "killed", "use fewer cores", ("x", "y"))
    tell("features", failed, 1.0)
    stage = tell.stage(later_s=50)
    assert (stage.why, stage.hint, stage.log) == ("killed", "use fewer cores", ("x", "y"))
    assert (stage.done, stage.seconds) == (5, 3.0)  # nobody said how long: by the clock
    tell("", RunChanged("failed", "features: killed"))
    assert view_of(tell.state, tell.mono + 99).seconds == 3.0
    tell("", RunChanged("running"), 10.0)
    tell("features", StageChanged("features", "started"))
    stage = tell.stage(later_s=1)
    assert (stage.why, stage.hint, stage.log, stage.done) == ("", "", (), 0)
    assert stage.seconds == 1.0
    assert view_of(tell.state, tell.mono + 1).seconds == 14.0


def test_a_new_pass_begins_with_nothing_but_metrics_and_revision() -> None:
    tell = started()
    tell("features", Metric("keypoints", 5.0, 3))
    tell("features", Warned("odd"))
    tell("", ParameterChanged("features.max", 1, 2, "me", 4))
    tell("", RunChanged("failed", "why", "hint"))
    tell.mono = 5.0  # after a reboot
    tell("", RunChanged("starting"))
    view = view_of(tell.state, tell.mono + 2)
    assert (view.stages, view.warnings) == ((), ())
    assert (view.state, view.why, view.hint, view.seconds) == ("starting", "", "", 2.0)
    assert view.revision == 4
    assert [(m.stage, m.name, m.value, m.step) for m in view.metrics] == [
        ("features", "keypoints", 5.0, 3)
    ]


def test_only_the_newest_warnings_are_kept_and_all_are_counted() -> None:
    tell = started()
    for number in range(70):
        tell("features", Warned(f"odd {number}", "a.jpg" if number % 2 else ""))
    view = view_of(tell.state)
    assert len(view.warnings) == 50
    assert view.warnings[0] == "odd 20" and view.warnings[-1] == "a.jpg: odd 69"
    assert tell.stage().warnings == 70


def test_stages_stand_in_the_order_of_the_plan() -> None:
    tell = started()
    tell("ingest", StageChanged("ingest", "skipped", why="up to date"))
    tell("mapping", StageChanged("mapping", "stale", why="features.max changed"))
    names: list[Any] = [(stage.name, stage.state) for stage in view_of(tell.state).stages]
    assert names == [("ingest", "skipped"), ("features", "started"), ("mapping", "stale")]


def test_an_identity_goes_into_the_view() -> None:
    view = run_view(ROOT, JournalIdentity("e1", "castle", "box", 12, 1e9), RunState(), 0.0)
    assert (view.engine, view.run, view.host, view.pid, view.started) == (
        "e1", "castle", "box", 12, 1e9,
    )  # fmt: skip
    assert view.root == str(ROOT)


def test_a_film_is_known_until_the_run_begins_anew() -> None:
    film = FilmChanged("film-1", "done", 4, 4, 0.0, "film-1.mp4", "words")
    told: list[Record] = [RunChanged("starting"), film]
    events = [Event(n, 0.0, 0.0, "", record) for n, record in enumerate(told, 1)]
    known = view_of(fold(events)).film
    assert known is not None and known.model_dump() == asdict(film)
    again = Event(3, 0.0, 0.0, "", RunChanged("starting"))
    assert view_of(fold([*events, again])).film is None
