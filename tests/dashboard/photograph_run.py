"""A small run directory with photographs, keypoints, pairs and a model, made without running."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.codecs import save_product
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.item_store import DiskStore
from pipeline.products import (
    FeatureSet,
    MatchSet,
    PairKind,
    Photo,
    PhotoIndex,
    Points,
    Reconstruction,
    RefusedPhoto,
    RegisteredImage,
    SparseModel,
    TwoViewGeometries,
    TwoViewGeometry,
    Verdict,
)
from tests.dashboard.recorded import STAGES, RecordedRun, begin, finish

WIDTH, HEIGHT, KEYPOINTS = 60, 40, 8
CAMERA = Camera("SIMPLE_PINHOLE", WIDTH, HEIGHT, np.array([50.0, 30.0, 20.0]))
REASON = "the best view of the model has 9 inliers, 30 needed"
ERROR_PX = 0.25


def names_of(count: int) -> list[str]:
    """Names of so many photographs."""
    return [f"{i:05}.jpg" for i in range(count)]


def mapped_run(
    root: Path, names: list[str] | None = None, *, count: int = 12, items: bool = True
) -> RecordedRun:
    """A run whose mapping is done; the fifth photograph is not registered."""
    write_run(root, names or names_of(count), frozenset({4}), items=items)
    run = RecordedRun(root)
    begin(run)
    finish(run, *STAGES[:6])
    return run


def write_run(root: Path, names: list[str], missing: frozenset[int], *, items: bool = True) -> None:
    """Everything up to mapping. The photographs of `missing` are not registered; each has pairs
    with the two after it. items: with the keypoints themselves and thumbnails."""
    write_photographs(root, names, items=items)
    store = DiskStore(root)
    features = write_features(root, store, len(names), items=items)
    indices = np.array(
        [(i, j) for i in range(len(names)) for j in (i + 1, i + 2) if j < len(names)], np.int64
    ).reshape(-1, 2)
    counts = np.array([40 - 10 * (j - i) for i, j in indices.tolist()], np.int64)
    keys = tuple(f"{p:032x}" for p in range(len(indices)))
    for key in keys if items else ():
        store.put("matches", key, {"matches": np.zeros((4, 2), np.uint32)})
    store.flush()
    matches = MatchSet(indices, keys, counts, ("",) * len(indices), features.store)
    save_product("matches", matches, root)
    save_product("geometries", _geometries(indices, missing), root)
    save_product("reconstruction", _reconstruction(names, missing, model=items), root)


def write_photographs(root: Path, names: list[str], *, items: bool = True) -> None:
    """What ingest makes; the last file could not be read."""
    photos = tuple(
        Photo(name, Path("/nowhere") / "x.jpg", 0, WIDTH, HEIGHT, f"{i:064x}", sharpness=100.0 + i,
              exif={"make": "Acme", "model": "One"})
        for i, name in enumerate(names)
    )  # fmt: skip
    refused = RefusedPhoto("broken.jpg", "not a JPEG")
    save_product("photos", PhotoIndex(photos, (CAMERA,), (refused,)), root)
    if items:
        picture = BytesIO()
        Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 200)).save(picture, "JPEG")
        save_product("thumbnails", dict.fromkeys(names, picture.getvalue()), root)


def write_features(root: Path, store: DiskStore, count: int, *, items: bool = True) -> FeatureSet:
    """What features makes: keypoints along the diagonal."""
    keys = tuple(f"{i:032x}" for i in range(count))
    for key in keys if items else ():
        arrays = {"keypoints": _keypoints(), "descriptors": np.zeros((KEYPOINTS, 128), np.uint8)}
        store.put("features", key, arrays)
    features = FeatureSet(keys, np.full(count, KEYPOINTS), store)
    save_product("features", features, root)
    return features


def _keypoints() -> np.ndarray:
    shares = (np.arange(KEYPOINTS) + 0.5) / KEYPOINTS
    columns = shares * WIDTH, shares * HEIGHT, np.ones(KEYPOINTS), np.zeros(KEYPOINTS)
    return np.stack(columns, axis=1).astype(np.float32)


def _geometries(indices: np.ndarray, missing: frozenset[int]) -> TwoViewGeometries:
    found = {}
    for i, j in indices.tolist():
        refused = bool({i, j} & missing)
        count = 9 if refused else 35 - 10 * (j - i)
        found[i, j] = TwoViewGeometry(
            PairKind.DEGENERATE if refused else PairKind.CALIBRATED,
            np.zeros((count, 2), np.uint32),
            triangulation_angle_deg=5.0,
            reason="9 inliers, 15 needed" if refused else "",
        )
    return TwoViewGeometries(found, (CAMERA,))


def _reconstruction(names: list[str], missing: frozenset[int], *, model: bool) -> Reconstruction:
    """Every registered photograph sees the first half of its keypoints as points, each
    `ERROR_PX` beside where it projects."""
    verdicts = tuple(
        Verdict(name, False, REASON) if i in missing else Verdict(name, True, "registered", 0)
        for i, name in enumerate(names)
    )
    if not model:
        return Reconstruction((), verdicts)
    half = KEYPOINTS // 2
    pixels = _keypoints()[:, :2].astype(np.float64)
    beside = pixels[:half] + np.array([ERROR_PX, 0.0])
    rays = np.column_stack([CAMERA.unproject(beside), np.ones(half)])
    point_ids = np.array([*range(1, half + 1), *([-1] * (KEYPOINTS - half))], np.int64)
    images = {
        i + 1: RegisteredImage(name, 1, Pose.identity(), pixels, point_ids)
        for i, name in enumerate(names)
        if i not in missing
    }
    ids = sorted(images)
    points = Points(
        ids=np.arange(1, half + 1),
        xyz_world=rays,
        rgb=np.zeros((half, 3), np.uint8),
        error_px=np.full(half, ERROR_PX),
        track_starts=np.arange(half + 1) * len(ids),
        track_images=np.tile(np.array(ids, np.int64), half),
        track_keypoints=np.repeat(np.arange(half), len(ids)),
    )
    return Reconstruction((SparseModel({1: CAMERA}, images, points),), verdicts)
