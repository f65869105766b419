"""In mapping's place when the user brings the camera poses: points are triangulated, poses held."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np

from pipeline.config import MappingConfig
from pipeline.config_base import StageConfig
from pipeline.errors import PipelineError
from pipeline.events import Metric, Progress, Record, Report
from pipeline.geometry.cameras import Camera
from pipeline.live_scenes import SceneBook
from pipeline.products import PhotoIndex, Reconstruction, TwoViewGeometries, Verdict
from pipeline.sketches import MappingSketch, SketchBook
from pipeline.stage import Checkpoint, Control, Inputs, Products

_ROUNDS = 3


class ImportPoses:
    """Stage `mapping` of a run whose poses are given (`--poses FILE`)."""

    name: ClassVar[str] = "mapping"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "geometries", "poses")
    makes: ClassVar[tuple[str, ...]] = ("reconstruction",)
    Config: ClassVar[type[StageConfig]] = MappingConfig
    compiles: ClassVar[bool] = True

    def run(
        self, inputs: Inputs, config: MappingConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Triangulate the tracks from the given poses. Photographs without a pose are left out.

        `poses` is a `PosedPhotos`; its intrinsics, where it has any, hold for their photographs.
        Raises PipelineError when fewer than two photographs have a pose.
        """
        from pipeline.formats.posed import PosedPhotos, camera_at_size, match_names
        from pipeline.mapping.adjustment import adjust_points
        from pipeline.mapping.colors import KeypointColors
        from pipeline.mapping.drawing import ModelDrawing
        from pipeline.mapping.export import sparse_model
        from pipeline.mapping.snapshots import Snapshots
        from pipeline.mapping.state import Limits, MapState
        from pipeline.mapping.tracks import build_tracks, keypoints_of

        photos: PhotoIndex = inputs["photos"]
        geometries: TwoViewGeometries = inputs["geometries"]
        poses: PosedPhotos = inputs["poses"]
        names = [photo.name for photo in photos.photos]
        given = match_names(list(poses.cam_from_world), names)
        pose_of = {photo: reference for reference, photo in given.items()}
        if len(pose_of) < 2:
            raise PipelineError(
                "no poses for these photographs",
                f"the file of poses names {len(pose_of)} of the {len(names)} photographs",
                "check that its image names are those of the photo folder",
            )
        yield Progress(0, len(names), "photographs", "joining matches to tracks")
        control.poll()
        keypoints_px = keypoints_of(inputs["features"])
        cameras: list[Camera] = list(geometries.cameras)
        image_cameras = np.array([photo.camera for photo in photos.photos], np.int64)
        number_of: dict[tuple[Any, ...], int] = {}
        for i, photo in enumerate(photos.photos):
            if photo.name not in pose_of or pose_of[photo.name] not in poses.intrinsics:
                continue
            camera = camera_at_size(
                poses.intrinsics[pose_of[photo.name]], photo.width, photo.height
            )
            key = (camera.model, photo.width, photo.height, *camera.params.tolist())
            if key not in number_of:
                number_of[key] = len(cameras)
                cameras.append(camera)
            image_cameras[i] = number_of[key]
        state = MapState(build_tracks(geometries, keypoints_px), cameras, image_cameras)
        for i, name in enumerate(names):
            if name in pose_of:
                state.set_pose(i, poses.cam_from_world[pose_of[name]])
        rounds = 0
        saved = control.load_checkpoint()
        if saved is not None:
            state.restore(saved.arrays)
            rounds = cast("int", saved.data["rounds"])
        drawing, book, scenes = ModelDrawing(names), SketchBook(control), SceneBook(control)

        def sketch() -> MappingSketch:
            return drawing.of_state(state, config.max_reprojection_error_px, {})

        with KeypointColors(photos, keypoints_px, control.executor) as colors:
            snapshots = Snapshots(state.tracks, len(names), colors, normalise=False)
            while rounds < _ROUNDS:
                config = control.latest(config, rounds)
                state.update_points(Limits.of(config, slack=2.0 if rounds == 0 else 1.0))
                adjust_points(state)
                rounds += 1
                if control.checkpoint_due(rounds):
                    control.save_checkpoint(
                        Checkpoint(state.snapshot(), {"rounds": rounds}), rounds
                    )
                control.poll()
                yield Progress(len(pose_of), len(names), "photographs", "triangulating")
                yield Metric("points", state.point_count(), rounds)
                yield from book.draw(rounds, sketch)
                yield from scenes.draw(rounds, partial(snapshots.of_state, state))
            state.update_points(Limits.of(control.latest(config, rounds)))
            yield from book.draw(rounds, sketch, last=True)
            yield from scenes.draw(rounds, partial(snapshots.of_state, state), last=True)
            rgb = {}
            for i in state.registered_images.tolist():
                control.poll()
                rgb[i] = colors.of_image(i)
        model = sparse_model(state, photos, keypoints_px, rgb, normalise=False)
        verdicts = tuple(
            Verdict(name, True, "pose given", 0)
            if name in pose_of
            else Verdict(name, False, "the file of poses has none for it")
            for name in names
        )
        yield Report(
            {
                "registered": len(model.images),
                "points": len(model.points),
                "observations": int(model.points.track_starts[-1]),
                "reprojection_error_px": round(model.mean_error_px, 4),
                "poses": "given and held",
            }
        )
        return {"reconstruction": Reconstruction((model,), verdicts)}
