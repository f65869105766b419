"""The stage `radiance`: what it makes, how it goes on after a stop, and what it says of itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import control as control_module
from pipeline.config import RunConfig
from pipeline.errors import Stopped
from pipeline.events import Checkpointed, Metric, Preview, Progress, Record, Report, Warned
from pipeline.geometry.poses import Pose
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import (
    NO_POINT,
    NoField,
    PhotoIndex,
    Points,
    RadianceField,
    Reconstruction,
    RefinedCameras,
    SparseModel,
)
from pipeline.radiance import outcome
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.perturbation import displaced
from pipeline.radiance.rescue import MOST_WORSE_DB, Rescued
from pipeline.radiance.views import View
from pipeline.radiance_config import RadianceConfig
from pipeline.runner import ForegroundControl, StageRunner
from pipeline.stages import METHOD
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.radiance.reconstructions import (
    SPEC,
    make_model,
    make_photos,
    make_reconstruction,
    with_poses,
)
from tests.synthetic import make_world

WORLD = make_world(replace(SPEC, points=400))  # enough to hold out thirty
MODEL = make_model(WORLD)
CONFIG = RadianceConfig(
    preset="barf", steps=12, size_px=24, rays=64, samples=8, holdout=0.2, device="cpu", seed=3
)
ENTRY = next(entry for entry in METHOD if entry.name == "radiance")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoIndex:
    return make_photos(tmp_path_factory.mktemp("photos"), WORLD)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Run:
    """A run directory whose mapping is done, and its stage `radiance`."""

    def __init__(self, root: Path, photos: PhotoIndex, reconstruction: Reconstruction) -> None:
        self.root = root
        self.records: list[Record] = []
        with Workspace(root, VERSION) as workspace:
            made: dict[str, dict[str, Any]] = {
                "ingest": {"photos": photos},
                "mapping": {"reconstruction": reconstruction},
            }
            for stage, products in made.items():
                workspace.save(StageEntry(Ingredients(stage, 1, {}, {}, {}), 0.0, {}), products)

    def train(
        self, config: RadianceConfig = CONFIG, stop_when: Callable[[Record], bool] | None = None
    ) -> tuple[RadianceField | NoField, RefinedCameras]:
        """Run the stage; stop_when: stops it after a record. Raises Stopped."""
        stop = threading.Event()

        def tell(stage: str, record: Record) -> None:
            self.records.append(record)
            if stop_when is not None and stop_when(record):
                stop.set()

        with Workspace(self.root, VERSION) as workspace, ThreadPoolExecutor(1) as executor:
            control = ForegroundControl(workspace.store, executor, 1, stop)
            runner = StageRunner(workspace, control, tell)
            runner.run(ENTRY, RunConfig(radiance=config), None)
            return runner.product("radiance"), runner.product("refined")

    def of(self, kind: type[Record]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def report(self) -> dict[str, Any]:
        (report,) = self.of(Report)
        return dict(report.data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, photos: PhotoIndex) -> tuple[Run, Any]:
    """An undisturbed run, and what it made."""
    run = Run(tmp_path_factory.mktemp("whole") / "run", photos, make_reconstruction(MODEL))
    return run, run.train()


def test_it_tells_how_it_goes_and_what_came_out(whole: tuple[Run, Any]) -> None:
    run, (field, refined) = whole
    names = {metric.name for metric in run.of(Metric)}
    assert {"loss", "psnr", "pose_change_deg", "pose_change", "rays_per_s", "alpha"} <= names
    assert {"field_rate", "pose_rate"} <= names
    units = [progress.unit for progress in run.of(Progress)]
    assert set(units) == {"photographs", "steps", "depth maps"} and units[-1] == "depth maps"
    assert any((p.done, p.total, p.unit) == (12, 12, "steps") for p in run.of(Progress))
    judged = [(p.done, p.total) for p in run.of(Progress) if p.doing.startswith("judging")]
    assert judged == [(0, 2), (1, 2), (2, 2)]
    report = run.report
    assert report["trained"] and report["steps"] == 12 and report["views"] == 6
    assert len(report["held_out_views"]) == report["held_out"] == 2
    assert 3.0 < report["held_out_psnr"] < 60.0
    # Twelve steps on pictures that show nothing of the points do not beat true cameras.
    assert report["refined"] is False and refined.model is None
    assert "held-out tracks" in report["verdict"] and refined.verdict == report["verdict"]
    assert 0.1 < report["tracks"]["before_px"] < 0.6
    assert isinstance(field, RadianceField)
    assert field.held_out == ("02.png", "06.png") and field.size_px == 24
    assert not (run.root / "sparse" / "refined").exists()


def test_the_field_renders_the_same_after_saving(whole: tuple[Run, Any]) -> None:
    run, (field, _) = whole
    with Workspace(run.root, VERSION) as workspace:
        loaded = workspace.load("radiance")
    models = [RadianceModel.from_arrays(one.arrays, torch.device("cpu")) for one in (field, loaded)]
    images = torch.zeros(40, dtype=torch.long)
    pixels = torch.stack([torch.linspace(1, 20, 40), torch.linspace(15, 2, 40)], dim=-1)
    with torch.no_grad():
        first, second = (
            model.render(model.cameras.rays(images, pixels), None, model.alpha).rgb
            for model in models
        )
    assert torch.equal(first, second) and first.std() > 0


@pytest.mark.parametrize(("preset", "stops"), [("barf", (1, 5, 12)), ("barf-cpu", (5,))])
def test_stopped_anywhere_it_ends_as_if_undisturbed(
    photos: PhotoIndex, tmp_path: Path, preset: str, stops: tuple[int, ...]
) -> None:
    config = CONFIG.model_copy(update={"preset": preset, "holdout": 0.0})  # to test it takes time
    undisturbed = Run(tmp_path / "undisturbed", photos, make_reconstruction(MODEL))
    expected, _ = undisturbed.train(config)
    assert isinstance(expected, RadianceField)
    run = Run(tmp_path / "run", photos, make_reconstruction(MODEL))
    for step in stops:

        def passed(record: Record, step: int = step) -> bool:
            return isinstance(record, Progress) and record.unit == "steps" and record.done >= step

        with pytest.raises(Stopped):
            run.train(config, stop_when=passed)
    field, _ = run.train(config)
    assert isinstance(field, RadianceField) and field.arrays.keys() == expected.arrays.keys()
    for name, array in field.arrays.items():
        assert array.tobytes() == expected.arrays[name].tobytes(), name


def test_stopped_at_its_end_it_still_knows_its_figures(
    photos: PhotoIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    least: list[float] = []

    def rescue(trained: Any, view: View, starts: list[Pose], least_psnr: float) -> Rescued:
        least.append(least_psnr)
        return Rescued(view.name, None, 0.0, "as it is")

    monkeypatch.setattr(outcome, "rescue", rescue)
    index = replace(photos, photos=(*photos.photos, replace(photos.photos[0], name="99.png")))
    config = CONFIG.model_copy(update={"rescue": True, "holdout": 0.0})
    run = Run(tmp_path / "run", index, make_reconstruction(MODEL))

    def judging(record: Record) -> bool:
        return isinstance(record, Progress) and record.doing.startswith("judging")

    with pytest.raises(Stopped):
        run.train(config, stop_when=judging)
    last = {metric.name: metric.value for metric in run.of(Metric)}
    run.records.clear()
    run.train(config)
    assert not {metric.name for metric in run.of(Metric)} - {"bands"}  # no step was left
    for name in ("psnr", "pose_change_deg", "pose_change"):
        assert run.report[name] == last[name]
    # Without held-out photographs, what the others came to tells when one is found.
    assert least == [last["psnr"] - MOST_WORSE_DB]


def test_better_cameras_are_written(photos: PhotoIndex, tmp_path: Path) -> None:
    off = with_poses(MODEL, displaced(WORLD.poses, 0.5, 0.005, 0))
    run = Run(tmp_path / "run", photos, make_reconstruction(off))
    with_detail = {"steps": 50, "size_px": 200, "track_weight": 1.0, "holdout": 0.125}
    _, refined = run.train(CONFIG.model_copy(update=with_detail))
    report = run.report
    assert report["refined"] and refined.model is not None
    assert report["tracks"]["after_px"] < 0.8 * report["tracks"]["before_px"]
    assert sorted(path.name for path in (run.root / "sparse").iterdir()) == [
        "0", "refined", "verdicts.json",
    ]  # fmt: skip
    assert sorted(refined.model.images) == sorted(MODEL.images)
    assert len(refined.model.points) > 100


@pytest.mark.parametrize("found", [True, False])
def test_a_rescued_photograph_beside_cameras_that_stay_is_told(
    photos: PhotoIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    more = replace(photos.photos[0], name="99.png")
    index = replace(photos, photos=(*photos.photos, more))

    def rescue(trained: Any, view: View, starts: list[Pose], least_psnr: float) -> Rescued:
        return Rescued(view.name, starts[0] if found else None, 20.0, "as it is")

    monkeypatch.setattr(outcome, "rescue", rescue)
    run = Run(tmp_path / "run", index, make_reconstruction(MODEL))
    _, refined = run.train(CONFIG.model_copy(update={"rescue": True, "holdout": 0.0}))
    report = run.report
    assert not report["tracks"]["better"] and not report["refined"]
    assert report["verdict"] == refined.verdict
    assert report["verdict"].startswith("the cameras stay as they were")
    told = "sparse/refined holds them with 1 photograph that the field placed"
    assert (told in report["verdict"]) == found
    assert (refined.model is not None) == (run.root / "sparse" / "refined").exists() == found
    if refined.model is not None:  # mapping's own cameras, and the one that was found
        names = [image.name for image in refined.model.images.values()]
        assert sorted(names) == [photo.name for photo in index.photos]
        for i, image in MODEL.images.items():
            pose = refined.model.images[i].cam_from_world
            np.testing.assert_allclose(pose.translation, image.cam_from_world.translation)


def test_while_the_field_is_judged_its_last_step_is_saved_once(
    photos: PhotoIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "CHECKPOINT_SECONDS", 0.0)  # whenever it is asked
    run = Run(tmp_path / "run", photos, make_reconstruction(MODEL))
    run.train()
    assert [saved.step for saved in run.of(Checkpointed)] == list(range(1, 13))


def test_a_stop_while_depth_is_rendered_keeps_the_training(
    photos: PhotoIndex, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run", photos, make_reconstruction(MODEL))
    with pytest.raises(Stopped):
        run.train(stop_when=lambda r: isinstance(r, Progress) and r.unit == "depth maps")
    assert [saved.step for saved in run.of(Checkpointed)] == [12]


@pytest.mark.parametrize("count", [0, 1])
def test_without_cameras_there_is_no_field_and_a_reason(
    photos: PhotoIndex, tmp_path: Path, count: int
) -> None:
    alone = replace(MODEL.images[1], point_ids=np.full_like(MODEL.images[1].point_ids, NO_POINT))
    models = (SparseModel(MODEL.cameras, {1: alone}, Points.none()),)
    run = Run(tmp_path / "run", photos, Reconstruction(models[:count], ()))
    field, refined = run.train()
    assert isinstance(field, NoField) and "no radiance field" in field.reason
    assert refined.model is None and not run.report["trained"]


def test_a_checkpoint_of_something_else_is_not_gone_on_from(
    photos: PhotoIndex, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run", photos, make_reconstruction(MODEL))
    with pytest.raises(Stopped):
        run.train(stop_when=lambda record: isinstance(record, Metric))
    with Workspace(run.root, VERSION) as workspace:
        saved = workspace.load_checkpoint("radiance")
        assert saved is not None
        arrays, data = saved
        name = max(arrays, key=lambda name: arrays[name].size)
        arrays[name] = np.full_like(arrays[name], np.nan)
        workspace.save_checkpoint("radiance", arrays, data)
    run.records.clear()
    run.train()
    assert any("from the beginning" in warned.message for warned in run.of(Warned))
    assert run.report["steps"] == 12


def test_a_checkpoint_of_another_format_is_named_once(photos: PhotoIndex, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", photos, make_reconstruction(MODEL))
    with pytest.raises(Stopped):
        run.train(stop_when=lambda record: isinstance(record, Metric))
    with Workspace(run.root, VERSION) as workspace:
        saved = workspace.load_checkpoint("radiance")
        assert saved is not None
        arrays, data = saved
        data["stage"]["format"] = 1  # type: ignore[call-overload, index]
        workspace.save_checkpoint("radiance", arrays, data)
    file = "stages/radiance/checkpoint.arrays"
    assert (run.root / file).is_file()
    run.records.clear()
    run.train()
    assert [warned.message for warned in run.of(Warned)] == [
        f"Cannot go on from the checkpoint {file}: it is of format 1, and this version reads 3. "
        "Training has to start from the beginning."
    ]
    first_step = next(n for n, r in enumerate(run.records) if isinstance(r, Metric))
    assert any(isinstance(record, Warned) for record in run.records[:first_step])
    assert run.report["steps"] == 12


def test_a_training_that_goes_on_says_its_doubts_once(photos: PhotoIndex, tmp_path: Path) -> None:
    place = Pose(np.eye(3), np.zeros(3))
    still = with_poses(MODEL, [place] * len(MODEL.images))
    run = Run(tmp_path / "run", photos, make_reconstruction(still))
    config = CONFIG.model_copy(update={"refine_poses": False, "holdout": 0.0})
    with pytest.raises(Stopped):
        run.train(config, stop_when=lambda record: isinstance(record, Metric))
    run.records.clear()
    run.train(config)
    doubts = [warned for warned in run.of(Warned) if "from one place" in warned.message]
    assert len(doubts) == 1


def test_previews_are_files_of_the_run(photos: PhotoIndex, tmp_path: Path) -> None:
    from pipeline.radiance import previews

    run = Run(tmp_path / "run", photos, make_reconstruction(MODEL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(previews, "_FIRST_S", 0.0)
        patch.setattr(previews, "_LEAST_S", 0.0)
        patch.setattr(previews, "_MOST_SHARE", 1e9)
        run.train()
    told = [preview for preview in run.of(Preview) if not preview.is_scene]
    assert len(told) == 12 and told[-1].view == "04.png"
    files = sorted(path.name for path in (run.root / "radiance" / "previews").glob("*.jpg"))
    assert len(files) == 8 and told[-1].file == f"radiance/previews/{files[-1]}"
    assert (run.root / told[-1].file).read_bytes().startswith(b"\xff\xd8")
    assert all(0.0 < preview.psnr < 60.0 for preview in told)
