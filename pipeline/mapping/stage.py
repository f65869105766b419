"""The mapping stage: one or more sparse models, and a verdict for every photograph."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.config import MappingConfig, StageConfig
from pipeline.events import Metric, Progress, Record, Report
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.products import (
    FeatureSet,
    PairKind,
    PhotoIndex,
    Reconstruction,
    SparseModel,
    TwoViewGeometries,
    Verdict,
)
from pipeline.stage import Control, Inputs, Products

if TYPE_CHECKING:
    from pipeline.mapping.incremental import Growth, Step
    from pipeline.mapping.state import MapState


_MIN_SHARED = 3
_GUESS_FACTORS = (1.0, 0.75, 0.55)  # of 1.2 longer sides: normal, moderate and strong wide angle


class MapIncrementally:
    """Stage `mapping`."""

    name: ClassVar[str] = "mapping"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "geometries")
    makes: ClassVar[tuple[str, ...]] = ("reconstruction",)
    Config: ClassVar[type[StageConfig]] = MappingConfig

    def run(
        self, inputs: Inputs, config: MappingConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Grow models until no photograph is left that could begin or join one."""
        # numba is imported here and not at the top: only a run that maps pays for it.
        from pipeline.mapping.colors import KeypointColors
        from pipeline.mapping.export import sparse_model
        from pipeline.mapping.state import MapState
        from pipeline.mapping.tracks import build_tracks, keypoints_of

        photos: PhotoIndex = inputs["photos"]
        geometries: TwoViewGeometries = inputs["geometries"]
        keypoints_px = keypoints_of(inputs["features"])
        colors = KeypointColors(photos, keypoints_px, control.executor)
        yield Progress(0, len(photos.photos), "photographs", "joining matches to tracks")
        tracks = build_tracks(geometries, keypoints_px)
        image_cameras = np.array([photo.camera for photo in photos.photos], np.int64)
        remaining = set(range(len(photos.photos)))
        models: list[SparseModel] = []
        model_of: dict[str, int] = {}
        reasons: dict[int, str] = {}
        refined: list[dict[str, Any]] = []
        starts = focal_starts(photos, geometries.cameras)
        while len(remaining) >= config.min_model_images and len(models) < config.max_models:
            states = (MapState(tracks, cameras, image_cameras, config) for cameras in starts)
            steps = _best_model(states, geometries, config, remaining)
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    state, growth = end.value
                    break
                control.poll()
                if control.due():
                    done = len(model_of) + step.registered
                    total = len(photos.photos) if step.growing else None
                    yield Progress(done, total, "photographs", step.doing)
                    yield Metric("points", step.points)
            registered = {int(i) for i in state.registered_images}
            if not registered:
                break
            reasons.update(growth.reasons)
            remaining -= registered
            if len(registered) < config.min_model_images:
                reasons.update(
                    {i: f"joins only {len(registered) - 1} other photograph(s)" for i in registered}
                )
                continue
            model = sparse_model(state, photos, keypoints_px, colors.of(registered))
            model_of.update({image.name: len(models) for image in model.images.values()})
            models.append(model)
            refined.append(_describe_cameras(state, growth))
        order = sorted(range(len(models)), key=lambda m: (-len(models[m].images), m))
        place = {m: position for position, m in enumerate(order)}
        verdicts = tuple(
            Verdict(photo.name, True, "registered", place[model_of[photo.name]])
            if photo.name in model_of
            else Verdict(
                photo.name, False, _why_not(i, inputs["features"], geometries, reasons, config)
            )
            for i, photo in enumerate(photos.photos)
        )
        models = [models[m] for m in order]
        yield Progress(len(model_of), len(photos.photos), "photographs")
        yield Report(_summary(models, [refined[m] for m in order], tracks.set_aside, photos))
        return {"reconstruction": Reconstruction(tuple(models), verdicts)}


