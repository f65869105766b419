"""The runner with stages that make small products: order, skipping, stopping, failing, reports."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline import commands
from pipeline.comparison import Comparison
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Progress, Record, StageChanged, Warned
from pipeline.formats.colmap_database import read_database
from pipeline.report import advice
from pipeline.request import GivenPaths, RunRequest
from pipeline.run_directory import read_report
from pipeline.runner import failures_in_words
from pipeline.settings import load_settings
from pipeline.stages import STAGE_NAMES, Route, StageEntry, plan
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests import fake_stages
from tests.engine import fake_worker

Seen = list[tuple[str, Record]]
WHICH: tuple[Literal["best", "mapping", "refined"], ...] = ("best", "mapping", "refined")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with four files that the fake ingest takes for photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts the fake stages in the place of the real ones; called, replaces one of them."""
    table = {entry.name: entry for entry in fake_stages.METHOD}

    def fake_plan(*, route: Route, until: str | None = None) -> Sequence[StageEntry]:
        return [table[entry.name] for entry in plan(route=route, until=until)]

    def swap(name: str, factory: type) -> None:
        monkeypatch.setattr(fake_stages, factory.__name__, factory, raising=False)
        table[name] = replace(table[name], target=f"tests.fake_stages:{factory.__name__}")

    monkeypatch.setattr(commands, "plan", fake_plan)
    return swap


