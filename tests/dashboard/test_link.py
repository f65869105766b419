"""The link to an engine, without a terminal: hanging, strange and absent engines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.engine import runtime
from pipeline.events import Metric, ParameterChanged, Progress, Warned
from tests.tui.conftest import make_run
from tests.tui.fake_engine import FakeEngine, publish
from tui.dashboard.link import Link, Pace
from tui.dashboard.model import Model

PACE = Pace(between=0.02, wait=0.1, answer=0.5, search=0.05)


@pytest.fixture(autouse=True)
def state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory without products."""
    return make_run(tmp_path / "garden")


@pytest.fixture
def engine(root: Path) -> Iterator[FakeEngine]:
    """An engine in the middle of a run."""
    with FakeEngine(runtime.socket_path(root), root) as fake:
        file = publish(fake)
        fake.tell_run("starting")
        fake.tell_stage("features", "waiting")
        fake.tell_run("running")
        fake.tell_stage("features", "started")
        yield fake
        runtime.withdraw(file)


@contextmanager
def following(root: Path) -> Iterator[tuple[Link, Model, Callable[[Callable[[], bool]], None]]]:
    """A link, a model, and a function that folds until something is true."""
    link, model = Link(root, pace=PACE), Model()
    link.start()

    def fold_until(true: Callable[[], bool]) -> None:
        last = time.monotonic() + 20
        while not true():
            assert time.monotonic() < last, (model.connection, model.state)
            update = link.take()
            if update is not None:
                model.fold(update)
            time.sleep(0.01)

    yield link, model, fold_until
    link.close()


def test_events_arrive_once_and_commands_go_out(root: Path, engine: FakeEngine) -> None:
    with following(root) as (link, model, fold_until):
        fold_until(lambda: model.connection.state == "live")
        engine.tell("features", Progress(3, 9, "photos", "c.jpg"))
        engine.tell("features", Warned("too dark", "c.jpg"))
        engine.tell("features", ParameterChanged("features.sigma", 1.6, 2.0, "eva", 1))
        engine.tell("features", ParameterChanged("features.sigma", 1.6, 2.0, "eva", 1, 4))
        for step in range(5):
            engine.tell("features", Metric("keypoints", 100.0 * step, step, "a"))
        fold_until(lambda: bool(model.marks) and ("features", "keypoints") in model.series)
        fold_until(lambda: model.series["features", "keypoints"].last == 400.0)
        stage = model.stage("features")
        assert stage is not None and (stage.done, stage.total) == (3, 9)
        texts = [line.text for line in model.lines]
        assert texts.count("c.jpg: too dark") == 1
        assert model.marks_of("features")[0].step == 4 and len(model.changes) == 1
        assert link.command({"op": "pause"}).ok and engine.commands == [{"op": "pause"}]


def test_an_engine_of_another_version_is_told(root: Path, engine: FakeEngine) -> None:
    engine.replies["/api/state"] = (200, json.dumps({"protocol": 99}).encode())
    with following(root) as (_, model, fold_until):
        fold_until(lambda: model.connection.state == "refused")
        assert "another version" in model.connection.words
        del engine.replies["/api/state"]
        fold_until(lambda: model.connection.state == "live")


def test_an_engine_that_hangs_is_silent_until_it_answers(
    root: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, hanging = engine.answer, [True]

    def hang(*asked: object) -> object:
        if hanging[0]:
            time.sleep(0.8)
        return answer(*asked)  # type: ignore[arg-type]

    with following(root) as (_, model, fold_until):
        fold_until(lambda: model.connection.state == "live")
        monkeypatch.setattr(engine, "answer", hang)
        fold_until(lambda: model.connection.state == "silent")
        assert model.state == "running"
        engine.tell("features", Warned("meanwhile"))
        hanging[0] = False
        fold_until(lambda: model.connection.state == "live")
        fold_until(lambda: any(line.text == "meanwhile" for line in model.lines))


def test_no_engine_shows_what_was_left_and_writes_nothing(root: Path, engine: FakeEngine) -> None:
    engine.tell("features", Progress(3, 9, "photos"))
    engine.keep_state()
    engine.sync()
    for path in runtime.socket_path(root).parent.iterdir():
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with following(root) as (link, model, fold_until):
        fold_until(lambda: model.connection.state == "left" and model.view is not None)
        assert model.state == "interrupted"
        stage = model.stage("features")
        assert stage is not None and model.state_of(stage) == "stopped"
        with pytest.raises(Exception, match="No engine"):
            link.command({"op": "pause"})
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "empty")  # noqa: PTH102
    with following(tmp_path / "empty") as (_, model, fold_until):
        fold_until(lambda: model.connection.state == "left")
        assert model.view is None and model.state == "" and model.current is None


def test_a_reader_that_is_slow_gets_all_at_once_in_bounded_memory(
    root: Path, engine: FakeEngine
) -> None:
    with following(root) as (link, model, fold_until):
        fold_until(lambda: model.connection.state == "live")
        for number in range(6000):
            engine.tell("features", Warned(f"{number}"))
        time.sleep(0.5)
        update = link.take()
        assert update is not None and len(update.events) <= 4000
        model.fold(update)
        fold_until(lambda: model.lines[-1].text == "5999")
        assert len(model.lines) <= 2000
