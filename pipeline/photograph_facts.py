"""What a run has found out about each photograph, for people to look at; read only.

It reads what finished stages have written, while the run goes on or after it. A stage that has not
run yet leaves gaps, and so does a file that cannot be read: facts are for looking at, and a run
that is looked at must not suffer from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.array_files import read_named_arrays, strings_from_array
from pipeline.camera_json import camera_from_json
from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import read_model
from pipeline.geometry.arrays import Bools, Float64s, Int64s, UInt8s
from pipeline.item_store import DiskStore
from pipeline.products import NO_POINT, PairKind, RegisteredImage, SparseModel

# What is read of the model costs a few times as much memory as its files have bytes.
MOST_MODEL_BYTES = 256 * 2**20
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError, PipelineError)


@dataclass(frozen=True)
class PhotographFacts:
    """One photograph. None: not known, or not yet.

    name: as in the photo index. registered, reason, model: the verdict of mapping. keypoints: how
    many. matches, inliers: sums over its pairs, putative and verified. partners: photographs with
    which it has a verified pair. points: keypoints that see a 3D point. error_px: mean reprojection
    error of these. focal_px: refined, else as mapping began. focal_is_refined: which. sharpness:
    variance of the Laplacian, small for blur. size: (width, height) in pixels.
    """

    name: str
    registered: bool | None = None
    reason: str = ""
    model: int | None = None
    keypoints: int | None = None
    matches: int | None = None
    inliers: int | None = None
    partners: int | None = None
    points: int | None = None
    error_px: float | None = None
    focal_px: float | None = None
    focal_is_refined: bool = False
    sharpness: float | None = None
    size: tuple[int, int] | None = None
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Neighbour:
    """Another photograph of a pair: its number, matches and inliers of the pair, the kind of the
    two-view geometry, the median angle of its rays in degrees, and why the pair was refused (""
    where it stands). None: not known yet."""

    number: int
    matches: int | None = None
    inliers: int | None = None
    kind: str = ""
    angle_deg: float | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """indices (P, 2): numbers of photographs. values: (P,) each; reasons: P."""

    indices: Int64s
    values: Mapping[str, np.ndarray]
    reasons: Sequence[str]


@dataclass(frozen=True, eq=False)
class Photographs:
    """All photographs of a run: those of the index in its order, then those that were refused.

    gaps: what could not be read, in words. skipped_model: the models are too large to look at, so
    that points and errors are not known. matched, verified: the pairs, as far as they are known.
    seen_bits: of each photograph in a model, which keypoints see a 3D point, packed.
    """

    facts: tuple[PhotographFacts, ...] = ()
    gaps: tuple[str, ...] = ()
    skipped_model: bool = False
    matched: _Pairs | None = None
    verified: _Pairs | None = None
    seen_bits: Mapping[str, UInt8s] = field(default_factory=dict)

    def sees_point(self, number: int, keypoints: int) -> Bools:
        """(N,) which of a photograph's N keypoints see a 3D point; none where that is not known."""
        bits = self.seen_bits.get(self.facts[number].name)
        if bits is None or not 0 <= 8 * len(bits) - keypoints < 8:
            return np.zeros(keypoints, np.bool_)
        return np.unpackbits(bits, count=keypoints).astype(np.bool_)

    def neighbours(self, number: int, most: int) -> list[Neighbour]:
        """The photographs that see the most of the same, the strongest first.

        By inliers where pairs were verified, else by matches. Empty where nothing is known yet.
        """
        found: dict[int, Neighbour] = {}
        for pairs in (self.matched, self.verified):
            if pairs is None:
                continue
            rows = np.flatnonzero((pairs.indices == number).any(axis=1))
            for row in rows.tolist():
                i1, i2 = pairs.indices[row].tolist()
                other = i2 if i1 == number else i1
                known = found.get(other, Neighbour(other))
                told = {name: values[row].item() for name, values in pairs.values.items()}
                if "kind" in told:
                    told["kind"] = _kind(told["kind"])
                reason = pairs.reasons[row] or (known.reason if pairs is self.matched else "")
                found[other] = replace(known, **told, reason=reason)
        order = sorted(found.values(), key=lambda n: (n.inliers or 0, n.matches or 0), reverse=True)
        return order[:most]


