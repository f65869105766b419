"""Runs whose mapping is done, with real photographs, made in an instant."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.codecs import save_product
from pipeline.export_request import ExportRequest
from pipeline.exports.scene import Export
from pipeline.formats.colmap_model import write_model
from pipeline.formats.posed import camera_at_size
from pipeline.geometry.arrays import Float64s, UInt8s
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import Photo, PhotoIndex, Reconstruction, SparseModel, Verdict
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.formats.models import make_model

WIDTH, HEIGHT = 200, 150


def small_model(seed: int, **more: Any) -> SparseModel:
    """A model as `make_model` makes it, for photographs of a quarter of the size."""
    model = make_model(seed, **more)
    cameras = {k: camera_at_size(camera, WIDTH, HEIGHT) for k, camera in model.cameras.items()}
    images = {
        image_id: replace(image, keypoints_px=image.keypoints_px / 4)
        for image_id, image in model.images.items()
    }
    return replace(model, cameras=cameras, images=images)


CURVED = small_model(7, n_images=5, n_points=30)
"""Five photographs in two folders, one with each camera model, names with umlauts."""


def ramp(width: int, height: int) -> UInt8s:
    """A picture whose red and green say where in it one is: from 0 to 255 across and down."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    rgb = np.stack([x, y, np.full_like(x, 0.5)], axis=2)
    return np.asarray(np.round(255.0 * rgb), np.uint8)


def write_photograph(path: Path, pixels: UInt8s, orientation: int = 1) -> None:
    """A photograph whose pixels are stored as they are, with an EXIF orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    Image.fromarray(pixels).save(data, kind, quality=98, subsampling=0, exif=exif.tobytes())
    path.write_bytes(data.getvalue())


def write_run(root: Path, *models: SparseModel, photographs: bool = True) -> Path:
    """A run of these models, the first with its photographs in `photos` beside it."""
    folder = root.parent / "photos"
    photos = []
    for model in models:
        for image in model.images.values():
            camera = model.cameras[image.camera]
            photo = Photo(image.name, folder / image.name, 0, camera.width, camera.height, "")
            if photographs:
                write_photograph(photo.path, ramp(camera.width, camera.height))
            photos.append(photo)
    camera = next(iter(models[0].cameras.values()))
    verdicts = tuple(Verdict(photo.name, True, "registered", 0) for photo in photos)
    with Workspace(root, VERSION) as workspace:
        save_product("photos", PhotoIndex(tuple(photos), (camera,)), root)
        workspace.save(
            StageEntry(Ingredients("mapping", 1, {}, {}, {}), 1.0, {}),
            {"reconstruction": Reconstruction(models, verdicts)},
        )
    return root


def record_stage(root: Path, stage: str, needs: dict[str, str] | None = None) -> None:
    """Record a stage as done, from products of these fingerprints."""
    with Workspace(root, VERSION) as workspace:
        workspace.record(StageEntry(Ingredients(stage, 1, {}, needs or {}, {}), 1.0, {}))


def write_refined(root: Path, model: SparseModel) -> None:
    """Refined cameras beside those of mapping."""
    write_model(model, root / "sparse" / "refined")


def moved(model: SparseModel, by: float) -> SparseModel:
    """The model with its cameras pushed along x, which compares as another one."""
    images = {}
    for image_id, image in model.images.items():
        pose = image.cam_from_world
        pushed = replace(pose, translation=pose.translation + np.array([by, 0.0, 0.0]))
        images[image_id] = replace(image, cam_from_world=pushed)
    return replace(model, images=images)


def projections(model: SparseModel) -> dict[str, Float64s]:
    """Where each photograph, by name, sees each of the model's points: (J, 2) pixels."""
    xyz = model.points.xyz_world
    return {
        image.name: model.cameras[image.camera].project(image.cam_from_world.apply(xyz))
        for image in model.images.values()
    }


class WithoutPhotographs(Export):
    """An export that leaves the photographs out, for tests of what stands beside them."""

    def place(self, *arguments: object, **more: object) -> None:
        """Put nothing anywhere."""


def export_of(model: SparseModel, run: Path = Path("run")) -> WithoutPhotographs:
    """An export of a model alone."""
    return WithoutPhotographs(model, {}, run, frozenset(), lambda done, total: None)


def asked(format: str, out: Path | None = None, model: str = "best") -> ExportRequest:
    """A request, with less typing."""
    return ExportRequest(format, model, out)  # type: ignore[arg-type]
