"""Small readers of the formats, each written from its documentation and not from our writer.

Each gives where every photograph, by the name in the file, sees points (J, 3) of the file's world.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline.geometry.arrays import Float64s

Seen = dict[str, Float64s]


def transforms_projections(path: Path, points_file: Float64s) -> Seen:
    """nerfstudio's and instant-ngp's: OpenGL cameras to the file's world; OpenCV distortion; cx, cy
    and w, h of one level, as instant-ngp takes them."""
    content = json.loads(path.read_text())
    seen = {}
    for frame in content["frames"]:
        lens = frame if "cx" in frame else content
        x, y, z = (np.linalg.inv(frame["transform_matrix"]) @ homogeneous(points_file).T)[:3]
        u, v = x / -z, -y / -z
        seen[frame["file_path"]] = opencv_pixels(u, v, lens, ("fl_x", "fl_y", "cx", "cy"))
    return seen


def applied(path: Path, points_world: Float64s) -> Float64s:
    """Points in the file's world, by what the file says was applied to them."""
    content = json.loads(path.read_text())
    matrix = np.array(content["applied_transform"])
    scale = content.get("applied_scale", 1.0)
    return np.asarray(scale * (homogeneous(points_world) @ matrix.T))


def llff_projections(path: Path, names: list[str], points: Float64s) -> Seen:
    """LLFF's README: columns down, right, backward; height, width, focal length."""
    seen = {}
    for name, row in zip(names, np.load(path), strict=True):
        matrix = row[:15].reshape(3, 5)
        down, right, back = ((points - matrix[:, 3]) @ matrix[:, :3]).T
        height, width, focal = matrix[:, 4]
        seen[name] = np.column_stack(
            [focal * right / -back + width / 2, focal * down / -back + height / 2]
        )
    return seen


def nvm_cameras(path: Path) -> tuple[dict[str, Float64s], list[list[str]]]:
    """VisualSfM's NVM_V3: the numbers behind each name, and the fields of each point."""
    lines = path.read_text(encoding="utf-8").split("\n")
    assert lines[0].startswith("NVM_V3") and lines[1] == ""
    count = int(lines[2])
    cameras = {}
    for line in lines[3 : 3 + count]:
        name, *numbers = line.split()
        assert len(numbers) == 10 and numbers[-1] == "0"
        cameras[name] = np.array(numbers[:-1], dtype=np.float64)
    rest = [line for line in lines[3 + count :] if line]
    assert rest[-1] == "0" and int(rest[0]) == len(rest) - 2
    return cameras, [line.split() for line in rest[1:-1]]


def nvm_projections(path: Path, sizes: dict[str, tuple[int, int]], points: Float64s) -> Seen:
    """World to camera by a quaternion (w, x, y, z), with the centre; pixels from the middle."""
    seen = {}
    for name, (focal, w, x, y, z, *center, radial) in nvm_cameras(path)[0].items():
        assert radial == 0.0
        rotation = Rotation.from_quat([x, y, z, w])
        cam = rotation.apply(points - np.array(center))
        seen[name] = focal * cam[:, :2] / cam[:, 2:] + np.array(sizes[name]) / 2
    return seen


def tum_poses(path: Path) -> dict[float, tuple[Rotation, Float64s]]:
    """Rotation camera to world and centre of each timestamp."""
    poses = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            timestamp, *numbers = map(float, line.split())
            poses[timestamp] = (Rotation.from_quat(numbers[3:]), np.array(numbers[:3]))
    return poses


def opensfm_projections(path: Path) -> tuple[Seen, list[str]]:
    """OpenSfM's brown camera, in pixels; and the ids of the points, in their order."""
    (reconstruction,) = json.loads(path.read_text(encoding="utf-8"))
    points = np.array([p["coordinates"] for p in reconstruction["points"].values()])
    seen = {}
    for name, shot in reconstruction["shots"].items():
        camera = reconstruction["cameras"][shot["camera"]]
        assert camera["projection_type"] == "brown" and camera["k3"] == 0.0
        cam = Rotation.from_rotvec(shot["rotation"]).apply(points) + shot["translation"]
        u, v = (cam[:, :2] / cam[:, 2:]).T
        place = opencv_pixels(u, v, camera, ("focal_x", "focal_y", "c_x", "c_y"))
        longer = max(camera["width"], camera["height"])
        seen[name] = place * longer + np.array([camera["width"], camera["height"]]) / 2
    return seen, list(reconstruction["points"])


def opencv_pixels(
    u: Float64s, v: Float64s, lens: dict[str, Any], keys: tuple[str, ...]
) -> Float64s:
    """OpenCV's model of k1, k2, p1, p2; keys: of fx, fy, cx, cy."""
    k1, k2, p1, p2 = (lens[key] for key in ("k1", "k2", "p1", "p2"))
    r2 = u**2 + v**2
    radial = 1 + k1 * r2 + k2 * r2**2
    du = u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u**2)
    dv = v * radial + p1 * (r2 + 2 * v**2) + 2 * p2 * u * v
    fx, fy, cx, cy = (lens[key] for key in keys)
    return np.column_stack([fx * du + cx, fy * dv + cy])


def homogeneous(points: Float64s) -> Float64s:
    """Points (J, 3) with a fourth coordinate of one."""
    return np.column_stack([points, np.ones(len(points))])
