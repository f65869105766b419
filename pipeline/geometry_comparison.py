"""A run's depth maps and meshes beside true geometry, for `barfield compare`.

True geometry lies beside a reference's cameras in `truth/`, as `python -m sample_scenes.render`
writes it (`<photograph>_depth_m.npy`, `mesh.ply`), or is a single PLY, a mesh or a cloud, whose
cameras lie beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.array_files import DamagedFile
from pipeline.dense_codecs import DEPTH, load_depth
from pipeline.dense_products import DepthMaps, NoDepth
from pipeline.depth_errors import DepthErrors, TrueDepth, align_views, depth_errors
from pipeline.errors import PipelineError
from pipeline.formats.files import malformed, read_bytes
from pipeline.formats.ply import read_ply
from pipeline.formats.ply_mesh import read_ply_mesh
from pipeline.formats.posed import PosedPhotos, match_names
from pipeline.formats.reference import read_posed_photos
from pipeline.geometry.arrays import Float32s, Float64s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.geometry.similarity import NoSimilarity, Similarity, estimate_similarity
from pipeline.item_store import DiskStore
from pipeline.mesh_errors import MeshErrors, Surface, mesh_errors
from pipeline.visibility import Viewpoint

TRUTH, MESH = "truth", "mesh.ply"
MESH_STAGES = ("draft", "mesh")
_DEPTH_SUFFIX = "_depth_m.npy"
_PLY = ".ply"


@dataclass(frozen=True)
class SurfaceErrors:
    """Errors of what a run has of surfaces; None where it or the reference has nothing."""

    depth: DepthErrors | None = None
    mesh: MeshErrors | None = None
    draft: MeshErrors | None = None


def cameras_of(reference: Path) -> Path:
    """Where the cameras of a reference are: itself, or for a PLY the folder that it lies in, or the
    one above. Raises PipelineError for a PLY that is not there or has no cameras beside it."""
    if reference.suffix.lower() != _PLY:
        return reference
    if not reference.is_file():
        raise PipelineError(
            "File not found", f"{reference} does not exist", "Check the path for a typing error."
        )
    for folder in reference.resolve().parents[:2]:
        try:
            read_posed_photos(folder)
        except PipelineError:
            continue
        return folder
    raise PipelineError(
        "No cameras beside the surface",
        f"{reference} lies in no folder with known cameras",
        "Put it where its cameras are: ground_truth.json, a COLMAP model or transforms.json.",
    )


def compare_surfaces(
    run: Path, model: Path, reference: Path, names: Sequence[str], made: Collection[str]
) -> SurfaceErrors:
    """Errors of a run's depth maps and meshes against a reference.

    model: folder of the run with the COLMAP model whose photographs were undistorted, and which
    aligns a draft. names: of the run's photographs. made: stages of the run whose products count.
    Depth maps and the mesh made of them are aligned by the cameras of the maps. Raises
    PipelineError where a file cannot be read.
    """
    folder = reference if reference.is_dir() else reference.parent
    truth = folder / TRUTH
    true_mesh = reference if reference.suffix.lower() == _PLY else truth / MESH
    has_depth = reference.is_dir() and any(truth.glob(f"*{_DEPTH_SUFFIX}"))
    has_mesh = true_mesh.is_file() and any(_mesh_of(run, stage, made) for stage in MESH_STAGES)
    if not has_depth and not has_mesh:
        return SurfaceErrors()
    photos = read_posed_photos(cameras_of(reference), names)
    own = read_posed_photos(model)
    maps = _read_depth_maps(run) if DEPTH in made else None
    meshes: dict[str, MeshErrors] = {}
    if has_mesh:
        true, viewpoints = read_surface(true_mesh), _viewpoints(photos, own)
        aligned = dict.fromkeys(MESH_STAGES, _align(own, photos))
        if maps is not None and not isinstance(maps, NoDepth):
            aligned["mesh"] = align_views(maps.views, photos)
        for stage in MESH_STAGES:
            if path := _mesh_of(run, stage, made):
                meshes[stage] = _mesh_errors(path, aligned[stage], true, viewpoints)
    depth = _depth_errors(maps, photos, own, truth) if has_depth and maps is not None else None
    return SurfaceErrors(depth, **meshes)


def read_true_depth(folder: Path, photos: PosedPhotos | None = None) -> TrueDepth:
    """Cameras and true depth maps of a scene's folder; the maps are read when they are asked for.

    photos: the cameras, where they have been read. Raises PipelineError as `read_posed_photos`, and
    from `depth` for a map that is none.
    """

    def depth(name: str) -> Float32s | None:
        path = folder / TRUTH / f"{PurePosixPath(name).stem}{_DEPTH_SUFFIX}"
        return _read_depth(path) if path.exists() else None

    return TrueDepth(read_posed_photos(folder) if photos is None else photos, depth)


def read_surface(path: Path) -> Surface:
    """A PLY as a mesh, or as a cloud where it has no faces. Raises PipelineError as `read_ply` and
    `read_ply_mesh`."""
    header = read_bytes(path).partition(b"end_header")[0]
    if b"element face" in header and b"element face 0\n" not in header:
        mesh = read_ply_mesh(path)
        surface = Surface(mesh.xyz.astype(np.float64), mesh.faces)
    else:
        surface = Surface(read_ply(path).xyz.astype(np.float64), None)
    if not np.isfinite(surface.vertices).all():
        raise malformed(path, "some of its coordinates are not finite")
    if not len(surface.vertices):
        raise malformed(path, "it has no vertices", "Give a mesh or a cloud with points.")
    return surface


def _depth_errors(
    maps: DepthMaps | NoDepth, photos: PosedPhotos, own: PosedPhotos, truth: Path
) -> DepthErrors:
    if isinstance(maps, NoDepth):
        return DepthErrors(0, len(photos), reason=f"the run has no depth: {maps.reason}")
    return depth_errors(maps, read_true_depth(truth.parent, photos), own.intrinsics)


def _mesh_errors(
    path: Path,
    true_from_own: Similarity | NoSimilarity,
    true: Surface,
    viewpoints: Sequence[Viewpoint],
) -> MeshErrors:
    if isinstance(true_from_own, NoSimilarity):
        return MeshErrors(reason=f"camera centres cannot be aligned: {true_from_own.reason}")
    own = read_surface(path)
    return mesh_errors(Surface(true_from_own.apply(own.vertices), own.triangles), true, viewpoints)


def _read_depth_maps(run: Path) -> DepthMaps | NoDepth:
    try:
        return load_depth(run, DiskStore(run, writes=False))
    except (DamagedFile, OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            "Damaged run",
            f"{run / DEPTH}: {error}.",
            "Give the command of the run again: what is damaged is made anew.",
        ) from error


def _mesh_of(run: Path, stage: str, made: Collection[str]) -> Path | None:
    path = run / stage / MESH
    return path if stage in made and path.is_file() else None


def _align(own: PosedPhotos, photos: PosedPhotos) -> Similarity | NoSimilarity:
    matched = match_names(photos.cam_from_world, own.cam_from_world)
    return estimate_similarity(
        _centers(own.cam_from_world[mine] for mine in matched.values()),
        _centers(photos.cam_from_world[name] for name in matched),
    )


def _centers(poses: Iterable[Pose]) -> Float64s:
    return np.array([pose.center for pose in poses]).reshape(-1, 3)


def _viewpoints(photos: PosedPhotos, own: PosedPhotos) -> list[Viewpoint]:
    """Of all photographs of a reference whose intrinsics it knows, or else the run does."""
    cameras: Mapping[str, Camera] = {**own.intrinsics, **photos.intrinsics}
    return [
        Viewpoint.of(cameras[name], pose)
        for name, pose in photos.cam_from_world.items()
        if name in cameras
    ]


def _read_depth(path: Path) -> Float32s:
    try:
        depth = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise malformed(path, f"no array of numpy: {error}") from None
    if depth.ndim != 2 or min(depth.shape) < 2 or depth.dtype.kind != "f":
        raise malformed(path, f"a depth map (H, W) is needed, not {depth.dtype} {depth.shape}")
    return np.where(np.isfinite(depth), depth, 0.0).astype(np.float32)