@dataclass(frozen=True, eq=False)
class KeypointsOnPhotograph:
    """What is drawn of a photograph. thumbnail: JPEG, b"" where there is none. keypoints: (N, 2)
    float64, shares of width and height, in the order of the features."""

    thumbnail: bytes
    keypoints: Float64s


def read_photographs(root: Path, finished: Collection[str]) -> Photographs:
    """What is known of every photograph of a run.

    finished: stages whose products count; those of others may be of an earlier attempt. Never
    raises for what a file holds: `gaps` says what could not be read.
    """
    gaps: list[str] = []

    def attempt(stage: str, read: Callable[[], Any], otherwise: Any = None) -> Any:
        if stage not in finished:
            return otherwise
        try:
            return read()
        except _UNREADABLE as error:
            gaps.append(f"{stage}: {getattr(error, 'message', error)}")
            return otherwise

    facts: list[PhotographFacts] = attempt("ingest", lambda: _indexed(root), [])
    count = sum(fact.registered is None for fact in facts)
    for i, keypoints in enumerate(attempt("features", lambda: _keypoint_counts(root), ())[:count]):
        facts[i] = replace(facts[i], keypoints=keypoints)
    matched, sums = attempt("matching", lambda: _matched(root, count), (None, ()))
    for i, total in enumerate(sums):
        facts[i] = replace(facts[i], matches=total)
    verified, both = attempt("verification", lambda: _verified(root, count), (None, ()))
    for i, (total, partners) in enumerate(both):
        facts[i] = replace(facts[i], inliers=total, partners=partners)
    by_name = {fact.name: i for i, fact in enumerate(facts)}
    for name, verdict in attempt("mapping", lambda: _verdicts(root), {}).items():
        if name in by_name:
            facts[by_name[name]] = replace(facts[by_name[name]], **verdict)
    folders, small = attempt("mapping", lambda: _models(root), ((), True))
    seen_bits: dict[str, UInt8s] = {}
    for folder in folders:
        for name, (changes, bits) in attempt("mapping", partial(_posed, folder), {}).items():
            if name in by_name:
                facts[by_name[name]] = replace(facts[by_name[name]], **changes)
                seen_bits[name] = bits
    return Photographs(tuple(facts), tuple(gaps), not small, matched, verified, seen_bits)


def read_keypoints(root: Path, number: int, photograph: PhotographFacts) -> KeypointsOnPhotograph:
    """A photograph with its keypoints, without those parts that are not there yet or cannot be
    read. number: its own, in the photo index."""
    thumbnail, keypoints = b"", np.zeros((0, 2))
    with suppress(*_UNREADABLE):
        thumbnail = _thumbnail(root, photograph.name)
    with suppress(*_UNREADABLE):
        names = read_named_arrays(root / "features" / "index.arrays", ("keys",))["keys"]
        key = strings_from_array(names)[number]
        item = DiskStore(root, memory_bytes=0, writes=False).get("features", key)
        if photograph.size is not None:
            keypoints = item["keypoints"][:, :2].astype(np.float64) / photograph.size
    return KeypointsOnPhotograph(thumbnail, keypoints)


def _indexed(root: Path) -> list[PhotographFacts]:
    data = json.loads((root / "photos" / "index.json").read_bytes())
    focals = [camera_from_json(entry).focal_px for entry in data["cameras"]]
    facts = [
        PhotographFacts(
            name=str(photo["name"]),
            focal_px=focals[photo["camera"]],
            sharpness=float(photo["sharpness"]),
            size=(int(photo["width"]), int(photo["height"])),
            about={str(name): str(value) for name, value in photo["exif"].items()},
        )
        for photo in data["photos"]
    ]
    facts += [
        PhotographFacts(str(photo["name"]), False, f"not read: {photo['reason']}")
        for photo in data["refused"]
    ]
    return facts


def _thumbnail(root: Path, name: str) -> bytes:
    folder = root / "photos" / "thumbnails"
    names = json.loads((folder / "names.json").read_bytes())
    file = next((file for file, of in names.items() if of == name), "")
    return (folder / Path(file).name).read_bytes() if file else b""


def _keypoint_counts(root: Path) -> list[int]:
    counts = read_named_arrays(root / "features" / "index.arrays", ("counts",))["counts"]
    return [int(count) for count in counts]


