"""Camera trajectories as the TUM RGB-D benchmark has them: `timestamp tx ty tz qx qy qz qw`.

A pose is camera to world; the camera's axes are ours. Intrinsics and points have no place in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.geometry.poses import Pose, quaternion_from_rotation


def write_trajectory(path: Path, cam_from_world: Mapping[float, Pose]) -> None:
    """Write poses by their timestamps, in order of these. Source: the benchmark's page on file
    formats, "Ground-truth trajectories"."""
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for timestamp, pose in sorted(cam_from_world.items()):
        w, *xyz = quaternion_from_rotation(pose.rotation.T)
        numbers = (timestamp, *pose.center, *xyz, w)
        lines.append(" ".join(repr(float(number)) for number in numbers))
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def write_image_list(path: Path, names: Mapping[float, str]) -> None:
    """Write image names by their timestamps, as the benchmark's rgb.txt. A name reaches to the end
    of its line, since it may hold spaces."""
    lines = ["# timestamp filename"]
    lines += [f"{float(timestamp)!r} {name}" for timestamp, name in sorted(names.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