def focal_starts(photos: PhotoIndex, cameras: tuple[Camera, ...]) -> list[tuple[Camera, ...]]:
    """The intrinsics to begin a model with; several where a focal length is no more than a guess.

    A guess is a focal length without prior that the pairs could not vote on, shared by enough
    photographs that they should have. Planes and forward motion leave it open.
    """
    shared = np.bincount([photo.camera for photo in photos.photos], minlength=len(cameras))
    guessed = [
        not camera.has_focal_prior
        and camera.focal_px == photos.cameras[k].focal_px
        and shared[k] >= _MIN_SHARED
        for k, camera in enumerate(cameras)
    ]
    if not any(guessed):
        return [cameras]
    return [
        tuple(
            camera.with_focal_scaled(factor) if guess else camera
            for camera, guess in zip(cameras, guessed, strict=True)
        )
        for factor in _GUESS_FACTORS
    ]


def _best_model(
    states: Iterable[MapState],
    geometries: TwoViewGeometries,
    config: MappingConfig,
    available: set[int],
) -> Generator[Step, None, tuple[MapState, Growth]]:
    """Grow a model from each state and refine the largest."""
    from pipeline.mapping import incremental

    trials = []
    for state in states:
        growth = incremental.Growth(available)
        yield from incremental.build_model(state, geometries, config, growth)
        trials.append((state, growth))
    state, growth = max(trials, key=lambda trial: trial[0].size)
    if state.registered.any():
        yield from incremental.refine(state, config, growth)
    return state, growth


def _why_not(
    i: int,
    features: FeatureSet,
    geometries: TwoViewGeometries,
    reasons: dict[int, str],
    config: MappingConfig,
) -> str:
    """Why image i stands in no model, in words; the most specific reason known."""
    if features.counts[i] < config.min_resection_inliers:
        return f"{features.counts[i]} keypoints: without texture, or blurred"
    partners = [g for pair, g in geometries.of_pair.items() if i in pair and g.verified]
    if not partners:
        return "matches no other photograph"
    if i in reasons:
        return reasons[i]
    if all(g.kind in (PairKind.PANORAMIC, PairKind.PLANAR_OR_PANORAMIC) for g in partners):
        return (
            f"taken from the same place as the {len(partners)} photograph(s) that it matches: "
            "a turn of the camera shows no depth"
        )
    return f"matches {len(partners)} photograph(s), none of which could begin a model with it"


def _describe_cameras(state: MapState, growth: Growth) -> dict[str, Any]:
    """Which intrinsics were refined, for the report."""
    cameras = {}
    for k in np.unique(state.image_cameras[state.registered_images]):
        camera, start = state.cameras[k], state.start_cameras[k]
        moved = camera.params != start.params
        names = MODELS[camera.model].parameters
        cameras[str(int(k) + 1)] = {
            "model": camera.model,
            "params": dict(zip(names, camera.params.round(5).tolist(), strict=True)),
            "refined": [name for name, changed in zip(names, moved, strict=True) if changed],
            "principal_point": growth.principal_points.get(int(k), "held at its start"),
        }
    return cameras


def _summary(
    models: list[SparseModel], cameras: list[dict[str, Any]], set_aside: Any, photos: PhotoIndex
) -> dict[str, Any]:
    names = [photo.name for photo in photos.photos]
    return {
        "models": [
            {
                "registered": len(model.images),
                "points": len(model.points),
                "observations": int(model.points.track_starts[-1]),
                "reprojection_error_px": round(model.mean_error_px, 4),
                "mean_track_length": round(
                    float(np.diff(model.points.track_starts).mean()) if len(model.points) else 0.0,
                    2,
                ),
                "cameras": described,
            }
            for model, described in zip(models, cameras, strict=True)
        ],
        "pairs_set_aside": [
            {
                "pair": [names[i1], names[i2]],
                "reason": f"{contradict} matches contradict the tracks of stronger pairs, "
                f"{agree} agree: a repeated structure",
            }
            for (i1, i2), (contradict, agree) in sorted(set_aside.items())
        ],
        "registered": sum(len(model.images) for model in models),
    }
