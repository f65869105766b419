"""Photographs with poses, as every format gives them, and the matching of their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float64s
from pipeline.geometry.cameras import MODELS, OPENCV_PARAMETERS, Camera
from pipeline.geometry.poses import Pose

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class PosedPhotos:
    """Poses of photographs by name, and their intrinsics where they are known.

    cam_from_world: by photo name, in the file's own world frame. intrinsics: by photo name; may
    lack entries.
    """

    cam_from_world: Mapping[str, Pose]
    intrinsics: Mapping[str, Camera]

    def __len__(self) -> int:
        return len(self.cam_from_world)

    def named(self, names: Mapping[str, str]) -> PosedPhotos:
        """The photographs that `names` lists, new name -> present name."""
        return PosedPhotos(
            {new: self.cam_from_world[old] for new, old in names.items()},
            {new: self.intrinsics[old] for new, old in names.items() if old in self.intrinsics},
        )


def match_names(wanted: Collection[str], present: Collection[str]) -> dict[str, str]:
    """Which of the present names each wanted name means: the equal one, else the one of the same
    base name where that is unique on both sides. Names without a partner are left out."""
    matched = {name: name for name in wanted if name in set(present)}
    base_of_wanted = Counter(PurePosixPath(name).name for name in wanted)
    base_of_present = Counter(PurePosixPath(name).name for name in present)
    by_base = {PurePosixPath(name).name: name for name in present}
    for name in wanted:
        base = PurePosixPath(name).name
        if name not in matched and base_of_wanted[base] == base_of_present[base] == 1:
            matched[name] = by_base[base]
    return {name: matched[name] for name in wanted if name in matched}


def photo_names_in(folder: Path) -> list[str]:
    """Sorted names, relative to the folder, of the photo files in it and below; [] without it."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())


def photo_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels after the EXIF orientation; None if it is no readable photo."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            # Asked for EXIF that its header lacks, Pillow decodes a whole PNG.
            has_exif = image.format != "PNG" or "exif" in image.info
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1) if has_exif else 1
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def simplest_camera(size: tuple[int, int], parameters: Float64s) -> Camera:
    """The camera of the fewest parameters that projects as OPENCV with these eight parameters does.

    size: (width, height) in pixels. parameters: (8,) fx fy cx cy k1 k2 p1 p2, corner origin. Raises
    ValueError if a parameter is not finite or a focal length not positive.
    """
    if not np.isfinite(parameters).all() or not (parameters[:2] > 0).all():
        raise ValueError(f"a camera's parameters are {parameters.tolist()}")
    for name in ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"):
        model = MODELS[name]
        own = parameters[[OPENCV_PARAMETERS.index(targets[0]) for targets in model.feeds]]
        if np.array_equal(model.opencv_from_own @ own, parameters):
            return Camera(name, size[0], size[1], own)
    raise AssertionError("the OPENCV model has all eight parameters")


def is_centred_pinhole(camera: Camera) -> bool:
    """Whether one focal length and the image's size say everything of a camera, to 1e-6 pixels."""
    fx, fy, cx, cy = camera.opencv_params[:4]
    off_centre = max(abs(cx - camera.width / 2), abs(cy - camera.height / 2))
    return bool(
        off_centre <= 1e-6 and abs(fx - fy) <= 1e-6 * fx and not np.any(camera.opencv_params[4:])
    )


def camera_at_size(camera: Camera, width: int, height: int) -> Camera:
    """The camera for photographs scaled to another size in pixels.

    Raises PipelineError if the size has another shape than the camera's by more than one pixel.
    """
    if (camera.width, camera.height) == (width, height):
        return camera
    scale_x, scale_y = width / camera.width, height / camera.height
    if abs(camera.height * scale_x - height) > 1.0 and abs(camera.width * scale_y - width) > 1.0:
        raise PipelineError(
            "Intrinsics of another size",
            f"intrinsics for {camera.width} x {camera.height} pixels do not fit photographs of "
            f"{width} x {height}",
            "Give intrinsics for the uncropped, unrotated photographs.",
        )
    scale = np.ones(len(OPENCV_PARAMETERS))
    scale[:4] = scale_x, scale_y, scale_x, scale_y
    targets = [OPENCV_PARAMETERS.index(feeds[0]) for feeds in MODELS[camera.model].feeds]
    params = camera.params * scale[targets]
    return replace(camera, width=width, height=height, params=params)


def ensure_unique(path: Path, names: Sequence[str]) -> None:
    """Raises PipelineError if a photo name occurs twice in a file."""
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise PipelineError(
            "Photograph named twice", f"{path}: {name} has {count} entries", "Keep one of them."
        )