def run(
    photos: Path,
    *assignments: str,
    until: str | None = None,
    out: Path | None = None,
    listener: Callable[[str, Record], None] | None = None,
    stop: threading.Event | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The report of a run, and how each stage ended with the reason."""
    seen: Seen = []
    request = RunRequest(
        paths=GivenPaths(photos=photos),
        out=out or photos.parent / "run",
        config=load_settings(None, assignments),
        until=until,
    )
    subscribers = [lambda stage, record: seen.append((stage, record))]
    report = commands.run(
        request, [*subscribers, *([listener] if listener else [])], stop or threading.Event()
    )
    states: dict[str, str] = {
        stage: record.state
        for stage, record in seen
        if isinstance(record, StageChanged) and record.state != "started"
    }
    return report, states


@pytest.mark.usefixtures("method")
def test_a_run_makes_everything_and_the_next_skips_it(photos: Path) -> None:
    report, states = run(photos)
    assert states == dict.fromkeys(STAGE_NAMES, "done")
    assert (report["images"], report["registered"], report["models"]) == (4, 3, 1)
    assert (report["points"], report["observations"]) == (1, 3)
    assert report["reprojection_error_px"] == pytest.approx(0.5)
    assert set(report["seconds"]) == set(STAGE_NAMES)
    assert report["peak_rss_mb"] > 1
    assert report["verdicts"][3]["reason"] == "3 matches, 15 needed"
    root = photos.parent / "run"
    assert read_report(root) == json.loads(json.dumps(report))
    assert {"run.toml", "events.jsonl", "manifest.json", "database.db", "points.ply"} <= {
        path.name for path in root.iterdir()
    }
    before = (root / "sparse/0/images.bin").stat().st_mtime_ns
    again, states = run(photos)
    assert states == dict.fromkeys(STAGE_NAMES, "skipped")
    assert (root / "sparse/0/images.bin").stat().st_mtime_ns == before
    assert again["verdicts"] == report["verdicts"] and again["seconds"] == report["seconds"]


@pytest.mark.usefixtures("method")
def test_a_changed_field_reruns_its_stage_and_those_after_it(photos: Path) -> None:
    run(photos)
    told: list[str] = []

    def listen(stage: str, record: Record) -> None:
        if isinstance(record, StageChanged) and record.state == "started":
            told.append(record.why)

    _, states = run(photos, "matching.ratio=0.7", listener=listen)
    later = STAGE_NAMES[STAGE_NAMES.index("matching") :]
    assert [name for name, state in states.items() if state == "done"] == list(later)
    assert told[:4] == [
        "matching.ratio is 0.7, it was 0.8", "the matches changed", "the geometries changed",
        "the reconstruction changed",
    ]  # fmt: skip
    assert len(told) == len(later) and all(why.endswith(" changed") for why in told[4:])


@pytest.mark.usefixtures("method")
def test_until_ends_early_and_the_next_run_goes_on(photos: Path) -> None:
    report, states = run(photos, until="pairs")
    assert list(states) == ["ingest", "features", "pairs"]
    assert not report["complete"]
    assert "before its cameras were found" in advice(report)[0]
    _, states = run(photos)
    assert states["pairs"] == "skipped" and states["matching"] == "done"


@pytest.mark.usefixtures("method")
def test_a_new_photograph_reruns_and_keeps_the_items_of_the_others(photos: Path) -> None:
    run(photos)
    (photos / "e.jpg").write_text("e")
    items = set((photos.parent / "run/features").rglob("*.arrays"))
    report, states = run(photos)
    assert states["ingest"] == "done" and report["images"] == 5
    new = set((photos.parent / "run/features").rglob("*.arrays")) - items
    assert len(new) == 1


@pytest.mark.usefixtures("method")
def test_stopping_loses_nothing_and_the_same_run_goes_on(photos: Path) -> None:
    stop = threading.Event()

    def stop_at_second(stage: str, record: Record) -> None:
        if isinstance(record, Progress) and stage == "features" and record.done == 2:
            stop.set()

    with pytest.raises(Stopped):
        run(photos, listener=stop_at_second, stop=stop)
    assert len(list((photos.parent / "run/features").glob("??/*.arrays"))) >= 2
    interrupted, states = run(photos)
    assert states["ingest"] == "skipped" and states["features"] == "done"
    whole, _ = run(photos, out=photos.parent / "whole")
    assert interrupted["verdicts"] == whole["verdicts"]
    models = [
        (photos.parent / name / "sparse/0/images.bin").read_bytes() for name in ("run", "whole")
    ]
    assert models[0] == models[1]


def test_a_stopped_stage_goes_on_from_its_checkpoint(
    photos: Path, method: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    method("mapping", fake_worker.Stepping)
    monkeypatch.setenv(fake_worker.STEPS, "100000")
    stop = threading.Event()

    def stop_later(stage: str, record: Record) -> None:
        if stage == "mapping" and isinstance(record, Progress):
            stop.set()

    with pytest.raises(Stopped):
        run(photos, listener=stop_later, stop=stop)
    monkeypatch.setenv(fake_worker.STEPS, "10")
    report, _ = run(photos)
    mapping = report["stages"]["mapping"]
    assert 0 < mapping["first"] <= mapping["steps"]
    assert not list(photos.parent.rglob("checkpoint*"))


def test_an_unexpected_error_goes_to_the_stage_log(
    photos: Path, method: Callable[..., None]
) -> None:
    class Broken(fake_stages.FakePairs):
        def run(self, inputs: Any, config: Any, control: Any) -> fake_stages.Run:
            yield Progress(0, 1, "pairs")
            raise ZeroDivisionError("by nought")

    method("pairs", Broken)
    with pytest.raises(PipelineError, match="by nought") as caught:
        run(photos)
    log = photos.parent / "run/stages/pairs/stdout.log"
    assert str(log) in caught.value.message
    assert "Traceback" in log.read_text()
    method("pairs", fake_stages.FakePairs)
    _, states = run(photos)
    assert states["features"] == "skipped" and states["mapping"] == "done"


def test_an_error_of_the_user_keeps_its_words(photos: Path, method: Callable[..., None]) -> None:
    class Refusing(fake_stages.FakePairs):
        def run(self, inputs: Any, config: Any, control: Any) -> fake_stages.Run:
            yield Progress(0, 1, "pairs")
            raise PipelineError("No pairs", "a.jpg fits nothing", "look again")

    method("pairs", Refusing)
    with pytest.raises(PipelineError) as caught:
        run(photos)
    assert caught.value.hint == "look again"
    assert not (photos.parent / "run/stages/pairs/stdout.log").exists()


def test_a_stage_that_makes_something_else_is_refused(
    photos: Path, method: Callable[..., None]
) -> None:
    class Wrong(fake_stages.FakePairs):
        def run(self, inputs: Any, config: Any, control: Any) -> fake_stages.Run:
            yield Progress(0, 1, "pairs")
            return {"triples": 3}

    method("pairs", Wrong)
    with pytest.raises(PipelineError, match="triples"):
        run(photos)


@pytest.mark.usefixtures("method")
def test_a_lost_product_is_made_again(photos: Path) -> None:
    run(photos)
    next((photos.parent / "run/features").glob("??/*.arrays")).unlink()
    told: list[str] = []

    def listen(stage: str, record: Record) -> None:
        if isinstance(record, StageChanged) and record.state == "started":
            told.append(f"{stage}: {record.why}")

    run(photos, listener=listen)
    assert told == ["features: the features cannot be read: 1 of 4 items are missing"]


@pytest.mark.usefixtures("method")
def test_a_damaged_item_ends_with_a_clear_error_and_then_heals(photos: Path) -> None:
    run(photos, until="pairs")
    item = next((photos.parent / "run/features").glob("??/*.arrays"))
    item.write_bytes(item.read_bytes()[:-1] + b"\xff")
    warned: list[str] = []

    def listen(stage: str, record: Record) -> None:
        if isinstance(record, Warned):
            warned.append(record.message)

    with pytest.raises(PipelineError, match="damaged") as caught:
        run(photos, listener=listen)
    assert str(item) in caught.value.message
    assert str(item) in warned[0]
    _, states = run(photos)
    assert set(states.values()) == {"done", "skipped"} and states["features"] == "done"


@pytest.mark.usefixtures("method")
def test_a_damaged_manifest_costs_products_but_no_run(photos: Path) -> None:
    report, _ = run(photos)
    manifest = photos.parent / "run/manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-100])
    warned: list[str] = []

    def listen(stage: str, record: Record) -> None:
        if isinstance(record, Warned):
            warned.append(record.message)

    again, states = run(photos, listener=listen)
    assert states == dict.fromkeys(STAGE_NAMES, "done")
    assert again["verdicts"] == report["verdicts"]
    (warning,) = warned
    assert warning.startswith("damaged: manifest.json")


def test_whatever_fails_in_a_removed_directory_fails_for_that(tmp_path: Path) -> None:
    root = tmp_path / "run"
    for error in (OSError("no such file"), PipelineError("Cannot write", "x", "retry")):
        with Workspace(root, VERSION) as workspace:
            with pytest.raises(PipelineError) as caught, failures_in_words("pairs", workspace):
                raise error
            assert "gone" not in caught.value.title
            shutil.rmtree(root)
            with pytest.raises(PipelineError) as caught, failures_in_words("pairs", workspace):
                raise error
            assert caught.value.title == "The run directory is gone"
            assert str(root) in caught.value.message and "retry" not in caught.value.hint
            assert not root.exists()
            with pytest.raises(Stopped), failures_in_words("pairs", workspace):
                raise Stopped


@pytest.mark.usefixtures("method")
def test_the_database_is_written_again_where_it_is_missing(photos: Path) -> None:
    run(photos)
    database = photos.parent / "run/database.db"
    assert len(read_database(database).image_names) == 4
    database.unlink()
    _, states = run(photos)
    assert set(states.values()) == {"skipped"}
    assert len(read_database(database).image_names) == 4


@pytest.mark.usefixtures("method")
def test_a_run_directory_among_the_photographs_is_not_read(photos: Path) -> None:
    report, _ = run(photos, out=photos / "out")
    (photos / "out" / "photos" / "more.jpg").write_text("not a photograph of the scene")
    again, states = run(photos, out=photos / "out")
    assert again["images"] == report["images"] == 4
    assert set(states.values()) == {"skipped"}


@pytest.mark.usefixtures("method")
def test_a_missing_folder_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="nowhere"):
        run(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("method")
def test_events_are_lines_of_json_and_go_on_after_a_torn_one(photos: Path) -> None:
    run(photos, until="ingest")
    log = photos.parent / "run/events.jsonl"
    with log.open("ab") as file:
        file.write(b'{"torn')
    run(photos)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers)) and numbers[0] == 1
    assert {event["stage"] for event in events} == set(STAGE_NAMES)
    assert all({"time", "stage", "kind"} <= event.keys() for event in events)


@pytest.mark.usefixtures("method")
def test_a_run_is_compared_with_a_reference(photos: Path) -> None:
    run(photos)
    root = photos.parent / "run"
    comparison = commands.compare(root, root)
    assert isinstance(comparison, Comparison)
    # Cameras on one line fix no similarity: a typed failure with a reason.
    assert comparison.position_mean is None and comparison.reason
    assert comparison.model == "sparse/0"
    with pytest.raises(PipelineError, match="the stage radiance is not done, or kept those"):
        commands.compare(root, root, "refined")
    shutil.copytree(root / "sparse/0", root / "sparse/refined")
    compared = [commands.compare(root, root, which).model for which in WHICH]
    assert compared == ["sparse/refined", "sparse/0", "sparse/refined"]


def test_imported_poses_take_the_place_of_mapping() -> None:
    entries = plan(route="posed")
    assert [entry.name for entry in entries] == list(STAGE_NAMES)
    assert "poses" in entries[STAGE_NAMES.index("mapping")].needs
    assert plan(until="features")[-1].name == "features"
    with pytest.raises(ValueError, match="x"):
        plan(until="x")
