"""Training on a tiny world: it learns, it repeats itself bit by bit, and it survives failures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.radiance.grid import GridShape
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.problem import Problem, Tracks
from pipeline.radiance.rendering import Rays
from pipeline.radiance.training import Trainer
from pipeline.stage import Checkpoint
from pipeline.workspace import Workspace
from tests.radiance.blobs import BlobSpec, blob_problem
from tests.radiance.trainers import SMALL, TINY, config_of, no_warning, trainer_of, use_field

GRID = GridShape(resolution=12)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return blob_problem(BlobSpec(noise=0.05))[0]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that learn little, at once."""
    use_field(monkeypatch, TINY)


def values_of(trainer: Trainer) -> dict[str, np.ndarray]:
    return dict(trainer.checkpoint().arrays)


def same(one: Trainer, other: Trainer) -> bool:
    """Whether all that two trainers hold is the same, bit by bit."""
    a, b = values_of(one), values_of(other)
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_it_learns_a_world_from_known_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Well beyond what a picture without content reaches, on a view that it never saw."""
    use_field(monkeypatch, SMALL)
    known, _ = blob_problem(BlobSpec(views=24), held_out=1)
    trainer = trainer_of(known, config_of(steps=200, refine_poses=False))
    first = trainer.step()
    while not trainer.done:
        last = trainer.step()
    assert first.psnr < 14.0
    assert 21.0 < last.psnr < 40.0
    assert last.alpha == SMALL.bands and last.step == 200
    assert last.pose_change_deg == last.pose_change == 0.0
    view, pose = known.held_out[0], known.held_out_poses[0]
    rows, columns = np.indices(view.rgb.shape[:2])
    pixels = torch.tensor(np.column_stack([columns.ravel(), rows.ravel()]) + 0.5).float()
    matrix = np.column_stack([pose.rotation, pose.translation])
    poses = torch.tensor(matrix).float().expand(len(pixels), 3, 4)
    with torch.no_grad():
        rays = trainer.model.cameras.rays(torch.zeros(len(pixels), dtype=torch.long), pixels, poses)
        seen = trainer.model.render(rays, None, trainer.model.alpha)
    mse = float(np.mean((seen.rgb.numpy() - view.rgb.reshape(-1, 3) / 255.0) ** 2))
    assert 16.0 < -10 * math.log10(mse) < 35.0


def test_two_networks_learn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    use_field(monkeypatch, SMALL)
    known, _ = blob_problem()
    settings = config_of(steps=60, refine_poses=False, samples=12, fine_samples=12)
    trainer = trainer_of(known, settings)
    figures = [trainer.step() for _ in range(60)]
    assert len(trainer.model.fields) == 2
    assert figures[0].psnr < 14.0 and 16.0 < figures[-1].psnr < 40.0
    assert all(figure.loss > 10 ** (-figure.psnr / 10) for figure in figures)  # both count


@pytest.mark.usefixtures("tiny")
def test_it_repeats_itself_and_another_seed_does_not(problem: Problem) -> None:
    one, two, three = (trainer_of(problem, config_of(steps=5, seed=seed)) for seed in (0, 0, 1))
    torch.manual_seed(5)  # the global state of torch has no part in it
    for trainer in (one, two, three):
        for _ in range(5):
            trainer.step()
    assert same(one, two) and not same(one, three)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"fine_samples": 8, "exposure": True, "refine_focal": True, "background": "learned"},
        {"refine_poses": False},
    ],
)
def test_stopped_and_gone_on_it_ends_as_if_undisturbed(
    problem: Problem, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Through a checkpoint file of a run."""
    if settings.get("background") == "learned":
        problem = replace(problem, background="learned", bounded=False)
    config = config_of(steps=12, **settings)
    straight = trainer_of(problem, config)
    for _ in range(12):
        straight.step()
    stopped = trainer_of(problem, config)
    for _ in range(5):
        stopped.step()
    with Workspace(tmp_path / "run", "test") as workspace:
        workspace.save_checkpoint("radiance", *_parts(stopped.checkpoint()))
    with Workspace(tmp_path / "run", "test") as workspace:
        loaded = workspace.load_checkpoint("radiance")
    assert loaded is not None
    resumed = trainer_of(problem, config)
    resumed.restore(Checkpoint(*loaded))
    assert resumed.step_number == 5 and resumed.seconds == stopped.seconds
    while not resumed.done:
        resumed.step()
    assert same(straight, resumed) and not same(straight, stopped)


