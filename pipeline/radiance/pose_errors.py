"""How far estimated cameras are from true ones, as the papers on pose refinement measure it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from pipeline.geometry.arrays import Float64s
from pipeline.geometry.poses import Pose, angle_between_rotations
from pipeline.geometry.similarity import NoSimilarity, Similarity, estimate_similarity
from pipeline.radiance.perturbation import scene_size


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors of each camera once the centres are aligned by a similarity; lengths in units of the
    true poses.

    rotation_deg: (I,). centre: (I,) distance of the camera centres. translation: (I,) distance of
    the translations of ``cam_from_world``, the "translation" of the published tables; it hides a
    motion about the origin, which the centres show. scene_size: of the true cameras.
    true_from_estimated: the alignment.
    """

    rotation_deg: Float64s
    centre: Float64s
    translation: Float64s
    scene_size: float
    true_from_estimated: Similarity

    def to_json(self) -> dict[str, JsonValue]:
        """Means and largest values as plain data."""
        return {
            "rotation_deg": float(self.rotation_deg.mean()),
            "rotation_max_deg": float(self.rotation_deg.max()),
            "centre": float(self.centre.mean()),
            "centre_max": float(self.centre.max()),
            "centre_relative": float(self.centre.mean() / self.scene_size),
            "translation": float(self.translation.mean()),
            "cameras": len(self.centre),
        }


@dataclass(frozen=True)
class NoPoseErrors:
    """Why cameras cannot be aligned, in words, and what can be said all the same.

    rotation_deg: mean error once all are turned by the one rotation that brings them nearest;
    None without cameras.
    """

    reason: str
    rotation_deg: float | None

    def to_json(self) -> dict[str, JsonValue]:
        """The reason, and the rotation error without an alignment of centres."""
        return {"reason": self.reason, "rotation_only_deg": self.rotation_deg}


def pose_errors(estimated: Sequence[Pose], true: Sequence[Pose]) -> PoseErrors | NoPoseErrors:
    """Errors of poses in any frame against true ones.

    Source: Lin et al., "BARF", ICCV 2021, section 4.2: the centres are aligned by a similarity, the
    rotations by the same. estimated, true: camera from world, of the same cameras in the same
    order. Result: `NoPoseErrors` for fewer than three cameras, and where centres coincide or lie on
    one line. Raises ValueError for different numbers.
    """
    if len(estimated) != len(true):
        raise ValueError(f"{len(estimated)} estimated poses, but {len(true)} true ones")
    alignment = align_centres(estimated, true)
    if isinstance(alignment, NoSimilarity):
        reason = f"camera centres cannot be aligned: {alignment.reason}"
        return NoPoseErrors(reason, _rotation_only_deg(estimated, true))
    aligned = [alignment.apply_to_pose(pose) for pose in estimated]
    pairs = list(zip(aligned, true, strict=True))
    return PoseErrors(
        np.array([math.degrees(angle_between_rotations(a.rotation, b.rotation)) for a, b in pairs]),
        np.array([np.linalg.norm(a.center - b.center) for a, b in pairs]),
        np.array([np.linalg.norm(a.translation - b.translation) for a, b in pairs]),
        scene_size(true),
        alignment,
    )


def align_centres(poses_a: Sequence[Pose], poses_b: Sequence[Pose]) -> Similarity | NoSimilarity:
    """The similarity ``b_from_a`` of the centres of the same cameras in two frames."""
    a, b = (
        np.array([pose.center for pose in poses]).reshape(-1, 3) for poses in (poses_a, poses_b)
    )
    return estimate_similarity(a, b)


def _rotation_only_deg(estimated: Sequence[Pose], true: Sequence[Pose]) -> float | None:
    if not true:
        return None
    pairs = list(zip(estimated, true, strict=True))
    # The chordal mean of the rotations that each camera asks for.
    u, _, vt = np.linalg.svd(sum(b.rotation.T @ a.rotation for a, b in pairs))
    common = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    angles = [angle_between_rotations(a.rotation @ common.T, b.rotation) for a, b in pairs]
    return math.degrees(float(np.mean(angles)))
