"""How the dense products lie in the run directory: functions that save and load each.

| product | where |
| --- | --- |
| draft | `draft/mesh.ply`, `draft/mesh.glb`; `draft/verdict.json` |
| mesh | `mesh/fused.ply`, `mesh/fused.ply.vis`, `mesh/mesh.ply`; `mesh/verdict.json` |
| | `mesh/mesh.glb`: with the texture, where there is one; `mesh/textured/`: OBJ |
| depth | `depth/`: COLMAP's dense workspace, with maps of confidence; `depth/verdict.json` |
| field_depth | `radiance/depth/`: the same |

A product with a file that is missing or cut off, by the sizes in its verdict, counts as lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.array_files import DamagedFile
from pipeline.atomic_files import replacing_folder
from pipeline.dense_products import DepthMap, DepthMaps, DepthView, NoDepth
from pipeline.dense_verdict import read_verdict, write_verdict
from pipeline.errors import PipelineError
from pipeline.formats import colmap_dense as dense
from pipeline.formats.colmap_fused import read_visibility, write_visibility
from pipeline.formats.colmap_model import read_cameras_and_images, read_model, write_model
from pipeline.formats.files import malformed
from pipeline.formats.glb import write_glb
from pipeline.formats.obj import write_obj
from pipeline.formats.ply import read_ply, write_ply
from pipeline.formats.ply_mesh import read_ply_mesh, write_ply_mesh
from pipeline.formats.triangle_mesh import TriangleMesh
from pipeline.geometry.arrays import UInt8s
from pipeline.item_store import DiskStore
from pipeline.mesh_products import FusedCloud, NoMesh, SurfaceMesh
from pipeline.products import Points, RegisteredImage, SparseModel

DRAFT, DEPTH, MESH = "draft", "depth", "mesh"  # below the run directory
FIELD_DEPTH = "radiance/depth"
FUSED = "mesh/fused.ply"
_JPEG_QUALITY = 95
_LOSSY = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_LOSSLESS = {".tif": "TIFF", ".tiff": "TIFF"}
_MAPS = (dense.DEPTH, dense.NORMALS, dense.CONFIDENCE)


class StoredDepthMaps:
    """The depth maps of a dense workspace, each read when it is asked for."""

    def __init__(self, workspace: Path, views: Sequence[DepthView]) -> None:
        self.views = views
        self._workspace = workspace

    @property
    def model(self) -> SparseModel:
        """The sparse model of the workspace. Raises PipelineError where it cannot be read."""
        return read_model(self._workspace / dense.SPARSE)

    def __getitem__(self, n: int) -> DepthMap:
        """The map of `views[n]`. Raises PipelineError naming a file that is missing, damaged, or
        of another size than the view's camera."""
        view = self.views[n]
        maps = [dense.map_path(self._workspace, kind, view.name) for kind in _MAPS]
        depth, normals, confidence = map(dense.read_map, maps)
        picture = self._workspace / dense.IMAGES / view.name
        rgb = _read_picture(picture)
        size = (view.camera.height, view.camera.width)
        found = (depth.shape, normals.shape[:2], confidence.shape, rgb.shape[:2])
        for path, shape in zip((*maps, picture), found, strict=True):
            if shape != size:
                raise _damaged(path, f"is {shape}, not {size} as its camera")
        return DepthMap(depth, normals, confidence, rgb)


def save_draft(draft: TriangleMesh | NoMesh, root: Path) -> None:
    """Write the product `draft`. Raises PipelineError where the disk refuses."""
    with replacing_folder(root / DRAFT) as folder:
        if isinstance(draft, TriangleMesh):
            write_ply_mesh(folder / "mesh.ply", draft)
            write_glb(folder / "mesh.glb", draft)
        write_verdict(folder, draft.reason if isinstance(draft, NoMesh) else None)


def load_draft(root: Path, store: DiskStore) -> TriangleMesh | NoMesh:
    """The product `draft`. Raises DamagedFile where one of its files is missing or cut off, and as
    `read_ply_mesh` does."""
    reason = _checked_reason(root / DRAFT)
    return NoMesh(reason) if reason is not None else _load_surface(root / DRAFT)


def save_depth(depth: DepthMaps | NoDepth, root: Path) -> None:
    """Write the product `depth`. Raises PipelineError where the disk refuses."""
    _save_maps(depth, root / DEPTH)


def load_depth(root: Path, store: DiskStore) -> DepthMaps | NoDepth:
    """The product `depth`; its maps are read when they are asked for.

    Raises DamagedFile where a file of the workspace is missing or cut off, and as `read_model`
    does.
    """
    return _load_maps(root / DEPTH)


def save_field_depth(depth: DepthMaps | NoDepth, root: Path) -> None:
    """Write the product `field_depth`. Raises PipelineError where the disk refuses."""
    _save_maps(depth, root / FIELD_DEPTH)


def load_field_depth(root: Path, store: DiskStore) -> DepthMaps | NoDepth:
    """The product `field_depth`; as `load_depth`."""
    return _load_maps(root / FIELD_DEPTH)


