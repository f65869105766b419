"""The formats of cameras and points: each function fills an empty folder.

They raise PipelineError for what the user can mend, and OSError where writing fails.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import PipelineError
from pipeline.exports.names import NameRules
from pipeline.exports.pinhole import centred_pinhole, undistorted_model
from pipeline.exports.scene import Export, posed_photos
from pipeline.exports.worlds import aabb_scale, instant_ngp_from_world, nerfstudio_from_world
from pipeline.formats.colmap_model import write_model
from pipeline.formats.llff import LlffPoses, write_llff
from pipeline.formats.nvm import write_nvm
from pipeline.formats.opensfm import write_camera_models, write_reconstruction, write_tracks
from pipeline.formats.ply import PointCloud, write_ply
from pipeline.formats.transforms import write_transforms
from pipeline.formats.tum import write_image_list, write_trajectory
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.similarity import Similarity
from pipeline.products import SparseModel

_IMAGES = "images"
_MOST_ROUNDING = 1e-6  # of the scene size; about a thousandth of a pixel
_DEPTHS_INSIDE = (0.1, 99.9)  # percent, as LLFF's own script has them


def write_colmap(export: Export, folder: Path) -> None:
    """COLMAP: sparse/0 and images/, names as they are."""
    model, names = export.renamed(NameRules())
    write_model(model, folder / "sparse" / "0")
    export.place(folder / _IMAGES, names)


def write_nerfstudio(export: Export, folder: Path) -> None:
    """nerfstudio: transforms.json in its world, sparse_pc.ply, images/."""
    model, names = export.renamed(NameRules())
    world = nerfstudio_from_world()
    points = "sparse_pc.ply" if len(model.points) else None
    if points is not None:
        write_ply(folder / points, cloud_of(export, world))
    write_transforms(
        folder / "transforms.json", posed_photos(model), _IMAGES, points, file_from_world=world
    )
    export.place(folder / _IMAGES, names)


def write_instant_ngp(export: Export, folder: Path) -> None:
    """instant-ngp: transforms.json in its world, images/; what it cannot open becomes PNG."""
    model, names = export.renamed(NameRules(suffixes=(".jpg", ".jpeg", ".png", ".bmp")))
    world = instant_ngp_from_world(model)
    extras = {"aabb_scale": aabb_scale(world.apply(model.points.xyz_world))}
    write_transforms(
        folder / "transforms.json",
        posed_photos(model),
        f"./{_IMAGES}",
        file_from_world=world,
        extras=extras,
    )
    export.place(folder / _IMAGES, names)


def write_llff_folder(export: Export, folder: Path) -> None:
    """LLFF: poses_bounds.npy, and images/ in the same order, all of one pinhole camera."""
    rules = NameRules(flat=True, suffixes=(".jpg", ".jpeg", ".png"))
    model, names = export.renamed(rules)
    used = {image.camera for image in model.images.values()}
    cameras = [model.cameras[key] for key in sorted(used)]
    sizes = sorted({(camera.width, camera.height) for camera in cameras})
    if len(sizes) > 1:
        several = ", ".join(f"{width} x {height}" for width, height in sizes[:3])
        raise PipelineError(
            "Photographs of several sizes",
            f"LLFF has one camera, but the photographs have {len(sizes)} sizes ({several}).",
            "Choose colmap, nerfstudio or instant-ngp, which have one for each photograph.",
        )
    pinhole = _pinhole(cameras, "llff")
    write_llff(
        folder / "poses_bounds.npy",
        LlffPoses(
            tuple(image.cam_from_world for image in model.images.values()),
            (pinhole,) * len(model.images),
            _depth_bounds(model),
        ),
    )
    export.place(folder / _IMAGES, names, dict.fromkeys(used, pinhole))


def write_nvm_folder(export: Export, folder: Path) -> None:
    """VisualSfM: model.nvm, and images/ as pinhole cameras see them; no spaces in names."""
    rules = NameRules(no_spaces=True, suffixes=(".jpg", ".jpeg", ".png"))
    model, names = export.renamed(rules)
    used = {image.camera for image in model.images.values()}
    pinholes = {key: _pinhole([model.cameras[key]], "nvm") for key in used}
    seen = undistorted_model(model, pinholes)
    images = {
        image_id: replace(image, name=f"{_IMAGES}/{image.name}")
        for image_id, image in seen.images.items()
    }
    write_nvm(folder / "model.nvm", replace(seen, images=images))
    export.place(folder / _IMAGES, names, pinholes)


def write_opensfm(export: Export, folder: Path) -> None:
    """OpenSfM: reconstruction.json, camera_models.json, tracks.csv, images/ without folders."""
    rules = NameRules(flat=True, no_spaces=True)
    model, names = export.renamed(rules)
    write_reconstruction(folder / "reconstruction.json", model)
    write_camera_models(folder / "camera_models.json", model)
    write_tracks(folder / "tracks.csv", model)
    export.place(folder / _IMAGES, names)


def write_tum(export: Export, folder: Path) -> None:
    """TUM: trajectory.txt, and rgb.txt with the photograph of each timestamp; no photographs."""
    images = sorted(export.model.images.values(), key=lambda image: image.name)
    poses = {float(number): image.cam_from_world for number, image in enumerate(images)}
    names = {
        float(number): re.sub(r"[\r\n]", "_", image.name) for number, image in enumerate(images)
    }
    write_trajectory(folder / "trajectory.txt", poses)
    write_image_list(folder / "rgb.txt", names)
    export.notes.append(
        "The timestamps are the numbers of the photographs in order of their names, from 0; "
        "rgb.txt tells which is which."
    )
    if any(" " in name for name in names.values()):
        export.notes.append(
            "Names with spaces stand in rgb.txt as they are: a name reaches to the end of its line."
        )


def cloud_of(export: Export, file_from_world: Similarity | None = None) -> PointCloud:
    """The model's points, in a file's world; a note where single precision cannot hold them."""
    points, images = export.model.points, export.model.images.values()
    xyz = points.xyz_world if file_from_world is None else file_from_world.apply(points.xyz_world)
    rounded = xyz.astype(np.float32)
    centers = np.array([image.cam_from_world.center for image in images])
    scene_size = float(np.linalg.norm(centers - centers.mean(axis=0), axis=1).max())
    off = float(np.abs(rounded - xyz).max(initial=0.0))
    if off > _MOST_ROUNDING * scene_size > 0.0:
        export.notes.append(
            f"The points lie far from the origin: single precision moves them by up to {off:.2g}, "
            f"where the cameras span {scene_size:.3g}."
        )
    return PointCloud(rounded, points.rgb)


def _pinhole(cameras: list[Camera], name: str) -> Camera:
    """The pinhole camera for a format that has no other; PipelineError where there is none."""
    pinhole = centred_pinhole(cameras)
    if pinhole is None:
        raise PipelineError(
            "Camera not storable",
            f"{name} has pinhole cameras with a centred principal point only; a {cameras[0].model} "
            f"camera with {cameras[0].params.tolist()} shows nothing that such a one could.",
            "Choose colmap, nerfstudio, instant-ngp or opensfm.",
        )
    return pinhole


def _depth_bounds(model: SparseModel) -> Float64s:
    """Nearest and farthest depth (I, 2) of the points that each image sees, without strays; of all
    in front of it where it sees none."""
    points = model.points
    point_of_obs = np.repeat(np.arange(len(points)), np.diff(points.track_starts))
    bounds = np.empty((len(model.images), 2))
    for row, (image_id, image) in zip(bounds, model.images.items(), strict=True):
        seen = np.unique(point_of_obs[points.track_images == image_id])
        depths = image.cam_from_world.apply(points.xyz_world)[:, 2]
        chosen = depths[seen][depths[seen] > 0.0]
        if not len(chosen):
            chosen = depths[depths > 0.0]
        if not len(chosen):
            raise PipelineError(
                "No depth bounds",
                f"LLFF needs the nearest and the farthest depth of each photograph, and no point "
                f"is in front of {image.name}.",
                "Choose nerfstudio or instant-ngp, which need none.",
            )
        row[:] = np.percentile(chosen, _DEPTHS_INSIDE)
    return bounds
