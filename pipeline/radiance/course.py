"""The course of a training in a run: steps, records, previews, views for those who look on, and
checkpoints; then the held-out photographs."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence

import torch
from pydantic import JsonValue

from pipeline.errors import PipelineError
from pipeline.events import Metric, Preview, Progress, Record, Warned
from pipeline.geometry.poses import Pose
from pipeline.live_scenes import LiveScene, SceneBook
from pipeline.radiance.evaluation import Evaluation, Reference, Trained, evaluate_views, poses_of
from pipeline.radiance.novel_views import NovelViews
from pipeline.radiance.pictures import jpeg
from pipeline.radiance.previews import PreviewTimes, render_small
from pipeline.radiance.problem import Problem
from pipeline.radiance.snapshots import CameraSnapshots
from pipeline.radiance.training import Figures, Trainer
from pipeline.radiance.view_fitting import Fitting
from pipeline.radiance.view_service import ViewService
from pipeline.radiance_config import RadianceConfig
from pipeline.stage import Control

_PREVIEW_QUALITY = 85
_CHECKPOINT = "stages/radiance/checkpoint.arrays"  # where it lies in a run, for people
_FITTING = Fitting()  # what published figures are measured with


class Course:
    """One training from its start, or from its checkpoint, to its end."""

    def __init__(
        self,
        problem: Problem,
        config: RadianceConfig,
        control: Control,
        device: torch.device,
        snapshots: CameraSnapshots,
    ) -> None:
        """Goes on from the stage's checkpoint, if there is one that fits. Raises PipelineError
        where there is nothing to learn."""
        self._snapshots = snapshots
        self._problem = problem
        self._config = config
        self._control = control
        self._device = device
        self._words: list[str] = []
        self.trainer = self._trainer()
        views = NovelViews(self.trainer.model)
        self._service = ViewService(control.views, views.answer)

    def train(self) -> Generator[Record, None, None]:
        """Take the steps that are left; tells how it goes."""
        trainer, control = self.trainer, self._control
        previews, scenes = PreviewTimes(time.monotonic()), SceneBook(control)
        told = trainer.figures
        yield from self._warnings()  # a training that was over already takes no step
        yield Metric("bands", trainer.model.bands, trainer.step_number)
        while True:
            self._heed_changes()
            if trainer.done:
                break
            figures = trainer.step()
            yield from self._warnings()
            self.serve()
            if previews.due(began := time.monotonic()):
                yield from self._preview()
                previews.made(began, time.monotonic())
            if control.due():
                if trainer.settings.refine_poses:
                    yield from scenes.draw(trainer.step_number, self._seen)
                yield Progress(trainer.step_number, trainer.steps, "steps", "training")
                yield from _metrics(told := figures)
        yield Progress(trainer.step_number, trainer.steps, "steps")
        if trainer.figures is not None and trainer.figures is not told:
            yield from _metrics(trainer.figures)

    def trained(self) -> Trained:
        """The field and its cameras, as training left them."""
        model = self.trainer.model
        return Trained(model, model.alpha, poses_of(model.cameras), self._device)

    def evaluate(
        self, held_out_poses: Sequence[Pose] | None = None
    ) -> Generator[Record, None, Evaluation]:
        """How near the held-out photographs come; tells of each that is judged.

        held_out_poses: where they are looked for, camera from the field's frame as training left
        it; None: where they were among the training photographs at the start.
        """
        problem, trained = self._problem, self.trained()
        starts = problem.poses if held_out_poses is None else trained.poses
        reference = Reference(
            starts,
            problem.held_out,
            tuple(problem.held_out_poses if held_out_poses is None else held_out_poses),
            true=False,
        )
        settings = self.trainer.settings
        fitting = Fitting(
            iterations=min(_FITTING.iterations, self.trainer.step_number),
            rays=min(_FITTING.rays, settings.rays),
            exposure=settings.exposure,
            together=1,  # so that whoever waits is served in between
            seed=settings.seed,
        )

        done, doing = 0, "judging held-out photographs"
        judged = evaluate_views(trained, reference, fitting)
        while True:
            yield Progress(done, len(problem.held_out), "photographs", doing)
            self.serve()
            try:
                next(judged)
            except StopIteration as ended:
                evaluation: Evaluation = ended.value
                return evaluation
            done += 1

    @property
    def psnr(self) -> float:
        """Of the training photographs, in the latest steps."""
        figures = self.trainer.figures
        return math.nan if figures is None else figures.psnr

    def report(self, evaluation: Evaluation) -> dict[str, JsonValue]:
        """Figures of the training and of the held-out photographs, for the run's report."""
        trainer, figures = self.trainer, self.trainer.figures
        found: dict[str, JsonValue] = {
            "trained": True,
            "preset": trainer.settings.preset,
            "encoding": trainer.settings.encoding,
            "device": self._device.type,
            "views": len(self._problem.views),
            "held_out": len(self._problem.held_out),
            "steps": trainer.step_number,
            "training_s": round(trainer.seconds, 3),
            "held_out_psnr": evaluation.psnr,
            "held_out_ssim": evaluation.ssim,
            "held_out_reason": evaluation.reason,
            "held_out_views": [view.to_json() for view in evaluation.views],
        }
        if figures is not None:
            found |= {
                "psnr": figures.psnr,
                "pose_change_deg": figures.pose_change_deg,
                "pose_change": figures.pose_change,
                "rays_per_s": round(figures.rays_per_s),
            }
        return found

    def _trainer(self) -> Trainer:
        saved = self._control.load_checkpoint()
        if saved is None:
            return self._fresh()
        # With what was changed while it ran: the checkpoint was made with that.
        self._config = self._control.latest(self._config, int(str(saved.data.get("step", 0))))
        trainer = self._fresh()
        try:
            trainer.restore(saved)
        except PipelineError as error:
            self._words[:] = [f"{error.title} {_CHECKPOINT}: {error.message} {error.hint}"]
            return self._fresh()  # what was restored in part is of no use
        return trainer

    def _fresh(self) -> Trainer:
        return Trainer(self._problem, self._config, self._device, self._words.append)

    def _heed_changes(self) -> None:
        config = self._control.latest(self._config, self.trainer.step_number)
        if config is not self._config:
            self._config = config
            self.trainer.change(config)

    def serve(self) -> None:
        """Do what others want between two steps: pictures, a checkpoint, a pause, the end."""
        trainer, control = self.trainer, self._control
        self._service.serve(self._config.view_share, trainer.step_number)
        if control.checkpoint_due(trainer.step_number):
            control.save_checkpoint(trainer.checkpoint(), trainer.step_number)
        control.poll()

    def _seen(self) -> LiveScene:
        return self._snapshots.of_cameras(self.trainer.model.cameras)

    def _preview(self) -> Iterator[Record]:
        trainer = self.trainer
        number = len(self._problem.views) // 2
        view = self._problem.views[number]
        picture = render_small(trainer.model, view, number)
        name = f"{trainer.step_number:08}.jpg"
        file = self._control.keep_preview(name, jpeg(picture.rgb, _PREVIEW_QUALITY))
        if file:
            yield Preview(file, view.name, trainer.step_number, round(picture.psnr, 3))

    def _warnings(self) -> Iterator[Record]:
        words, self._words[:] = self._words[:], []
        for text in words:
            yield Warned(text)


def _metrics(figures: Figures) -> Iterator[Metric]:
    numbers = {
        "loss": (figures.loss, ""),
        "psnr": (figures.psnr, "dB"),
        "pose_change_deg": (figures.pose_change_deg, "deg"),
        "pose_change": (figures.pose_change, "scene size"),
        "rays_per_s": (figures.rays_per_s, "1/s"),
        "alpha": (figures.alpha, "bands"),
        "field_rate": (figures.field_rate, ""),
        "pose_rate": (figures.pose_rate, ""),
        "track_error_px": (figures.track_error_px, "px"),
    }
    for name, (value, unit) in numbers.items():
        if value is not None:
            yield Metric(name, value, figures.step, unit)