def save_mesh(mesh: SurfaceMesh | NoMesh, root: Path) -> None:
    """Write the product `mesh`. Raises PipelineError where the disk refuses."""
    with replacing_folder(root / MESH) as folder:
        if isinstance(mesh, SurfaceMesh):
            write_ply(folder / "fused.ply", mesh.fused.cloud)
            write_visibility(folder / "fused.ply.vis", mesh.fused.starts, mesh.fused.images)
            write_ply_mesh(folder / "mesh.ply", mesh.mesh)
            write_glb(folder / "mesh.glb", mesh.textured or mesh.mesh)
            if mesh.textured is not None:
                (folder / "textured").mkdir()
                write_obj(folder / "textured" / "mesh.obj", mesh.textured)
        write_verdict(folder, mesh.reason if isinstance(mesh, NoMesh) else None)


def load_mesh(root: Path, store: DiskStore) -> SurfaceMesh | NoMesh:
    """The product `mesh`, without the mesh that has a texture: that is for other programs.

    Raises DamagedFile where one of its files is missing or cut off, and as the readers of PLY do.
    """
    reason = _checked_reason(root / MESH)
    if reason is not None:
        return NoMesh(reason)
    return SurfaceMesh(load_fused(root), _load_surface(root / MESH), None)


def load_fused(root: Path) -> FusedCloud:
    """The cloud of the product `mesh`, without its surfaces.

    Raises PipelineError naming a file that is missing or damaged, or does not suit the other one.
    """
    path, visible = root / FUSED, root / f"{FUSED}.vis"
    cloud, (starts, images) = read_ply(path), read_visibility(visible)
    if cloud.rgb is None:
        raise malformed(path, "its points have no colours")
    if len(starts) - 1 != len(cloud.xyz):
        raise malformed(visible, f"of {len(starts) - 1} points, but there are {len(cloud.xyz)}")
    return FusedCloud(cloud, starts, images)


def write_workspace(maps: DepthMaps, folder: Path) -> None:
    """Write a dense workspace that COLMAP's `stereo_fusion` opens, into an empty folder.

    Which photographs it compares it takes from the points of the model, so without one it fuses
    nothing. Photographs are written in the format of their names; WebP and JPEG at a quality of 95.
    """
    cameras, images = {}, {}
    nothing = np.zeros((0, 2)), np.zeros(0, np.int64)
    for n, view in enumerate(maps.views):
        cameras[n + 1] = view.camera
        images[n + 1] = RegisteredImage(view.name, n + 1, view.cam_from_world, *nothing)
        found = maps[n]
        for kind, values in zip(_MAPS, (found.depth, found.normals, found.confidence), strict=True):
            dense.write_map(dense.map_path(folder, kind, view.name), values)
        _write_picture(folder / dense.IMAGES / view.name, found.rgb)
    model = maps.model or SparseModel(cameras, images, Points.none())
    write_model(model, folder / dense.SPARSE)
    names = "".join(f"{view.name}\n" for view in maps.views)
    content = names.encode()
    (folder / dense.STEREO / "fusion.cfg").write_bytes(content)


def open_workspace(folder: Path) -> StoredDepthMaps:
    """The maps of a dense workspace. Raises DamagedFile where the file of one is missing or cut
    off, and PipelineError where its model cannot be read."""
    cameras, images = read_cameras_and_images(folder / dense.SPARSE)
    views = [
        DepthView(images[i].name, cameras[images[i].camera], images[i].cam_from_world)
        for i in sorted(images)
    ]
    for view in views:
        maps = [dense.map_path(folder, kind, view.name) for kind in _MAPS]
        for path in (*maps, folder / dense.IMAGES / view.name):
            if not path.is_file():
                raise DamagedFile(f"{path} is missing")
        for path in maps:
            if not dense.is_whole(path):
                raise DamagedFile(f"{path} is not whole")
    return StoredDepthMaps(folder, views)


def _save_maps(depth: DepthMaps | NoDepth, path: Path) -> None:
    with replacing_folder(path) as folder:
        if not isinstance(depth, NoDepth):
            write_workspace(depth, folder)
        write_verdict(folder, depth.reason if isinstance(depth, NoDepth) else None)


def _load_maps(path: Path) -> DepthMaps | NoDepth:
    reason = _checked_reason(path)
    return open_workspace(path) if reason is None else NoDepth(reason)


def _checked_reason(folder: Path) -> str | None:
    """Why nothing was made; None where something was. Raises DamagedFile where a file of the
    product is missing or cut off."""
    verdict = read_verdict(folder)
    verdict.check()
    return verdict.reason


def _load_surface(folder: Path) -> TriangleMesh:
    if not (folder / "mesh.glb").is_file():  # a verdict without sizes does not know it
        raise DamagedFile(f"{folder / 'mesh.glb'} is missing")
    return read_ply_mesh(folder / "mesh.ply")


def _write_picture(path: Path, rgb: UInt8s) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    picture = Image.fromarray(rgb)
    if suffix in _LOSSY:
        picture.save(path, _LOSSY[suffix], quality=_JPEG_QUALITY)
    else:
        picture.save(path, _LOSSLESS.get(suffix, "PNG"))


def _read_picture(path: Path) -> UInt8s:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(path, f"is no picture ({error})") from error


def _damaged(path: Path, what: str) -> PipelineError:
    return PipelineError(
        "Damaged file",
        f"{path} {what}.",
        "`barfield retry RUN --from depth` makes it anew, --from radiance what is below radiance/.",
    )
