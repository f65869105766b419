"""The mapping stage: one or more sparse models, and a verdict for every photograph."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.config import MappingConfig
from pipeline.config_base import StageConfig
from pipeline.events import Metric, Progress, Record, Report
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.live_scenes import SceneBook
from pipeline.products import (
    FeatureSet,
    PairKind,
    PhotoIndex,
    Reconstruction,
    SparseModel,
    TwoViewGeometries,
    Verdict,
)
from pipeline.sketches import SketchBook
from pipeline.stage import Control, Inputs, Products

if TYPE_CHECKING:
    from pipeline.mapping.mapper import Mapper
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
    compiles: ClassVar[bool] = True

    def run(
        self, inputs: Inputs, config: MappingConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Grow models until no photograph is left that could begin or join one."""
        # numba is imported here and not at the top: only a run that maps pays for it.
        from pipeline.mapping.checkpoint import load_mapper
        from pipeline.mapping.colors import KeypointColors
        from pipeline.mapping.drawing import ModelDrawing
        from pipeline.mapping.export import sparse_model
        from pipeline.mapping.mapper import Mapper, Scene
        from pipeline.mapping.snapshots import Snapshots
        from pipeline.mapping.tracks import build_tracks, keypoints_of

        photos: PhotoIndex = inputs["photos"]
        geometries: TwoViewGeometries = inputs["geometries"]
        count = len(photos.photos)
        yield Progress(0, count, "photographs", "joining matches to tracks")
        control.poll()
        keypoints_px = keypoints_of(inputs["features"])
        tracks = build_tracks(geometries, keypoints_px)
        image_cameras = np.array([photo.camera for photo in photos.photos], np.int64)
        scene = Scene(tracks, geometries, image_cameras, focal_starts(photos, geometries.cameras))
        saved = control.load_checkpoint()
        mapper = Mapper(scene) if saved is None else load_mapper(saved, scene)
        drawing = ModelDrawing([photo.name for photo in photos.photos])
        book = SketchBook(control)
        scenes = SceneBook(control)
        with KeypointColors(photos, keypoints_px, control.executor) as colors:
            snapshots = Snapshots(tracks, count, colors)
            while True:
                config = control.latest(config, mapper.step)
                if not mapper.advance(config):
                    break
                _serve(mapper, control)
                if control.due():
                    yield from _records(mapper, config, count)
                    if mapper.current is not None:
                        most_px = config.max_reprojection_error_px
                        sketch = partial(drawing.of_model, mapper.current, most_px, mapper.reasons)
                        yield from book.draw(mapper.step, sketch)
                        seen = partial(snapshots.of_state, mapper.current.state)
                        yield from scenes.draw(mapper.step, seen)
            models: list[SparseModel] = []
            cameras: list[dict[str, Any]] = []
            model_of: dict[int, int] = {}
            place_of: dict[int, int] = {}
            for finished in sorted(mapper.finished, key=lambda model: -model.registered):
                state = mapper.unpacked(finished)
                if not models:
                    most_px = config.max_reprojection_error_px
                    sketch = partial(drawing.of_state, state, most_px, mapper.reasons)
                    yield from book.draw(mapper.step, sketch, last=True)
                    seen = partial(snapshots.of_state, state)
                    yield from scenes.draw(mapper.step, seen, last=True)
                rgb = {}
                for i in state.registered_images.tolist():
                    _serve(mapper, control)
                    rgb[i] = colors.of_image(i)
                    model_of[i] = len(models)
                place_of |= {i: place for place, i in enumerate(finished.notes.order)}
                models.append(sparse_model(state, photos, keypoints_px, rgb))
                cameras.append(_describe_cameras(state, finished.notes.principal_points))
        verdicts = tuple(
            Verdict(photo.name, True, "registered", model_of[i], place_of.get(i))
            if i in model_of
            else Verdict(
                photo.name,
                False,
                _why_not(i, inputs["features"], geometries, mapper.reasons, config),
            )
            for i, photo in enumerate(photos.photos)
        )
        yield Progress(len(model_of), count, "photographs")
        for model in models[:1]:
            observations = int(model.points.track_starts[-1])
            yield from _sizes(mapper.step, len(model.points), observations, model.mean_error_px)
        yield Report(_summary(models, cameras, tracks.set_aside, photos))
        return {"reconstruction": Reconstruction(tuple(models), verdicts)}


def _serve(mapper: Mapper, control: Control) -> None:
    """Save a checkpoint if one is due, then poll."""
    from pipeline.mapping.checkpoint import save_mapper

    if control.checkpoint_due(mapper.step):
        control.save_checkpoint(save_mapper(mapper), mapper.step)
    control.poll()


def _records(mapper: Mapper, config: MappingConfig, photographs: int) -> Iterator[Record]:
    """How far the mapper is, and the size of the model that it works on."""
    total = photographs if mapper.growing else None
    yield Progress(mapper.registered, total, "photographs", mapper.following(config))
    yield Metric("registered", mapper.registered, mapper.step, "photographs")
    if mapper.current is not None:
        state = mapper.current.state
        observations = int(state.sees_point().sum())
        yield from _sizes(mapper.step, state.point_count(), observations, state.mean_error_px)


def _sizes(step: int, points: int, observations: int, error_px: float) -> Iterator[Metric]:
    """error_px: NaN where it is not known."""
    yield Metric("points", points, step)
    yield Metric("observations", observations, step)
    if not math.isnan(error_px):
        yield Metric("reprojection_error_px", error_px, step, "px")


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


def _describe_cameras(state: MapState, principal_points: dict[int, str]) -> dict[str, Any]:
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
            "principal_point": principal_points.get(int(k), "held at its start"),
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
