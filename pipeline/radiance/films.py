"""Pictures and films of a field along a camera's way, frame by frame, that can be gone on with."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.atomic_files import clean_leftovers, storage_error, write_json
from pipeline.errors import PipelineError
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, quaternion_from_rotation, rotation_from_quaternion
from pipeline.hashing import content_key
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.novel_views import NovelViews, camera_of_fov, open_model
from pipeline.radiance.path_files import PathView, read_path, views_on_way
from pipeline.radiance.paths import Rig, orbit, rig_of, spiral, through_cameras
from pipeline.radiance.pictures import (
    LARGEST_DEPTH,
    Picture,
    check_video_extra,
    depth_colors,
    depth_units,
    write_gif,
    write_mp4,
    write_png,
)
from pipeline.render_request import PATHS, Listener, RenderProgress, RenderRequest
from pipeline.run_lock import release_lock, take_lock

ABOUT = "render.json"
_USUAL_FRAMES = 72
_MOST_FAR = 1000.0  # times the nearest depth, where the scene has no end
_WAYS = {"orbit": orbit, "spiral": spiral, "cameras": through_cameras}


@dataclass(frozen=True, eq=False)
class _Film:
    """What is to be rendered. depth_unit: of the numbers in depth pictures; near, far: depths of
    the scene; all in units of the world."""

    views: Sequence[tuple[Camera, Pose]]
    recipe: str
    depth_unit: float
    near: float
    far: float


def render_film(
    arrays: Mapping[str, np.ndarray],
    fingerprint: str,
    request: RenderRequest,
    folder: Path,
    tell: Listener,
) -> dict[str, Any]:
    """Render a field along a path into a folder.

    arrays, fingerprint: of the field. Frames that are there already, of the same field and the same
    way, are kept; others in the folder are replaced. Result: what was made, as plain data; it is
    also in `render.json`. Raises PipelineError for what the user can mend.
    """
    if request.format == "mp4":
        check_video_extra()
    model = open_model(arrays)
    film = _plan(model, fingerprint, request)
    _check_folder(folder)
    lock = take_lock(folder)
    try:
        clean_leftovers(folder)
        about = _about(film, fingerprint, request)
        _begin(folder, film.recipe, about)
        kept, seconds = _render(NovelViews(model), film, request, folder, tell)
        result = _assemble(folder, len(film.views), request)
    finally:
        release_lock(lock)
    return {**about, "kept": kept, "seconds": round(seconds, 3), "result": str(result)}


def rig_of_model(model: RadianceModel) -> Rig:
    """The cameras of a field's photographs, corrected, in the frame of the sparse model. Raises
    PipelineError where there is none."""
    world_from_field = model.setup.field_from_world.inverse()
    with torch.no_grad():
        images = torch.arange(len(model.setup.names), device=model.device)
        matrices = model.cameras.cam_from_world(images).cpu().double().numpy()
    poses = []
    for matrix in matrices:
        rotation = rotation_from_quaternion(quaternion_from_rotation(matrix[:, :3]))
        poses.append(world_from_field.apply_to_pose(Pose(rotation, matrix[:, 3])))
    return rig_of(poses, *_depths(model))


def _plan(model: RadianceModel, fingerprint: str, request: RenderRequest) -> _Film:
    rig = rig_of_model(model)
    ways = _views(rig, request)
    photo = model.setup.cameras[0]
    width, height = request.size or (photo.width, photo.height)
    # The photographs' field of view along the longer side, whatever the shape of the frames.
    focal_px = photo.focal_px * max(width, height) / max(photo.width, photo.height)
    usual_deg = math.degrees(2.0 * math.atan(height / 2.0 / focal_px))
    views = [
        (camera_of_fov(width, height, view.fov_y_deg or usual_deg), view.cam_from_world)
        for view in ways
    ]
    near, far = _depths(model)
    far = min(far, _MOST_FAR * near)
    recipe = content_key(
        fingerprint,
        [[c.params.tolist(), p.rotation.tolist(), p.translation.tolist()] for c, p in views],
        [width, height],
    )
    return _Film(views, recipe, 10.0 ** math.ceil(math.log10(far / LARGEST_DEPTH)), near, far)


def _views(rig: Rig, request: RenderRequest) -> list[PathView]:
    if request.keyframes:
        return views_on_way(request.keyframes, request.path, rig.up, request.frames, request.fps)
    if request.path in PATHS:
        poses = _WAYS[request.path](rig, request.frames or _USUAL_FRAMES)
        return [PathView(pose) for pose in poses]
    return read_path(Path(request.path), rig.up, request.frames, request.fps)


def _depths(model: RadianceModel) -> tuple[float, float]:
    """Nearest and farthest depth of the scene, in units of the world."""
    scale = model.setup.field_from_world.scale
    return model.setup.depth_range.near / scale, model.setup.depth_range.far / scale


def _about(film: _Film, fingerprint: str, request: RenderRequest) -> dict[str, Any]:
    camera, _ = film.views[0]
    about: dict[str, Any] = {
        "recipe": film.recipe,
        "field": fingerprint,
        "path": request.path,
        "frames": len(film.views),
        "width": camera.width,
        "height": camera.height,
        "fps": request.fps,
        "format": request.format,
    }
    if request.depth:
        about["depth"] = {
            "unit": film.depth_unit,
            "of": "the sparse model's unit of length, along the camera's axis",
            "nothing": 0,
        }
    return about


def _check_folder(folder: Path) -> None:
    """Raises PipelineError for a folder with something else in it: it may be dear to somebody."""
    if (folder / ABOUT).exists() or not folder.exists():
        return
    if not folder.is_dir() or any(not p.name.startswith(".") for p in folder.iterdir()):
        raise PipelineError(
            "Not a folder of a rendering",
            f"{folder} holds other files.",
            "Choose an empty or a new folder with --out.",
        )


def _begin(folder: Path, recipe: str, about: Mapping[str, Any]) -> None:
    """Remove the frames of another recipe, then note this one: in this order, so that a kill in
    between leaves no frame that is taken for one of this recipe."""
    if _recipe_in(folder) != recipe:
        try:
            for name in ("frames", "depth", "depth_colors"):
                if (folder / name).exists():
                    shutil.rmtree(folder / name)
        except OSError as error:
            raise storage_error(error, folder) from error
    write_json(folder / ABOUT, about)


def _recipe_in(folder: Path) -> str:
    try:
        return str(json.loads((folder / ABOUT).read_bytes())["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # nothing that could be gone on with


def _render(
    views: NovelViews, film: _Film, request: RenderRequest, folder: Path, tell: Listener
) -> tuple[int, float]:
    """Render what is missing; how many frames were there, and the seconds that it took."""
    begin = time.monotonic()
    missing = [
        number
        for number in range(len(film.views))
        if not all(path.exists() for path in _files(folder, number, request.depth))
    ]
    kept = len(film.views) - len(missing)
    tell(RenderProgress(kept, len(film.views), None))
    for done, number in enumerate(missing, 1):
        picture = _finest(views.render(*film.views[number]))
        _write(picture, film, _files(folder, number, request.depth))
        left_s = (time.monotonic() - begin) / done * (len(missing) - done)
        tell(RenderProgress(kept + done, len(film.views), left_s))
    return kept, time.monotonic() - begin


def _finest(chunks: Iterator[Picture | None]) -> Picture:
    picture = None
    for found in chunks:
        picture = found or picture
    assert picture is not None, "a rendering ends with a picture"
    return picture


def _files(folder: Path, number: int, depth: bool) -> list[Path]:
    """The files of a frame; the picture itself comes first."""
    folders = ("frames", "depth", "depth_colors") if depth else ("frames",)
    return [folder / name / f"{number:05}.png" for name in folders]


def _write(picture: Picture, film: _Film, files: Sequence[Path]) -> None:
    pictures = (
        picture.rgb,
        depth_units(picture.depth, film.depth_unit),
        depth_colors(picture.depth, film.near, film.far),
    )
    for path, pixels in zip(files, pictures, strict=False):  # without depth, only the first
        write_png(path, pixels)


def _assemble(folder: Path, count: int, request: RenderRequest) -> Path:
    """Make the film from its frames; where it is."""
    frames = [_files(folder, number, depth=False)[0] for number in range(count)]
    if request.format == "png":
        return frames[0].parent
    path = folder / f"{Path(request.path).stem}.{request.format}"
    write = write_gif if request.format == "gif" else write_mp4
    write(path, frames, request.fps)
    return path
