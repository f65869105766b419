"""Photographs that mapping could not register, looked for in the trained field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import JsonValue

from pipeline.geometry.poses import Pose
from pipeline.products import PhotoIndex, SparseModel
from pipeline.radiance.evaluation import Trained, quality_of
from pipeline.radiance.scene import ViewTask
from pipeline.radiance.view_fitting import Fitting, fit_views
from pipeline.radiance.views import View

MOST_WORSE_DB = 2.0
_COARSE = 0.4  # of the bands are open at first: details would hold a pose where it is
_FITTING = Fitting(iterations=150, pose_rate=5e-3, exposure=True, together=1)


@dataclass(frozen=True, eq=False)
class Rescued:
    """What became of a photograph without a pose.

    pose: camera from the field's frame; None where the field does not show what it shows. psnr: of
    the best pose. words: the outcome.
    """

    name: str
    pose: Pose | None
    psnr: float
    words: str

    def to_json(self) -> dict[str, JsonValue]:
        """Plain data, less the pose."""
        return {"image": self.name, "found": self.pose is not None, "outcome": self.words}


def missing_views(photos: PhotoIndex, model: SparseModel, size_px: int) -> list[ViewTask]:
    """The photographs that have no pose in a model, to be read at a size; with the intrinsics that
    the model has found for their camera, else those that mapping started from."""
    posed = {image.name for image in model.images.values()}
    cameras = {photo.name: photos.cameras[photo.camera] for photo in photos.photos}
    found = {photo.name: photo.camera for photo in photos.photos}
    for image in model.images.values():
        k = found.get(image.name)
        for name, other in found.items():
            if other == k and name not in posed:
                cameras[name] = model.cameras[image.camera]
    return [
        ViewTask(photo, cameras[photo.name], size_px)
        for photo in photos.photos
        if photo.name not in posed
    ]


def neighbours(name: str, names: Sequence[str], posed: Mapping[str, Pose]) -> list[Pose]:
    """Poses of the nearest photographs before and after one, in the order of the files, that have
    a pose."""
    place = names.index(name)
    before = [posed[other] for other in names[:place] if other in posed]
    after = [posed[other] for other in names[place:] if other in posed]
    return [*before[-1:], *after[:1]]


def rescue(
    trained: Trained,
    view: View,
    starts: Sequence[Pose],
    least_psnr: float,
    fitting: Fitting = _FITTING,
) -> Rescued:
    """Look for a view in the field, from poses where it may be.

    The pose is fitted to the view's pixels with the field frozen, first with little detail. It is
    accepted where the field then shows the view about as well as those whose poses are known.
    """
    if view.shows_nothing:
        return Rescued(view.name, None, -np.inf, "not looked for: its mask covers all of it")
    best_pose, best_psnr = None, -np.inf
    for start in starts:
        pose = start
        for alpha in (_COARSE * trained.alpha, trained.alpha):
            way = replace(fitting, exposure=alpha == trained.alpha)
            (fitted,) = fit_views(trained.renderer, alpha, [view], [pose], way, trained.device)
            pose = fitted.pose
        psnr = quality_of(fitted).psnr
        if psnr > best_psnr:
            best_pose, best_psnr = pose, psnr
    if best_pose is None or not best_psnr >= least_psnr:
        words = f"not found: {best_psnr:.1f} dB at best, {least_psnr:.1f} dB needed"
        return Rescued(view.name, None, best_psnr, words)
    return Rescued(view.name, best_pose, best_psnr, f"found with {best_psnr:.1f} dB")
