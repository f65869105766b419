"""What a trained field is worth: pose errors, and held-out views beside their photographs.

Source: Lin et al., "BARF", ICCV 2021, section 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import JsonValue

from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import NoSimilarity
from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.image_quality import LPIPS_ABSENT, psnr, ssim
from pipeline.radiance.pose_errors import NoPoseErrors, PoseErrors, align_centres, pose_errors
from pipeline.radiance.view_fitting import FittedView, Fitting, Renderer, fit_views, pose_of
from pipeline.radiance.views import View


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained field and its training cameras.

    alpha: bands of detail that are open. poses: of the training views as training left them, camera
    from the field's frame. device: of the renderer.
    """

    renderer: Renderer
    alpha: float
    poses: tuple[Pose, ...]
    device: torch.device


@dataclass(frozen=True, eq=False)
class Reference:
    """Cameras that a trained field is judged by.

    poses: of the training views, and held_out_poses: of the held-out views, all in one frame. true:
    whether they are the truth; else they are where training started, and only tell where the
    held-out views are.
    """

    poses: tuple[Pose, ...]
    held_out: tuple[View, ...]
    held_out_poses: tuple[Pose, ...]
    true: bool

    def __post_init__(self) -> None:
        if len(self.held_out) != len(self.held_out_poses):
            raise ValueError("every held-out view needs a pose")


@dataclass(frozen=True)
class ViewQuality:
    """How near a held-out view comes to its photograph. ssim: None where no window fits in."""

    name: str
    psnr: float
    ssim: float | None
    pose_change_deg: float
    gains: tuple[float, float, float]

    def to_json(self) -> dict[str, JsonValue]:
        """Plain data."""
        return {
            "name": self.name,
            "psnr": self.psnr if math.isfinite(self.psnr) else None,
            "ssim": self.ssim,
            "lpips": None,
            "pose_change_deg": self.pose_change_deg,
            "gains": list(self.gains),
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """cameras: errors of the training cameras, or why there are none; None without a truth. views:
    the held-out views. reason: why none were judged, or what must be known of them; else ""."""

    cameras: PoseErrors | NoPoseErrors | None
    views: tuple[ViewQuality, ...]
    reason: str = ""

    @property
    def psnr(self) -> float | None:
        """Mean over the held-out views; None without any."""
        return float(np.mean([view.psnr for view in self.views])) if self.views else None

    @property
    def ssim(self) -> float | None:
        """Mean over the held-out views that have one; None without any."""
        known = [view.ssim for view in self.views if view.ssim is not None]
        return float(np.mean(known)) if known else None

    def to_json(self) -> dict[str, JsonValue]:
        """Plain data; errors, PSNR and SSIM are null where there are none, with the reason."""
        return {
            "cameras": None if self.cameras is None else self.cameras.to_json(),
            "psnr": self.psnr,
            "ssim": self.ssim,
            "lpips": None,
            "lpips_reason": LPIPS_ABSENT,
            "held_out": len(self.views),
            "reason": self.reason,
            "views": [view.to_json() for view in self.views],
        }


def evaluate(
    trained: Trained,
    reference: Reference,
    fitting: Fitting,
    shown: Callable[[FittedView], object] | None = None,
) -> Evaluation:
    """As `evaluate_views`, all at once. shown: called with each rendered view, to keep its
    pictures."""
    views = evaluate_views(trained, reference, fitting)
    while True:
        try:
            fitted = next(views)
        except StopIteration as ended:
            evaluation: Evaluation = ended.value
            return evaluation
        if shown is not None:
            shown(fitted)


def evaluate_views(
    trained: Trained, reference: Reference, fitting: Fitting
) -> Generator[FittedView, None, Evaluation]:
    """Pose errors of the training cameras, and PSNR and SSIM of the held-out views, each of which
    is given as soon as it is rendered.

    Held-out poses are brought into the field's frame by the similarity that aligns the training
    cameras' centres, then fitted (`fit_views`). Where the centres determine no similarity there are
    no pose errors, and held-out views are judged only if the reference's frame is the field's own;
    the reason says so.
    """
    errors = pose_errors(trained.poses, reference.poses) if reference.true else None
    if not reference.held_out:
        return Evaluation(errors, (), "no photograph is held out")
    alignment = align_centres(reference.poses, trained.poses)
    reason = ""
    if not isinstance(alignment, NoSimilarity):
        starts = [alignment.apply_to_pose(pose) for pose in reference.held_out_poses]
    elif reference.true:
        why = f"held-out cameras have no place: {alignment.reason}"
        return Evaluation(errors, (), why)
    else:
        starts = list(reference.held_out_poses)
        reason = f"held-out cameras start where they were given: {alignment.reason}"
    views = []
    for fitted in fit_views(
        trained.renderer, trained.alpha, reference.held_out, starts, fitting, trained.device
    ):
        views.append(quality_of(fitted))
        yield fitted
    return Evaluation(errors, tuple(views), reason)


def quality_of(fitted: FittedView) -> ViewQuality:
    """PSNR and SSIM of a rendered view, over the pixels that count."""
    truth = fitted.view.rgb / 255.0
    red, green, blue = np.exp(fitted.log_gains).tolist()
    return ViewQuality(
        fitted.view.name,
        psnr(fitted.rgb, truth, fitted.seen),
        ssim(fitted.rgb, truth, None if fitted.seen.all() else fitted.seen),
        fitted.pose_change_deg,
        (red, green, blue),
    )


@torch.no_grad()
def poses_of(cameras: RayCameras) -> tuple[Pose, ...]:
    """The corrected poses of all images, camera from the field's frame."""
    images = torch.arange(len(cameras.initial), device=cameras.initial.device)
    return tuple(pose_of(matrix) for matrix in cameras.cam_from_world(images))
