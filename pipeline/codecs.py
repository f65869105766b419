"""How each product lies in the run directory: one pair of functions, save and load, per product.

| product | where |
| --- | --- |
| photos | `photos/index.json` |
| thumbnails | `photos/thumbnails/`: JPEG files and `names.json` |
| features | `features/index.arrays`, and an item per photograph |
| pairs | `matches/pairs.arrays` |
| matches | `matches/index.arrays`, and an item per pair |
| geometries | `matches/geometries.arrays` |
| reconstruction | `sparse/0`, `sparse/1`, ... (COLMAP), `sparse/verdicts.json`, `points.ply` |
| draft, depth, field_depth, mesh | see `dense_codecs` |
| radiance | `radiance/field.arrays` |
| refined | `radiance/verdict.json`, `sparse/refined` (COLMAP) where the cameras became better |
| planar | `curves.json`, `curves.png`, `animation.gif` |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.array_files import (
    DamagedFile,
    encode_arrays,
    read_arrays,
    strings_as_array,
    strings_from_array,
)
from pipeline.atomic_files import (
    remove_folder,
    replacing_file,
    replacing_folder,
    write_bytes,
    write_json,
)
from pipeline.camera_json import camera_as_json, camera_from_json
from pipeline.dense_codecs import (
    load_depth,
    load_draft,
    load_field_depth,
    load_mesh,
    save_depth,
    save_draft,
    save_field_depth,
    save_mesh,
)
from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import read_model, write_model
from pipeline.formats.ply import PointCloud, write_ply
from pipeline.geometry.arrays import Int64s
from pipeline.geometry_tables import geometries_as_arrays, geometries_from_arrays
from pipeline.item_store import Arrays, DiskStore
from pipeline.products import (
    FeatureSet,
    MatchSet,
    NoField,
    Pairs,
    Photo,
    PhotoIndex,
    PlanarAlignment,
    RadianceField,
    Reconstruction,
    RefinedCameras,
    RefusedPhoto,
    TwoViewGeometries,
    Verdict,
)

MAPPED, REFINED = "sparse/0", "sparse/refined"  # below the run directory
_ABOUT = "product.json"  # an array that holds plain data as text


class LostProduct(Exception):
    """A product that the manifest counts as done is not there or not whole; says what is wrong."""


def save_product(name: str, value: Any, root: Path) -> None:
    """Write a product. Raises PipelineError naming the path that could not be written, KeyError
    for a name without a codec."""
    CODECS[name].save(value, root)


def load_product(name: str, root: Path, store: DiskStore) -> Any:
    """Read a product and check that all its items exist. Raises LostProduct where they are
    not, KeyError for a name without a codec."""
    try:
        return CODECS[name].load(root, store)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LostProduct(f"the {name} cannot be read: {error}") from error
    except PipelineError as error:
        raise LostProduct(f"the {name} cannot be read: {error.message}") from error


def _save_photos(index: PhotoIndex, root: Path) -> None:
    photos = [
        {
            **{field.name: getattr(photo, field.name) for field in fields(Photo)},
            "path": str(photo.path),
            "mask": str(photo.mask) if photo.mask else None,
            "exif": dict(photo.exif),
        }
        for photo in index.photos
    ]
    cameras = [camera_as_json(camera) for camera in index.cameras]
    refused = [asdict(refusal) for refusal in index.refused]
    data = {"photos": photos, "cameras": cameras, "refused": refused}
    write_json(root / "photos" / "index.json", data)


def _load_photos(root: Path, store: DiskStore) -> PhotoIndex:
    data = json.loads((root / "photos" / "index.json").read_bytes())
    photos = tuple(
        Photo(
            **{
                **entry,
                "path": Path(entry["path"]),
                "mask": Path(entry["mask"]) if entry["mask"] else None,
            }
        )
        for entry in data["photos"]
    )
    cameras = tuple(camera_from_json(entry) for entry in data["cameras"])
    refused = tuple(RefusedPhoto(**entry) for entry in data["refused"])
    return PhotoIndex(photos, cameras, refused)


def _save_thumbnails(thumbnails: Mapping[str, bytes], root: Path) -> None:
    files = {f"{number:06d}.jpg": name for number, name in enumerate(thumbnails)}
    with replacing_folder(root / "photos" / "thumbnails") as folder:
        for file, name in files.items():
            (folder / file).write_bytes(thumbnails[name])
        (folder / "names.json").write_text(json.dumps(files), encoding="ascii")


def _load_thumbnails(root: Path, store: DiskStore) -> dict[str, bytes]:
    folder = root / "photos" / "thumbnails"
    files = json.loads((folder / "names.json").read_bytes())
    return {name: (folder / file).read_bytes() for file, name in files.items()}


def _save_features(features: FeatureSet, root: Path) -> None:
    arrays: Arrays = {"keys": strings_as_array(features.keys), "counts": features.counts}
    write_bytes(root / "features" / "index.arrays", *encode_arrays(arrays))


def _load_features(root: Path, store: DiskStore) -> FeatureSet:
    arrays = read_arrays(root / "features" / "index.arrays")
    keys = strings_from_array(arrays["keys"])
    _check_items(store, "features", keys)
    return FeatureSet(keys, arrays["counts"], store)


def _save_pairs(pairs: Pairs, root: Path) -> None:
    arrays: Arrays = {"indices": pairs.indices, "method": strings_as_array([pairs.method])}
    write_bytes(root / "matches" / "pairs.arrays", *encode_arrays(arrays))


def _load_pairs(root: Path, store: DiskStore) -> Pairs:
    arrays = read_arrays(root / "matches" / "pairs.arrays")
    return Pairs(arrays["indices"], strings_from_array(arrays["method"])[0])


def _save_matches(matches: MatchSet, root: Path) -> None:
    arrays: Arrays = {
        "indices": matches.indices,
        "keys": strings_as_array(matches.keys),
        "counts": matches.counts,
        "reasons": strings_as_array(matches.reasons),
    }
    write_bytes(root / "matches" / "index.arrays", *encode_arrays(arrays))


def _load_matches(root: Path, store: DiskStore) -> MatchSet:
    arrays = read_arrays(root / "matches" / "index.arrays")
    keys = strings_from_array(arrays["keys"])
    counts: Int64s = arrays["counts"]
    _check_items(store, "matches", tuple(keys[p] for p in np.flatnonzero(counts)))
    return MatchSet(arrays["indices"], keys, counts, strings_from_array(arrays["reasons"]), store)


def _save_geometries(geometries: TwoViewGeometries, root: Path) -> None:
    arrays = geometries_as_arrays(geometries)
    write_bytes(root / "matches" / "geometries.arrays", *encode_arrays(arrays))


def _load_geometries(root: Path, store: DiskStore) -> TwoViewGeometries:
    return geometries_from_arrays(read_arrays(root / "matches" / "geometries.arrays"))


def _save_reconstruction(reconstruction: Reconstruction, root: Path) -> None:
    with replacing_folder(root / "sparse") as folder:
        for number, model in enumerate(reconstruction.models):
            write_model(model, folder / str(number))
        verdicts = [asdict(verdict) for verdict in reconstruction.verdicts]
        (folder / "verdicts.json").write_text(json.dumps(verdicts), encoding="ascii")
    if reconstruction.models:
        points = reconstruction.models[0].points
        with replacing_file(root / "points.ply") as file:
            write_ply(file, PointCloud(points.xyz_world.astype(np.float32), points.rgb))
    else:
        (root / "points.ply").unlink(missing_ok=True)


def _load_reconstruction(root: Path, store: DiskStore) -> Reconstruction:
    sparse = root / "sparse"
    count = sum(path.name.isdigit() for path in sparse.iterdir())
    if count and not (root / "points.ply").exists():
        raise DamagedFile("points.ply is missing")
    models = tuple(read_model(sparse / str(number)) for number in range(count))
    return Reconstruction(models, read_verdicts(root))


def read_verdicts(root: Path) -> tuple[Verdict, ...]:
    """The verdicts of the product `reconstruction`, without its models. Raises OSError, and
    ValueError or TypeError for what is damaged."""
    verdicts = json.loads((root / "sparse" / "verdicts.json").read_bytes())
    return tuple(Verdict(**verdict) for verdict in verdicts)


def _save_radiance(field: RadianceField | NoField, root: Path) -> None:
    arrays: Arrays = {}
    about = asdict(field) if isinstance(field, NoField) else {}
    if isinstance(field, RadianceField):
        arrays = dict(field.arrays)
        about = {"held_out": list(field.held_out), "size_px": field.size_px}
    arrays[_ABOUT] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    write_bytes(root / "radiance" / "field.arrays", *encode_arrays(arrays))


def _load_radiance(root: Path, store: DiskStore) -> RadianceField | NoField:
    arrays = read_arrays(root / "radiance" / "field.arrays")
    about = json.loads(arrays.pop(_ABOUT).tobytes())
    if "reason" in about:
        return NoField(str(about["reason"]))
    return RadianceField(arrays, tuple(about["held_out"]), int(about["size_px"]))


def _save_refined(refined: RefinedCameras, root: Path) -> None:
    folder = root / REFINED
    if refined.model is not None:
        with replacing_folder(folder) as temporary:
            write_model(refined.model, temporary)
    elif folder.exists():
        remove_folder(folder)
    verdict = {"refined": refined.model is not None, "verdict": refined.verdict}
    write_json(root / "radiance" / "verdict.json", verdict)


def _load_refined(root: Path, store: DiskStore) -> RefinedCameras:
    known = json.loads((root / "radiance" / "verdict.json").read_bytes())
    model = read_model(root / REFINED) if known["refined"] else None
    return RefinedCameras(model, str(known["verdict"]))


def _save_planar(alignment: PlanarAlignment, root: Path) -> None:
    write_bytes(root / "animation.gif", alignment.animation)
    write_bytes(root / "curves.png", alignment.plot)
    write_json(root / "curves.json", alignment.curves)


def _load_planar(root: Path, store: DiskStore) -> PlanarAlignment:
    return PlanarAlignment(
        json.loads((root / "curves.json").read_bytes()),
        (root / "animation.gif").read_bytes(),
        (root / "curves.png").read_bytes(),
    )


def _check_items(store: DiskStore, kind: str, keys: tuple[str, ...]) -> None:
    missing = sum(not store.exists(kind, key) for key in keys)
    if missing:
        raise DamagedFile(f"{missing} of {len(keys)} items are missing")


@dataclass(frozen=True)
class Codec:
    """How one product is saved and loaded."""

    save: Callable[[Any, Path], None]
    load: Callable[[Path, DiskStore], Any]


CODECS: Mapping[str, Codec] = {
    "photos": Codec(_save_photos, _load_photos),
    "thumbnails": Codec(_save_thumbnails, _load_thumbnails),
    "features": Codec(_save_features, _load_features),
    "pairs": Codec(_save_pairs, _load_pairs),
    "matches": Codec(_save_matches, _load_matches),
    "geometries": Codec(_save_geometries, _load_geometries),
    "reconstruction": Codec(_save_reconstruction, _load_reconstruction),
    "draft": Codec(save_draft, load_draft),
    "depth": Codec(save_depth, load_depth),
    "field_depth": Codec(save_field_depth, load_field_depth),
    "mesh": Codec(save_mesh, load_mesh),
    "radiance": Codec(_save_radiance, _load_radiance),
    "refined": Codec(_save_refined, _load_refined),
    "planar": Codec(_save_planar, _load_planar),
}