def _matched(root: Path, count: int) -> tuple[_Pairs, list[int]]:
    """The compared pairs, and the matches of each photograph."""
    arrays = read_named_arrays(root / "matches" / "index.arrays", ("indices", "counts", "reasons"))
    pairs = _pairs(arrays, {"matches": arrays["counts"]}, count)
    return pairs, _sums(pairs.indices, pairs.values["matches"], count)


def _verified(root: Path, count: int) -> tuple[_Pairs, list[tuple[int, int]]]:
    """The verified pairs, and of each photograph the inliers and the number of pairs that stand."""
    names = "indices", "kinds", "inlier_counts", "angles_deg", "reasons"
    arrays = read_named_arrays(root / "matches" / "geometries.arrays", names)
    values = {
        "kind": arrays["kinds"],
        "inliers": arrays["inlier_counts"],
        "angle_deg": arrays["angles_deg"],
    }
    pairs = _pairs(arrays, values, count)
    stands = np.array([not reason for reason in pairs.reasons], np.int64)
    inliers = _sums(pairs.indices, pairs.values["inliers"] * stands, count)
    return pairs, list(zip(inliers, _sums(pairs.indices, stands, count), strict=True))


def _pairs(
    arrays: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], count: int
) -> _Pairs:
    """Raises ValueError where the arrays are not of the same pairs of `count` photographs."""
    indices, reasons = arrays["indices"], strings_from_array(arrays["reasons"])
    lengths = {len(indices), len(reasons), *map(len, values.values())}
    if len(lengths) > 1 or (indices.size and not 0 <= indices.min() <= indices.max() < count):
        raise ValueError("the pairs are not those of the photographs")
    return _Pairs(indices, values, reasons)


def _kind(number: int) -> str:
    try:
        return PairKind(number).name.lower().replace("_", " ")
    except ValueError:
        return ""


def _sums(indices: Int64s, values: np.ndarray, count: int) -> list[int]:
    """Of each photograph, over its pairs."""
    sums = np.bincount(indices.reshape(-1), np.repeat(values, 2), count)
    return [int(total) for total in sums]


def _verdicts(root: Path) -> dict[str, dict[str, Any]]:
    """Fields of the facts, by the photograph's name."""
    found = json.loads((root / "sparse" / "verdicts.json").read_bytes())
    return {
        str(verdict["image"]): {
            "registered": bool(verdict["registered"]),
            "reason": str(verdict["reason"]),
            "model": None if verdict["model"] is None else int(verdict["model"]),
        }
        for verdict in found
    }


def _models(root: Path) -> tuple[list[Path], bool]:
    """The models of mapping, the largest last, so that its figures stand where two have some; none
    and False where they are too large to look at."""
    folders = [path for path in (root / "sparse").iterdir() if path.name.isdigit()]
    if sum(map(_bytes_of, folders)) > MOST_MODEL_BYTES:
        return [], False
    return sorted(folders, key=lambda path: int(path.name), reverse=True), True


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _posed(folder: Path) -> dict[str, tuple[dict[str, Any], UInt8s]]:
    """What a model says of each of its photographs: fields of its facts, and which of its keypoints
    see a point, as bits."""
    model = read_model(folder)
    order = np.argsort(model.points.ids)
    found = {}
    for image in model.images.values():
        seen = image.point_ids != NO_POINT
        changes = {
            "points": int(seen.sum()),
            "error_px": _error_px(model, image, order),
            "focal_px": model.cameras[image.camera].focal_px,
            "focal_is_refined": True,
        }
        found[image.name] = changes, np.packbits(seen)
    return found


def _error_px(model: SparseModel, image: RegisteredImage, order: Int64s) -> float | None:
    """Mean distance in pixels of an image's keypoints from where their 3D points project.

    order: (J,) rows of the points by growing id. None without such keypoints.
    """
    seen = image.point_ids != NO_POINT
    if not seen.any():
        return None
    rows = order[np.searchsorted(model.points.ids, image.point_ids[seen], sorter=order)]
    pose = image.cam_from_world
    points_cam = model.points.xyz_world[rows] @ pose.rotation.T + pose.translation
    projected = model.cameras[image.camera].project(points_cam)
    errors = np.linalg.norm(projected - image.keypoints_px[seen], axis=1)
    finite = errors[np.isfinite(errors)]
    return float(finite.mean()) if len(finite) else None
