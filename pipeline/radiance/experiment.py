"""Training outside a run: in pieces, in a folder of its own, judged against known cameras.

The folder holds `checkpoint.arrays` while the training is not over, then `model.arrays`, the panels
of the held-out views, and `result.json`. The same call goes on where an earlier one stopped or was
killed, and ends as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from pipeline.array_files import DamagedFile, encode_arrays, read_arrays
from pipeline.atomic_files import clean_leftovers, make_folder, write_bytes, write_json
from pipeline.errors import PipelineError
from pipeline.hashing import content_key
from pipeline.radiance.evaluation import Evaluation, Reference, Trained, evaluate, poses_of
from pipeline.radiance.evaluation_pictures import write_panel
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.pose_errors import pose_errors
from pipeline.radiance.problem import Problem
from pipeline.radiance.training import Figures, Trainer
from pipeline.radiance.view_fitting import FittedView, Fitting
from pipeline.radiance.views import View
from pipeline.radiance_config import RadianceConfig
from pipeline.stage import Checkpoint
from pipeline.torch_devices import choose_device
from pipeline.version import VERSION

RESULT = "result.json"
MODEL = "model.arrays"
PANELS = "views"
_CHECKPOINT = "checkpoint.arrays"
_DATA = "data.json"  # an array of the checkpoint that holds the plain data as text
_FORMAT = 1
_CURVE_POINTS = 50
_CHECKPOINT_SECONDS = 20.0


class Halt(Protocol):
    """Asked after every step whether to end this piece; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


@dataclass(frozen=True, eq=False)
class Experiment:
    """A training and how it is judged.

    name: of data, start and method, for people. reference: the true cameras and the held-out views.
    fitting: of the held-out views at the end. judge_at: shares of the training at which they are
    judged too.
    """

    name: str
    problem: Problem
    reference: Reference
    config: RadianceConfig
    fitting: Fitting = field(default_factory=Fitting)
    judge_at: tuple[float, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides the outcome on one machine."""
        poses = [*self.problem.poses, *self.reference.poses, *self.reference.held_out_poses]
        numbers = [[*pose.rotation.ravel().tolist(), *pose.translation.tolist()] for pose in poses]
        views = [_digest(view) for view in (*self.problem.views, *self.reference.held_out)]
        depths, frame = self.problem.depth_range, self.problem.box.tolist()
        rest = [repr(depths), frame, self.problem.bounded, self.problem.background]
        tracks = self.problem.tracks
        if tracks is not None:
            rest += [tracks.points.tolist(), tracks.pixels.tolist(), tracks.held_out.tolist()]
        how = [self.config.model_dump(), asdict(self.fitting), self.judge_at, VERSION]
        return content_key(numbers, views, rest, how)


@dataclass
class Ledger:
    """What has been measured so far; the seconds are those of training alone, and of judging."""

    cpu_seconds: float = 0.0
    judging_seconds: float = 0.0
    pieces: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list)
    judged: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def run_experiment(
    experiment: Experiment,
    folder: Path,
    for_seconds: float | None = None,
    halt: Halt | None = None,
    told: Callable[[Figures, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train to the end, or for a piece; what `result.json` says.

    for_seconds: this call ends after about so long, with a checkpoint; `done` of the result tells
    whether it came to the end. halt: ends it at the next step. told: called with the newest figures
    and the newest point of the curve, about 50 times in all. A finished experiment is only read.
    Raises PipelineError where the folder holds another experiment, and as `Trainer` does.
    """
    known = read_result(folder)
    if known is not None and known["fingerprint"] != experiment.fingerprint:
        raise _another(folder, known)
    if known is not None and known["done"]:
        return known
    make_folder(folder)
    clean_leftovers(folder)
    return _Piece(experiment, folder, told).run(for_seconds, halt)


def read_result(folder: Path) -> dict[str, Any] | None:
    """The `result.json` of an experiment's folder; None where there is none.

    Raises PipelineError where it cannot be understood.
    """
    try:
        result: dict[str, Any] = json.loads((folder / RESULT).read_bytes())
        known = result["format"] == _FORMAT
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / RESULT, str(error)) from error
    if not known:
        raise _damaged(folder / RESULT, "it is of another version")
    return result


