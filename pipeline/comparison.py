"""How far estimated cameras are from reference cameras: what `barfield compare` prints first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.formats.posed import PosedPhotos, match_names
from pipeline.formats.reference import read_posed_photos
from pipeline.geometry.poses import angle_between_rotations
from pipeline.geometry.similarity import NoSimilarity, estimate_similarity

if TYPE_CHECKING:
    from pipeline.depth_errors import DepthErrors
    from pipeline.mesh_errors import MeshErrors


@dataclass(frozen=True)
class PhotoError:
    """Errors of one photograph after alignment; position in reference units."""

    name: str
    position: float
    rotation_deg: float


@dataclass(frozen=True)
class Comparison:
    """Estimated cameras beside reference cameras, after a similarity alignment of their centres.

    registered: reference photographs that have an estimated pose. of: reference photographs.
    Positions are in reference units; position_mean_relative is in units of the scene size, the
    largest distance of a reference camera centre from the mean of all. All errors are None where
    the centres cannot be aligned; reason then says why, and is "" otherwise. photos: in the order
    of the reference. model: which of a run's models was compared, as a folder of it. depth, mesh,
    draft: errors of the run's depth maps and meshes; None where it or the reference has none.
    """

    registered: int
    of: int
    position_mean: float | None
    position_max: float | None
    position_mean_relative: float | None
    rotation_mean_deg: float | None
    rotation_max_deg: float | None
    photos: tuple[PhotoError, ...] = ()
    reason: str = ""
    model: str = ""
    depth: DepthErrors | None = None
    mesh: MeshErrors | None = None
    draft: MeshErrors | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def compare_poses(estimated: PosedPhotos, reference: PosedPhotos) -> Comparison:
    """Compare estimated with reference poses.

    Centres are aligned by the least-squares similarity (Umeyama 1991) of all common photographs,
    rotations by the same. Names match exactly, else by a base name that is unique. Result: without
    errors and with a reason where fewer than three photographs are common or their centres coincide
    or lie on one line.
    """
    matched = match_names(reference.cam_from_world, estimated.cam_from_world)
    names, of = list(matched), len(reference)
    references = [reference.cam_from_world[name] for name in names]
    estimates = [estimated.cam_from_world[matched[name]] for name in names]
    centers = np.array([pose.center for pose in references]).reshape(-1, 3)
    estimated_centers = np.array([pose.center for pose in estimates]).reshape(-1, 3)
    alignment = estimate_similarity(estimated_centers, centers)
    if isinstance(alignment, NoSimilarity):
        reason = f"camera centres cannot be aligned: {alignment.reason}"
        return Comparison(len(names), of, None, None, None, None, None, (), reason)

    positions = np.linalg.norm(alignment.apply(estimated_centers) - centers, axis=1)
    rotations_deg = np.array(
        [
            math.degrees(
                angle_between_rotations(alignment.apply_to_pose(estimate).rotation, pose.rotation)
            )
            for estimate, pose in zip(estimates, references, strict=True)
        ]
    )
    everywhere = np.array([pose.center for pose in reference.cam_from_world.values()])
    scene_size = np.linalg.norm(everywhere - everywhere.mean(axis=0), axis=1).max()
    errors = zip(names, positions.tolist(), rotations_deg.tolist(), strict=True)
    return Comparison(
        registered=len(names),
        of=of,
        position_mean=float(positions.mean()),
        position_max=float(positions.max()),
        position_mean_relative=float(positions.mean() / scene_size),
        rotation_mean_deg=float(rotations_deg.mean()),
        rotation_max_deg=float(rotations_deg.max()),
        photos=tuple(PhotoError(*error) for error in errors),
    )


def compare_files(
    estimated: Path, reference: Path, photo_names: Sequence[str] | None = None
) -> Comparison:
    """Compare two files or folders of any format that `read_posed_photos` knows.

    photo_names: the run's photographs, so that a reference of a larger set counts only these.
    Raises PipelineError as `read_posed_photos`.
    """
    return compare_poses(read_posed_photos(estimated), read_posed_photos(reference, photo_names))
