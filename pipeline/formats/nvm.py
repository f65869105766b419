"""NVM files of VisualSfM: cameras, points and their observations.

A camera has one focal length, one radial coefficient (0 here: programs disagree about its sign) and
its principal point in the middle of the image, from which observations count. Rotations are world
to camera, positions are camera centres; the camera's axes are ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.formats.posed import is_centred_pinhole
from pipeline.geometry.poses import quaternion_from_rotation
from pipeline.products import SparseModel


def write_nvm(path: Path, model: SparseModel) -> None:
    """Write a model as NVM_V3. Source: ccwu.me/vsfm/doc.html, "NVM".

    Image names are those of the file's folder, and hold no white space, which separates fields.
    Observations that are not finite are left out. Raises ValueError for a name with white space,
    and for a camera that is no pinhole with one focal length and a centred principal point.
    """
    lines = ["NVM_V3", "", str(len(model.images))]
    for image in model.images.values():
        camera = model.cameras[image.camera]
        if len(image.name.split()) != 1 or not is_centred_pinhole(camera):
            raise ValueError(f"NVM cannot hold {image.name!r} with {camera.params.tolist()}")
        pose = image.cam_from_world
        numbers = [camera.focal_px, *quaternion_from_rotation(pose.rotation), *pose.center]
        lines.append(f"{image.name} {' '.join(repr(float(number)) for number in numbers)} 0 0")
    lines += ["", str(len(model.points)), *_points(model), "", "0"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _points(model: SparseModel) -> list[str]:
    """A line per point: place, colour, and its observations (image, keypoint, x, y)."""
    points = model.points
    numbers = {image_id: n for n, image_id in enumerate(model.images)}
    middles = {
        image_id: (model.cameras[image.camera].width / 2, model.cameras[image.camera].height / 2)
        for image_id, image in model.images.items()
    }
    lines = []
    for j, (xyz, rgb) in enumerate(
        zip(points.xyz_world.tolist(), points.rgb.tolist(), strict=True)
    ):
        seen = []
        for n in range(points.track_starts[j], points.track_starts[j + 1]):
            image_id, row = int(points.track_images[n]), int(points.track_keypoints[n])
            place = model.images[image_id].keypoints_px[row] - middles[image_id]
            if np.isfinite(place).all():
                seen.append(f"{numbers[image_id]} {row} {place[0]:.9g} {place[1]:.9g}")
        where = " ".join(map(repr, xyz))
        lines.append(" ".join([where, *map(str, rgb), str(len(seen)), *seen]))
    return lines
