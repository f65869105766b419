"""Training: step after step, a field learns the photographs and moves their cameras."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor

from pipeline.config_base import fixed_differences
from pipeline.errors import PipelineError
from pipeline.radiance.beginnings import Trials
from pipeline.radiance.field_steps import FieldSteps
from pipeline.radiance.inside_out import other_explanation
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.objective import Objective, Slope
from pipeline.radiance.pose_steps import AdamPoses, GaussNewtonPoses, PoseSteps
from pipeline.radiance.problem import Problem
from pipeline.radiance.relocation import relocate
from pipeline.radiance.schedule import Schedule
from pipeline.radiance.settings import resolve
from pipeline.radiance.setup import Setup
from pipeline.radiance.views import views_of
from pipeline.radiance_config import RadianceConfig
from pipeline.stage import Checkpoint
from pipeline.torch_devices import device_lost, is_device_lost, is_out_of_memory

_FORMAT = 3
_KEEP_EVERY = 100  # steps between the states that a failure can go back to
_MOST_FAILURES = 5
_FEWEST_RAYS = 16
_LOOK_EVERY = {"cpu": 1, "cuda": 10}  # steps; to look at a number makes a GPU wait
_MEASURE_EVERY = 10  # steps; the poses move slowly
_REFRESH_EVERY = 100  # steps, for what a field derives from its parameters
_WIDEST_BLUR = 0.11  # of the longer side of the photographs
_BLUR_STEPS = 0.25  # bands; the photographs are smoothed anew at every such step of alpha
_CORRECTIONS = "model/cameras.corrections"  # the name of their array
_POSE_SOLVERS: Mapping[str, type[AdamPoses | GaussNewtonPoses]] = {
    "adam": AdamPoses,
    "gauss-newton": GaussNewtonPoses,
}


@dataclass(frozen=True)
class Figures:
    """How training stands after a step.

    step: steps done. loss: of the latest step that was looked at; psnr in dB, of its photographs
    alone. pose_change_deg, pose_change: mean rotation of the cameras since the start, and shift of
    their centres as a share of the scene size. track_error_px: mean reprojection error of the
    tracks; None without them.
    """

    step: int
    loss: float
    psnr: float
    pose_change_deg: float
    pose_change: float
    rays_per_s: float
    alpha: float
    field_rate: float
    pose_rate: float
    track_error_px: float | None


class Trainer:
    """The training of one problem from its start, or from a checkpoint, to its end.

    Equal problems, configurations and machines give equal bits, however often training stopped and
    went on. `model` is ready to render between any two steps, with `model.alpha`. `figures` are
    those of the last step; None before there is one.
    """

    def __init__(
        self,
        problem: Problem,
        config: RadianceConfig,
        device: torch.device,
        warn: Callable[[str], None],
    ) -> None:
        """warn: takes sentences for the user. Raises PipelineError if there is nothing to learn."""
        self.config = config
        self.settings = resolve(config, device, problem)
        self._problem = problem
        self._device = device
        self._warn = warn
        self._views = views_of(problem.views, device)
        seeds = torch.Generator().manual_seed(config.seed)
        setup = Setup.of(problem)
        self._px_per_unit = setup.px_per_unit
        self._scene_size = setup.scene_size or float(np.linalg.norm(np.ptp(setup.box, axis=0))) / 2
        self.model = RadianceModel(setup, self.settings.model_shape, device, seeds)
        self.model.cameras.corrections.requires_grad_(self.settings.refine_poses)
        self.model.cameras.focal_logs.requires_grad_(self.settings.refine_focal)
        self._generator = torch.Generator(device)
        self._generator.manual_seed(int(torch.randint(2**62, (), generator=seeds)))
        self._field_steps = FieldSteps(self.model, self.settings.refine_focal)
        self._pose_steps: PoseSteps = _POSE_SOLVERS[self.settings.pose_solver](self.model.cameras)
        self._objective = Objective(problem, self.settings, self.model, self._views)
        self._blur_px = 0.0
        minutes = self.settings.minutes
        self._schedule = Schedule(self.settings.steps, None if minutes is None else 60 * minutes)
        self.step_number = 0
        self.seconds = 0.0
        self._damping = 1.0
        self._failures = 0
        self._most_rays: int | None = None
        self._kept: dict[str, np.ndarray] = {}
        self._seen = (math.nan, math.nan, math.nan)
        self._rays_per_s = 0.0
        self._pose_change = (0.0, 0.0)
        self.figures: Figures | None = None
        begun = self.settings.beginnings
        first = self._arrays() if begun.count > 1 else {}
        self._trials = Trials(begun, first, _CORRECTIONS, partial(other_explanation, setup.box))
        self.model.alpha = self.alpha
        if doubt := setup.doubt(self.settings.refine_poses):
            warn(doubt)

    @property
    def progress(self) -> float:
        """Share of the training that is over."""
        return self._schedule.progress(self.step_number)

    @property
    def alpha(self) -> float:
        """Bands of detail that are open in the next step."""
        return self.settings.alpha_at(self.progress, self.model.bands)

    @property
    def steps(self) -> int | None:
        """Steps in all; None while the first ones of a time budget find it out."""
        return self._schedule.steps

    @property
    def done(self) -> bool:
        """Whether training is over."""
        return self.progress >= 1.0

    def step(self) -> Figures:
        """Learn from some pixels and move the cameras.

        A failure of the numbers takes training back to a recent state, with lower rates; a lack of
        memory halves the rays. Raises PipelineError where that does not help, or the GPU is gone.
        """
        began = time.perf_counter()
        if self._trials.due(self.progress):
            self._kept = dict(self._trials.next(self.step_number, self.progress, self._arrays()))
            self._load(self._kept)
        elif self.step_number % _KEEP_EVERY == 0:
            self._keep()
        self.model.alpha = self.alpha
        rest = self.settings.beginnings.rest(self.progress)
        field_rate = self._damping * self.settings.field_rate.at(rest)
        pose_rate = self._damping * self.settings.pose_rate.at(rest)
        try:
            self._prepare()
            rays = self._descend(field_rate, pose_rate)
        except RuntimeError as error:
            if is_device_lost(error):
                raise device_lost(error) from error
            raise
        elapsed = time.perf_counter() - began
        self.seconds += elapsed
        self._schedule.passed(self.step_number, self.seconds)
        pace = rays / max(elapsed, 1e-9)
        self._rays_per_s += (pace - self._rays_per_s) * (0.05 if self._rays_per_s else 1.0)
        loss, mse, track_error_px = self._seen
        self.figures = Figures(
            step=self.step_number,
            loss=loss,
            psnr=-10.0 * math.log10(max(mse, 1e-10)),
            pose_change_deg=self._pose_change[0],
            pose_change=self._pose_change[1],
            rays_per_s=self._rays_per_s,
            alpha=self.model.alpha,
            field_rate=field_rate,
            pose_rate=pose_rate,
            track_error_px=None if math.isnan(track_error_px) else track_error_px,
        )
        return self.figures

    def change(self, config: RadianceConfig) -> None:
        """Go on with other values of live parameters. Raises ValueError naming one that is not."""
        if others := fixed_differences(self.config, config.model_dump(mode="json")):
            raise ValueError(f"{', '.join(others)} cannot change while a field is trained")
        if config.rays != self.config.rays:
            self._most_rays = None
        self.config = config
        self.settings = resolve(config, self._device, self._problem)

    def checkpoint(self) -> Checkpoint:
        """Everything that decides how training goes on."""
        trials = {f"trials/{name}": array for name, array in self._trials.to_arrays().items()}
        random = self._generator.get_state().numpy().copy()
        arrays = {**self._arrays(), **trials, "random": random}
        data: dict[str, JsonValue] = {
            "format": _FORMAT,
            "config": self.config.model_dump(mode="json"),
            "device": self._device.type,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "step": self.step_number,
            "seconds": self.seconds,
            "schedule": self._schedule.to_json(),
            "trials": self._trials.to_json(),
            "damping": self._damping,
            "failures": self._failures,
            "most_rays": self._most_rays,
            "figures": None if self.figures is None else asdict(self.figures),
        }
        return Checkpoint(arrays, data)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint was made.

        Where other threads, another torch or another device than then compute now, `warn` is told
        that the bits may differ. Raises PipelineError with the reason if the checkpoint belongs to
        another problem, configuration or version, or is not whole: then make a new trainer.
        """
        try:
            self._restore(checkpoint.arrays, checkpoint.data)
        except KeyError as error:
            raise _refused(f"it lacks {error}") from error
        except (TypeError, ValueError, RuntimeError) as error:
            raise _refused(str(error)) from error

    def _restore(self, arrays: Mapping[str, np.ndarray], data: Mapping[str, Any]) -> None:
        if data["format"] != _FORMAT:
            raise ValueError(f"it is of format {data['format']}, and this version reads {_FORMAT}")
        if others := fixed_differences(self.config, data["config"]):
            raise ValueError(f"it was made with another value of {', '.join(others)}")
        self._load(arrays)
        self._schedule.load_json(data["schedule"])
        self._trials.load(_part(arrays, "trials"), data["trials"])
        self.step_number, self.seconds = int(data["step"]), float(data["seconds"])
        self._damping, self._failures = float(data["damping"]), int(data["failures"])
        self._most_rays = None if data["most_rays"] is None else int(data["most_rays"])
        if told := data.get("figures"):  # older checkpoints have none
            self._recall(Figures(**told))
        self.model.alpha = self.alpha
        self._kept = self._arrays()
        if data["device"] == self._device.type:
            self._generator.set_state(torch.from_numpy(arrays["random"].copy()))
        then = (data["device"], data["threads"], data["torch"])
        now = (self._device.type, torch.get_num_threads(), torch.__version__)
        if then != now:
            self._warn(
                f"The checkpoint was made on {then[0]} by {then[1]} threads of torch {then[2]}, it "
                f"goes on on {now[0]} by {now[1]} of {now[2]}: the result may differ a little."
            )

    def _descend(self, field_rate: float, pose_rate: float) -> int:
        """One step along the gradient; returns how many rays it took."""
        slope = self._slope()
        if self.settings.smoothness > 0.0:
            self.model.field.resist_roughness(self.settings.smoothness, self.step_number)
        share = self.settings.beginnings.share(self.progress)
        held = self._trials.hold_until or self.settings.pose_start
        if self.settings.refine_poses and share >= held:
            cameras = self.model.cameras
            self._pose_steps.step(cameras, slope.images, pose_rate, slope.curvature)
        self._field_steps.step(field_rate, pose_rate)
        self.step_number += 1
        if self.step_number == 1 or self.step_number % _LOOK_EVERY[self._device.type] == 0:
            self._look(slope.figures)
        return slope.rays

    def _prepare(self) -> None:
        """Smooth the photographs as the field is, and let it see what is empty."""
        field = self.model.field
        moments = self.settings.relocate_at if self.settings.refine_poses else ()
        if self._schedule.crosses(self.step_number, moments):
            moved = relocate(self.model, self._views, self._generator)
            self._pose_steps.forget(moved)
        age = self.step_number - self._trials.began
        if age and age % _REFRESH_EVERY == 0:  # what has just begun is nowhere dense yet
            field.refresh(self.model.alpha)
        alpha = math.floor(self.model.alpha / _BLUR_STEPS) * _BLUR_STEPS
        widest_px = _WIDEST_BLUR * max(max(view.rgb.shape) for view in self._problem.views)
        blur_px = min(self._px_per_unit * field.blur_at(alpha), widest_px)
        blur_px = 0.0 if alpha >= field.bands else blur_px
        if blur_px != self._blur_px:
            self._blur_px = blur_px
            self._views.smooth(blur_px)

    def _slope(self) -> Slope:
        """Set the gradients of all parameters, with as many rays as memory holds."""
        settings = self.settings
        curved = settings.refine_poses and self._pose_steps.curved
        rest = settings.beginnings.rest(self.progress)
        while True:
            rays = min(settings.rays, self._most_rays or settings.rays)
            self._field_steps.clear()
            self.model.cameras.corrections.grad = None
            try:
                return self._objective.descend(settings, rays, rest, curved, self._generator)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).splitlines()[0] if str(error) else "no memory is left"
            # Only now, after the error with all that it holds, memory is free again.
            self._halve_rays(rays, reason)

    def _look(self, seen: Tensor) -> None:
        """Take note of a step's figures, and go back if they are no numbers."""
        corrections = self.model.cameras.corrections.detach()
        loss, mse, track_error_px, poses = torch.cat([seen, corrections.sum()[None]]).tolist()
        if not (math.isfinite(loss) and math.isfinite(poses)):
            self._go_back()
            return
        self._seen = (loss, mse, track_error_px)
        self._trials.note(self.progress, mse)
        if self.step_number % _MEASURE_EVERY == 0:
            angles, shifts = self.model.cameras.changes()
            turned_deg = math.degrees(float(angles.mean()))
            self._pose_change = (turned_deg, float(shifts.mean()) / self._scene_size)

    def _recall(self, told: Figures) -> None:
        """Take over the figures of a checkpoint, which hold until there is a new look."""
        track_error_px = math.nan if told.track_error_px is None else told.track_error_px
        self._seen = (told.loss, 10.0 ** (-told.psnr / 10.0), track_error_px)
        self._pose_change = (told.pose_change_deg, told.pose_change)
        self._rays_per_s = told.rays_per_s
        self.figures = told

    def _keep(self) -> None:
        """Remember this state as one to go back to, unless it is broken itself."""
        arrays = self._arrays()
        if all(np.isfinite(array).all() for array in arrays.values()):
            self._kept = arrays
        else:
            self._go_back()

    def _go_back(self) -> None:
        """Take the parameters back to the last good state, with half the rates."""
        self._failures += 1
        if self._failures > _MOST_FAILURES:
            raise PipelineError(
                "Training fails",
                f"The loss was not a number {self._failures} times, the last time at step "
                f"{self.step_number}, although the learning rates were halved each time.",
                "Lower radiance.field_rate and radiance.pose_rate.",
            )
        self._load(self._kept)
        self._damping /= 2.0
        self._warn(
            f"At step {self.step_number} the loss was not a number: training went back to a "
            f"recent state, with learning rates at {self._damping:g} of what was asked for."
        )

    def _halve_rays(self, rays: int, reason: str) -> None:
        if rays // 2 < _FEWEST_RAYS:
            raise PipelineError(
                "Too little memory",
                f"Not even {rays} rays at a time fit: {reason}.",
                "Use smaller photographs (radiance.size_px) or fewer radiance.samples.",
            )
        self._most_rays = rays // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._warn(f"Memory was short at {rays} rays a step ({reason}): from now on {rays // 2}.")

    def _arrays(self) -> dict[str, np.ndarray]:
        """All that steps change but the random state, for checkpoints and for going back."""
        parts = {
            "model": self.model.to_arrays(),
            "field_steps": self._field_steps.to_arrays(),
            "pose_steps": self._pose_steps.to_arrays(),
            "objective": self._objective.to_arrays(),
        }
        return {f"{part}/{name}": a for part, arrays in parts.items() for name, a in arrays.items()}

    def _load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `_arrays`. Raises ValueError for those of another problem."""
        self.model.load_values(_part(arrays, "model"))
        self._field_steps.load_arrays(_part(arrays, "field_steps"))
        self._pose_steps.load_arrays(_part(arrays, "pose_steps"))
        self._objective.load_arrays(_part(arrays, "objective"))


def _part(arrays: Mapping[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    prefix = f"{part}/"
    return {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}


def _refused(reason: str) -> PipelineError:
    return PipelineError(
        "Cannot go on from the checkpoint",
        f"{reason}.",
        "Training has to start from the beginning.",
    )
