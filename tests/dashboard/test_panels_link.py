"""How sketches and thumbnails come from a run to its panels: through an engine, and without."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engine import runtime
from pipeline.events import Preview, Progress
from pipeline.sketches import encode_sketch
from tests.dashboard.recorded import gradient
from tests.dashboard.sketched import keypoints, ring
from tests.tui.conftest import make_run
from tests.tui.fake_engine import FakeEngine, publish
from tui.dashboard.left_behind import newest_sketch, sketch_of, thumbnail_files
from tui.dashboard.link import Link, Pace
from tui.dashboard.model import Model

PACE = Pace(between=0.02, wait=0.1, answer=2.0, search=0.05, picture=0.05)


def write_sketch(root: Path, stage: str, step: int, data: bytes) -> str:
    """A sketch as a stage keeps it; its place below the run."""
    path = root / stage / "previews" / f"{step:08}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path.relative_to(root).as_posix()


def write_thumbnails(root: Path) -> None:
    """Two of them."""
    folder = root / "photos" / "thumbnails"
    folder.mkdir(parents=True)
    names = {"000000.jpg": "a/first.jpg", "000001.jpg": "[red]weak[/red].jpg"}
    for file in names:
        (folder / file).write_bytes(gradient())
    (folder / "names.json").write_text(json.dumps(names))


def fold_until(link: Link, model: Model, true: Callable[[], bool]) -> None:
    """Fold what comes until something is true."""
    last = time.monotonic() + 20
    while not true():
        assert time.monotonic() < last, (model.connection, model.sketches, model.pictures)
        update = link.take()
        if update is not None:
            model.fold(update)
        time.sleep(0.01)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A run directory of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_run(tmp_path / "garden")


def test_sketches_and_thumbnails_of_a_run_that_goes_on(root: Path) -> None:
    write_thumbnails(root)
    with FakeEngine(runtime.socket_path(root), root) as engine:
        file = publish(engine)
        for state in ("waiting", "started"):
            engine.tell_stage("features", state)
        engine.tell_run("running")
        engine.tell("features", Progress(1, 24, "photos", "a/first.jpg"))
        sketched = write_sketch(root, "features", 1, encode_sketch(keypoints(1)))
        engine.tell("features", Preview(sketched, step=1))
        link, model = Link(root, pace=PACE), Model()
        link.start()
        fold_until(link, model, lambda: "features" in model.sketches)
        fold_until(link, model, lambda: "features" in model.pictures)
        assert model.sketches["features"] == keypoints(1)
        picture = model.pictures["features"]
        assert picture.caption == "a/first.jpg" and picture.data == gradient()
        write_sketch(root, "features", 1, encode_sketch(keypoints()))
        engine.tell_stage("features", "done")  # the last one has the name of the one before
        fold_until(link, model, lambda: model.sketches["features"] == keypoints())
        fold_until(link, model, lambda: "weak" in model.pictures["features"].caption)
        engine.tell_stage("features", "stale")
        fold_until(link, model, lambda: "features" not in model.sketches)
        link.close()
        runtime.withdraw(file)


def test_pictures_have_the_words_that_came_with_them(root: Path) -> None:
    with FakeEngine(runtime.socket_path(root), root) as engine:
        file = publish(engine)
        engine.tell_stage("depth", "waiting")
        engine.tell_stage("radiance", "waiting")
        engine.tell_stage("depth", "started")
        engine.tell_run("running")
        link, model = Link(root, pace=PACE), Model()
        link.start()
        preview = "depth/previews/000003.jpg"
        (root / preview).parent.mkdir(parents=True)
        for data in (gradient(), gradient(3, 2)):  # the second time under the name of the first
            (root / preview).write_bytes(data)
            engine.tell("depth", Preview(preview, "d.jpg"))
            fold_until(link, model, lambda: "depth" in model.pictures)
            picture = model.pictures["depth"]
            assert picture.caption == "d.jpg" and picture.data == data
            engine.tell_stage("depth", "stale")
            engine.tell_stage("depth", "started")
            fold_until(link, model, lambda: "depth" not in model.pictures)
            time.sleep(3 * PACE.between)
        engine.tell("radiance", Preview("radiance/previews/9.jpg", "a.jpg", 9, 21.52))
        fold_until(link, model, lambda: "radiance" in model.pictures)
        assert model.pictures["radiance"].caption == "a.jpg, step 9, 21.5 dB"
        link.close()
        runtime.withdraw(file)


def test_what_an_earlier_engine_left_is_found(root: Path) -> None:
    write_sketch(root, "mapping", 9, encode_sketch(ring(9)))
    write_sketch(root, "mapping", 7, encode_sketch(ring(7)))  # a later attempt
    with FakeEngine(runtime.socket_path(root), root) as engine:
        file = publish(engine)
        engine.tell_stage("mapping", "waiting")
        engine.tell_stage("mapping", "skipped")
        engine.tell_run("running")
        link, model = Link(root, pace=PACE, pictures=False), Model()
        link.start()
        fold_until(link, model, lambda: model.sketches.get("mapping") == ring(7))
        link.close()
        runtime.withdraw(file)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\x00", b"x" * (2**20 + 1)])
def test_a_sketch_that_is_damaged_is_none(root: Path, data: bytes) -> None:
    assert sketch_of(root, "mapping", write_sketch(root, "mapping", 1, data)) is None


def test_nothing_outside_the_run_is_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_bytes(encode_sketch(ring()))
    assert sketch_of(root, "mapping", "../secret.json") is None
    (root / "link.json").symlink_to(tmp_path / "secret.json")
    assert sketch_of(root, "mapping", "link.json") is None


def test_a_run_without_sketches_and_thumbnails(root: Path) -> None:
    assert newest_sketch(root, "mapping") == "" and thumbnail_files(root) == {}
    (root / "photos" / "thumbnails").mkdir(parents=True)
    for text in ("[]", "{", "3"):
        (root / "photos" / "thumbnails" / "names.json").write_text(text)
        assert thumbnail_files(root) == {}
