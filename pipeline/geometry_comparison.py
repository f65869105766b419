"""A run's depth maps and meshes beside true geometry: the part of `barfield compare` about surfaces.

True geometry lies beside a reference's cameras in `truth/`, as `python -m sample_scenes.render`
writes it: `<photograph>_depth_m.npy`, and `mesh.ply`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.dense_products import DepthView
from pipeline.depth_errors import DepthErrors, TrueDepth, depth_errors
from pipeline.formats.colmap_dense import DEPTH, SPARSE, map_path, read_map
from pipeline.formats.colmap_model import read_cameras_and_images
from pipeline.formats.files import malformed
from pipeline.formats.reference import read_posed_photos
from pipeline.geometry.arrays import Float32s

TRUTH = "truth"
_DEPTH_SUFFIX = "_depth_m.npy"


@dataclass(frozen=True)
class FileDepth:
    """A depth map as it was read: (H, W) float32, 0 where none is known."""

    depth: Float32s


class WorkspaceDepths:
    """The depth maps of a COLMAP dense workspace, read one by one, for `depth_errors`."""

    def __init__(self, workspace: Path) -> None:
        """Raises PipelineError where its `sparse/` cannot be read."""
        cameras, images = read_cameras_and_images(workspace / SPARSE)
        self._workspace = workspace
        self.views = [
            DepthView(image.name, cameras[image.camera], image.cam_from_world)
            for image in sorted(images.values(), key=lambda image: image.name)
        ]

    def __getitem__(self, n: int) -> FileDepth:
        """Raises PipelineError where the map is missing, damaged or not of its camera's size."""
        view = self.views[n]
        path = map_path(self._workspace, DEPTH, view.name)
        depth = read_map(path)
        expected = (view.camera.height, view.camera.width)
        if depth.shape != expected:
            raise malformed(path, f"it has the shape {depth.shape}, its camera is of {expected}")
        return FileDepth(depth)


def has_true_depth(reference: Path) -> bool:
    """Whether a folder has true depth maps."""
    return any((reference / TRUTH).glob(f"*{_DEPTH_SUFFIX}"))


def read_true_depth(reference: Path) -> TrueDepth:
    """Cameras and true depth maps of a scene's folder; the maps are read when they are asked for.

    Raises PipelineError as `read_posed_photos`, and from `depth` for a map that is none.
    """

    def depth(name: str) -> Float32s | None:
        path = reference / TRUTH / f"{PurePosixPath(name).stem}{_DEPTH_SUFFIX}"
        return _read_depth(path) if path.exists() else None

    return TrueDepth(read_posed_photos(reference), depth)


def compare_depth(workspace: Path, run_model: Path, reference: Path) -> DepthErrors:
    """Errors of the depth maps of a run's dense workspace against the true depth of a reference.

    run_model: the COLMAP model, with the photographs' distortion, that was undistorted. Raises
    PipelineError where a file cannot be read.
    """
    photographs = read_posed_photos(run_model).intrinsics
    return depth_errors(WorkspaceDepths(workspace), read_true_depth(reference), photographs)


def _read_depth(path: Path) -> Float32s:
    try:
        depth = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise malformed(path, f"no array of numpy: {error}") from None
    if depth.ndim != 2 or min(depth.shape) < 2 or depth.dtype.kind != "f":
        raise malformed(path, f"a depth map (H, W) is needed, not {depth.dtype} {depth.shape}")
    return np.where(np.isfinite(depth), depth, 0.0).astype(np.float32)