class _Piece:
    """One call's share of an experiment."""

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        told: Callable[[Figures, dict[str, Any]], None] | None,
    ) -> None:
        self._experiment = experiment
        self._fingerprint = experiment.fingerprint
        self._folder = folder
        self._told = told
        self._ledger = Ledger()
        self._device = choose_device(experiment.config.device)
        self._trainer = Trainer(
            experiment.problem,
            experiment.config,
            self._device,
            lambda words: self._ledger.warnings.append(words),
        )
        self._load()

    def run(self, for_seconds: float | None, halt: Halt | None) -> dict[str, Any]:
        """Step after step; the result so far, which is written too."""
        trainer, ledger = self._trainer, self._ledger
        ledger.pieces += 1
        began = saved = time.monotonic()
        if not ledger.curve:
            self._note(None)
        while not trainer.done:
            cpu = time.process_time()
            figures = trainer.step()
            ledger.cpu_seconds += time.process_time() - cpu
            if trainer.done or trainer.progress * _CURVE_POINTS >= len(ledger.curve):
                self._note(figures)
            self._judge_if_due()
            now = time.monotonic()
            over = for_seconds is not None and now - began > for_seconds
            if over or (halt is not None and halt.is_set()):
                break
            if now - saved > _CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()
        self._save()
        return self._conclude() if trainer.done else self._write(None)

    def _note(self, figures: Figures | None) -> None:
        """A point of the curve, with the errors of the cameras as they are now."""
        trainer, ledger = self._trainer, self._ledger
        point: dict[str, Any] = {
            "step": trainer.step_number,
            "seconds": round(trainer.seconds, 3),
            "cpu_seconds": round(ledger.cpu_seconds, 3),
            "alpha": trainer.alpha,
        }
        if figures is not None:
            point |= {"loss": figures.loss, "train_psnr": figures.psnr}
        reference = self._experiment.reference
        if reference.true:
            point |= pose_errors(poses_of(trainer.model.cameras), reference.poses).to_json()
        ledger.curve.append(point)
        if self._told is not None and figures is not None:
            self._told(figures, point)

    def _judge_if_due(self) -> None:
        """Judge the held-out views once training has passed the next of the shares."""
        shares = sorted(self._experiment.judge_at)
        done = len(self._ledger.judged)
        if done < len(shares) and self._trainer.progress >= shares[done]:
            self._ledger.judged.append(self._where() | self._judge(None).to_json())
            self._save()

    def _judge(self, shown: Callable[[FittedView], object] | None) -> Evaluation:
        began = time.monotonic()
        model = self._trainer.model
        trained = Trained(model, self._trainer.alpha, poses_of(model.cameras), self._device)
        experiment = self._experiment
        judged = evaluate(trained, experiment.reference, experiment.fitting, shown)
        self._ledger.judging_seconds += time.monotonic() - began
        return judged

    def _conclude(self) -> dict[str, Any]:
        """Judge, keep the model and the panels, and only then the result that says `done`."""
        judged = self._judge(lambda fitted: write_panel(self._folder / PANELS, fitted))
        model = self._trainer.model.to_arrays()
        write_bytes(self._folder / MODEL, *encode_arrays(model))
        result = self._write(self._where() | judged.to_json())
        (self._folder / _CHECKPOINT).unlink(missing_ok=True)
        return result

    def _where(self) -> dict[str, Any]:
        trainer = self._trainer
        return {
            "step": trainer.step_number,
            "progress": trainer.progress,
            "seconds": trainer.seconds,
            "cpu_seconds": self._ledger.cpu_seconds,
        }

    def _write(self, end: dict[str, Any] | None) -> dict[str, Any]:
        experiment, trainer = self._experiment, self._trainer
        start = self._ledger.curve[0]
        result = {
            "format": _FORMAT,
            "name": experiment.name,
            "fingerprint": self._fingerprint,
            "done": end is not None,
            "steps": trainer.steps,
            **self._where(),
            "start": start,
            "end": end,
            **asdict(self._ledger),
            "preset": trainer.settings.preset,
            "config": experiment.config.model_dump(),
            "fitting": asdict(experiment.fitting),
            "machine": _machine(self._device),
        }
        write_json(self._folder / RESULT, result)
        return result

    def _save(self) -> None:
        checkpoint = self._trainer.checkpoint()
        data = {
            "format": _FORMAT,
            "fingerprint": self._fingerprint,
            "trainer": dict(checkpoint.data),
            "ledger": asdict(self._ledger),
        }
        text = np.frombuffer(json.dumps(data).encode(), np.uint8)
        write_bytes(self._folder / _CHECKPOINT, *encode_arrays({**checkpoint.arrays, _DATA: text}))

    def _load(self) -> None:
        path = self._folder / _CHECKPOINT
        try:
            arrays = read_arrays(path)
            data = json.loads(arrays.pop(_DATA).tobytes())
        except FileNotFoundError:
            return
        except (OSError, DamagedFile, KeyError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        if data["format"] != _FORMAT or data["fingerprint"] != self._fingerprint:
            raise _another(self._folder, data)
        try:
            self._trainer.restore(Checkpoint(arrays, data["trainer"]))
        except PipelineError as error:  # to begin anew would hide what was measured
            raise _damaged(path, f"{error.title}: {error.message}") from error
        for name, value in data["ledger"].items():
            setattr(self._ledger, name, value)


def load_model(folder: Path, device: torch.device) -> RadianceModel:
    """The trained model of a finished experiment. Raises PipelineError where it is not whole."""
    path = folder / MODEL
    try:
        return RadianceModel.from_arrays(read_arrays(path), device)
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _digest(view: View) -> str:
    pixels = hashlib.blake2b(view.rgb.tobytes(), digest_size=16)
    if view.mask is not None:
        pixels.update(np.packbits(view.mask).tobytes())
    camera = view.camera
    return content_key(view.name, pixels.hexdigest(), camera.model, camera.params.tolist())


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "device": device.type,
        "name": name,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def _damaged(path: Path, what: str) -> PipelineError:
    return PipelineError(
        "Experiment damaged", f"{path}: {what}", "Remove the folder to begin again."
    )


def _another(folder: Path, known: dict[str, Any]) -> PipelineError:
    name = known.get("name", "one of another version or configuration")
    return PipelineError(
        "Another experiment",
        f"{folder} holds {name}, not what is asked for",
        "Choose another folder, or remove this one.",
    )