def test_grid_tracks_and_lost_cameras_go_on_as_if_undisturbed(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smoothed grid with Gauss-Newton poses: more state than the published method has."""
    use_field(monkeypatch, GRID, relocate_at=(0.5,), pose_start=0.0)
    with_tracks = replace(problem, tracks=tracks_of(problem))
    config = config_of(preset="barf-cpu", steps=12, rays=64, samples=8)
    straight, stopped, resumed = (trainer_of(with_tracks, config) for _ in range(3))
    figures = [straight.step() for _ in range(12)]
    for _ in range(5):
        stopped.step()
    resumed.restore(stopped.checkpoint())
    while not resumed.done:
        again = resumed.step()
    assert same(straight, resumed) and not same(straight, stopped)
    assert figures[-1].track_error_px == again.track_error_px
    assert figures[0].track_error_px is not None and figures[0].track_error_px > 0.0
    assert values_of(straight)["objective/points"].shape == (6, 3)


def tracks_of(problem: Problem) -> Tracks:
    """Points in the middle, as cameras see them that are where they start."""
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (7, 3))
    point_of, image_of = np.divmod(np.arange(70), 10)
    pixels = [
        problem.views[i].camera.project(problem.poses[i].apply(points[j : j + 1]))[0]
        for j, i in zip(point_of, image_of, strict=True)
    ]
    noise = np.random.default_rng(1).normal(0.0, 0.5, (70, 2))
    return Tracks(points, point_of, image_of, np.array(pixels) + noise, np.arange(7) == 2)


def _parts(checkpoint: Checkpoint) -> tuple[Any, Any]:
    return checkpoint.arrays, checkpoint.data


@pytest.mark.usefixtures("tiny")
def test_a_time_budget_goes_on_with_the_steps_that_it_was_given(problem: Problem) -> None:
    config = config_of(minutes=0.05)
    trainer = trainer_of(problem, config)
    while trainer.steps is None:
        trainer.step()
    resumed = trainer_of(problem, config)
    resumed.restore(trainer.checkpoint())
    assert resumed.steps == trainer.steps
    assert resumed.progress == trainer.progress and resumed.seconds == trainer.seconds > 0.0


@pytest.mark.usefixtures("tiny")
def test_checkpoints_that_do_not_fit_are_refused_with_a_reason(problem: Problem) -> None:
    config = config_of(steps=10)
    made = trainer_of(problem, config)
    made.step()
    good = made.checkpoint()
    name = "model/cameras.corrections"
    broken = np.array(good.arrays[name])
    broken[0, 0] = np.nan
    without = {key: value for key, value in good.arrays.items() if key != name}
    cases: list[tuple[Any, Any, str]] = [
        (good.arrays, {**good.data, "format": 99}, "format 99"),
        (good.arrays, {"format": good.data["format"]}, "lacks 'config'"),
        (without, good.data, "corrections"),
        ({**good.arrays, name: broken}, good.data, "not finite"),
        ({**good.arrays, name: broken[:3]}, good.data, r"corrections is float32 \(3, 6\)"),
        ({**good.arrays, "random": np.zeros(3, np.uint8)}, good.data, "."),
        (good.arrays, {**good.data, "schedule": 7}, "."),
        (good.arrays, {**good.data, "trials": {}}, "lacks 'least'"),
    ]
    for arrays, data, reason in cases:
        with pytest.raises(PipelineError, match=reason) as refused:
            trainer_of(problem, config).restore(Checkpoint(arrays, data))
        assert refused.value.title == "Cannot go on from the checkpoint"
    with pytest.raises(PipelineError, match="another value of seed"):
        trainer_of(problem, config_of(steps=10, seed=3)).restore(good)
    fewer = replace(problem, views=problem.views[:4], poses=problem.poses[:4])
    other = trainer_of(fewer, config)
    with pytest.raises(PipelineError, match=r"exposure_logs|corrections"):
        other.restore(good)


@pytest.mark.usefixtures("tiny")
def test_a_checkpoint_of_other_threads_is_taken_and_told_of(problem: Problem) -> None:
    made = trainer_of(problem, config_of(steps=10))
    good = made.checkpoint()
    told: list[str] = []
    trainer = trainer_of(problem, config_of(steps=10), told.append)
    trainer.restore(Checkpoint(good.arrays, {**good.data, "threads": 77}))
    assert len(told) == 1 and "77 threads" in told[0]


@pytest.mark.usefixtures("tiny")
def test_live_parameters_take_effect_and_others_are_refused(problem: Problem) -> None:
    trainer = trainer_of(problem, config_of(steps=10))
    before = trainer.step()
    trainer.change(config_of(steps=10, field_rate=1e-4, field_rate_end=1e-4, rays=20))
    after = trainer.step()
    assert before.field_rate == pytest.approx(1e-2) and after.field_rate == pytest.approx(1e-4)
    assert trainer.settings.rays == 20
    with pytest.raises(ValueError, match="steps, samples"):
        trainer.change(config_of(steps=20, samples=8))


@pytest.mark.usefixtures("tiny")
def test_the_controls_open_all_bands_or_none(problem: Problem) -> None:
    opened = {}
    for encoding in ("coarse-to-fine", "full", "none"):
        trainer = trainer_of(
            problem, config_of(steps=10, encoding=encoding, c2f_start=0.0, c2f_end=1.0)
        )
        opened[encoding] = [trainer.step().alpha for _ in range(10)]
    assert opened["coarse-to-fine"] == pytest.approx([0.2 * n for n in range(10)])
    assert set(opened["full"]) == {2.0} and set(opened["none"]) == {0.0}


@pytest.mark.usefixtures("tiny")
def test_a_loss_that_is_no_number_takes_training_back(problem: Problem) -> None:
    told: list[str] = []
    trainer = trainer_of(problem, config_of(steps=300), told.append)
    for _ in range(3):
        before = trainer.step()
    kept = {name: a.copy() for name, a in trainer._kept.items()}
    with torch.no_grad():
        next(iter(trainer.model.fields[0].parameters()))[0, 0] = math.nan
    trainer.step()
    assert len(told) == 1 and "step 4" in told[0] and "0.5" in told[0]
    found = values_of(trainer)
    assert all(np.array_equal(found[name], kept[name]) for name in kept if "json" not in name)
    after = trainer.step()
    assert after.field_rate < 0.51 * before.field_rate
    assert math.isfinite(after.loss) and after.step == 5


@pytest.mark.usefixtures("tiny")
def test_poses_and_hidden_values_that_are_no_numbers_are_noticed(problem: Problem) -> None:
    """A pose at once; a value that no pixel shows, before it can be kept as a good state."""
    told: list[str] = []
    trainer = trainer_of(problem, config_of(steps=300, exposure=True), told.append)
    trainer.step()
    with torch.no_grad():
        trainer.model.cameras.corrections[0, 3] = math.inf
    trainer.step()
    assert len(told) == 1
    with torch.no_grad():
        trainer.model.background_logits[0] = math.nan  # the background is white: nobody looks
    trainer.step_number = 100
    trainer.step()
    assert len(told) == 2 and torch.isfinite(trainer.model.background_logits).all()


@pytest.mark.usefixtures("tiny")
def test_it_gives_up_when_going_back_does_not_help(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    trainer = trainer_of(problem, config_of(steps=300), told.append)
    passes = RadianceModel.passes

    def spoiled(*arguments: Any) -> Any:
        return tuple(found._replace(rgb=found.rgb * math.nan) for found in passes(*arguments))

    monkeypatch.setattr(RadianceModel, "passes", spoiled)
    for _ in range(5):
        trainer.step()
    assert len(told) == 5
    with pytest.raises(PipelineError, match="not a number 6 times"):
        trainer.step()


class Memory:
    """A device that has room for so many rays, in the place of `RadianceModel.passes`."""

    def __init__(self, rays: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        passes = RadianceModel.passes

        def limited(
            model: RadianceModel, rays_: Rays, images: Tensor, alpha: float, generator: Any
        ) -> Any:
            self.asked.append(len(rays_.origins))
            if len(rays_.origins) > rays:
                raise error
            return passes(model, rays_, images, alpha, generator)

        monkeypatch.setattr(RadianceModel, "passes", limited)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate"),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_the_rays(
    problem: Problem, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    config = config_of(steps=300)
    trainer = trainer_of(problem, config, told.append)
    memory = Memory(50, error, monkeypatch)
    assert trainer.step().step == 1 and trainer.step().step == 2
    assert memory.asked == [160, 80, 40, 40]
    assert len(told) == 2 and "from now on 40" in told[1]
    resumed = trainer_of(problem, config)
    resumed.restore(trainer.checkpoint())
    resumed.step()
    assert memory.asked[4:] == [40]
    trainer.change(config.model_copy(update={"rays": 45}))
    trainer.step()
    assert memory.asked[5:] == [40]  # 4 of each of ten views


@pytest.mark.usefixtures("tiny")
def test_no_memory_at_all_is_an_error_and_others_pass_through(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(problem, config_of(steps=300), lambda message: None)
    Memory(0, MemoryError(), monkeypatch)
    with pytest.raises(PipelineError, match="Too little memory"):
        trainer.step()
    monkeypatch.undo()
    trainer = trainer_of(problem, config_of(steps=300))
    Memory(0, RuntimeError("shapes differ"), monkeypatch)
    with pytest.raises(RuntimeError, match="shapes differ"):
        trainer.step()


@pytest.mark.usefixtures("tiny")
def test_a_gpu_that_disappears_is_told_with_what_to_do(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(problem, config_of(steps=300))
    trainer.step()
    before = values_of(trainer)
    Memory(0, RuntimeError("CUDA error: unspecified launch failure\nmore"), monkeypatch)
    with pytest.raises(PipelineError, match="GPU is gone") as lost:
        trainer.step()
    assert "checkpoint" in lost.value.hint and "more" not in lost.value.message
    assert before["model/cameras.corrections"].any()


@pytest.mark.usefixtures("tiny")
def test_views_of_different_sizes_masks_and_few_rays(problem: Problem) -> None:
    """Each step asks at least for one pixel of each view that it looks at, and never for more rays
    than it may."""
    small, _ = blob_problem(BlobSpec(views=10, width=10, height=8))
    mask = np.zeros((16, 20), bool)
    mask[3, 4] = True
    views = (*problem.views[:4], *small.views[4:9], replace(problem.views[9], mask=mask))
    trainer = trainer_of(replace(problem, views=views), config_of(steps=3))
    assert [trainer.step().step for _ in range(3)] == [1, 2, 3]
    many, _ = blob_problem(BlobSpec(views=30, width=6, height=4))
    trainer = trainer_of(many, config_of(steps=3, rays=16))
    trainer.step()
    moved = values_of(trainer)["model/cameras.corrections"].any(axis=1)
    assert moved.sum() == 16  # the others rest


def test_nothing_to_learn_is_an_error_that_says_so(problem: Problem) -> None:
    with pytest.raises(PipelineError, match="No photograph"):
        trainer_of(replace(problem, views=(), poses=()), config_of(steps=3))
    empty = replace(problem.views[0], mask=np.zeros((16, 20), bool))
    with pytest.raises(PipelineError, match=r"000\.png has no pixel"):
        trainer_of(replace(problem, views=(empty, *problem.views[1:])), config_of(steps=3))


@pytest.mark.usefixtures("tiny")
def test_depth_that_cannot_be_found_is_told(problem: Problem) -> None:
    told: list[str] = []
    alone = replace(problem, views=problem.views[:1], poses=problem.poses[:1])
    assert trainer_of(alone, config_of(steps=2), told.append).step().step == 1
    assert len(told) == 1 and "one photograph" in told[0]
    together = replace(problem, poses=(problem.poses[0],) * 10)
    trainer_of(together, config_of(steps=2, refine_poses=False), told.append).step()
    assert len(told) == 2 and "one place" in told[1]
    trainer_of(together, config_of(steps=2), no_warning).step()  # they may part


@pytest.mark.usefixtures("tiny")
def test_focal_lengths_move_only_where_they_may(problem: Problem) -> None:
    for refined in (False, True):
        trainer = trainer_of(problem, config_of(steps=3, refine_focal=refined))
        trainer.step()
        assert bool(trainer.model.cameras.focal_logs.detach().any()) == refined
