"""Every product comes back from the run directory as it was, or is known to be lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.codecs import CODECS, LostProduct, read_verdicts
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.manifest import StageEntry
from pipeline.products import (
    FeatureSet,
    MatchSet,
    PairKind,
    Photo,
    PhotoIndex,
    Reconstruction,
    RefusedPhoto,
    TwoViewGeometries,
    TwoViewGeometry,
    Verdict,
)
from pipeline.stages import ENTRIES
from pipeline.workspace import Workspace
from tests.fake_stages import KEYPOINTS, line_model
from tests.workspaces import VERSION, ingredients, two_pairs


def products_of_every_kind(workspace: Workspace) -> dict[str, object]:
    store = workspace.store
    camera = Camera("SIMPLE_RADIAL", 64, 48, np.array([70.1, 32, 24, 0.01]), has_focal_prior=True)
    photos = (
        Photo("a b.jpg", Path("/x/a b.jpg"), 0, 64, 48, "h1",
              Path("/m/a.png"), "h2", 3.5, {"M": "x"}),
        Photo("ü\n.jpg", Path("/x/ü\n.jpg"), 0, 64, 48, "h3"),
        Photo("c.jpg", Path("/x/c.jpg"), 0, 64, 48, "h4"),
    )  # fmt: skip
    random = np.random.default_rng(0)
    for key in ("k0", "k1", "k2"):
        keypoints = random.uniform(0, 40, (KEYPOINTS, 4)).astype(np.float32)
        descriptors = random.integers(0, 255, (KEYPOINTS, 128)).astype(np.uint8)
        store.put("features", key, {"keypoints": keypoints, "descriptors": descriptors})
    rows = np.arange(KEYPOINTS, dtype=np.uint32)
    store.put("matches", "m0", {"matches": np.column_stack([rows, rows])})
    features = FeatureSet(("k0", "k1", "k2"), np.full(3, KEYPOINTS, np.int64), store)
    pose = Pose(np.eye(3), np.array([0.0, 0.6, 0.8]))
    geometries = {
        (0, 1): TwoViewGeometry(
            PairKind.CALIBRATED, np.column_stack([rows, rows]), F=random.normal(size=(3, 3)),
            E=random.normal(size=(3, 3)), cam2_from_cam1=pose, triangulation_angle_deg=3.25,
        ),
        (0, 2): TwoViewGeometry(PairKind.DEGENERATE, np.zeros((0, 2), np.uint32), reason="none"),
    }  # fmt: skip
    names = [photo.name for photo in photos]
    verdicts = (*(Verdict(name, True, "registered", 0, n) for n, name in enumerate(names[:2])),
                Verdict(names[2], False, "too few"))  # fmt: skip
    return {
        "photos": PhotoIndex(photos, (camera,), (RefusedPhoto("\udc80.jpg", "not UTF-8"),)),
        "thumbnails": {"a b.jpg": b"one", "ü\n.jpg": b"two", "c.jpg": b"three"},
        "features": features,
        "pairs": two_pairs(),
        "matches": MatchSet(two_pairs().indices, ("m0", "m1"), np.array([6, 0]), ("", "no"), store),
        "geometries": TwoViewGeometries(geometries, (camera,)),
        "reconstruction": Reconstruction((line_model(camera, names[:2], features),), verdicts),
    }


def test_verdicts_from_before_places_were_kept_have_none(tmp_path: Path) -> None:
    (tmp_path / "sparse").mkdir()
    old = '[{"image": "a.jpg", "registered": true, "reason": "registered", "model": 0}]'
    (tmp_path / "sparse" / "verdicts.json").write_text(old)
    assert read_verdicts(tmp_path) == (Verdict("a.jpg", True, "registered", 0, None),)


def test_every_product_of_the_method_has_a_codec() -> None:
    assert set(CODECS) == {product for entry in ENTRIES for product in entry.makes}


def test_products_come_back_as_they_were(tmp_path: Path) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        saved = products_of_every_kind(workspace)
        workspace.save(StageEntry(ingredients(), 0.0, {}), saved)
    with Workspace(tmp_path, VERSION) as workspace:
        loaded = {name: workspace.load(name) for name in saved}
        for name, value in saved.items():
            assert as_plain(loaded[name]) == as_plain(value), name
    assert (tmp_path / "points.ply").exists()
    assert sorted(path.name for path in (tmp_path / "sparse").iterdir()) == ["0", "verdicts.json"]


def as_plain(value: object) -> object:
    """A product as nested plain data, with every array spelled out."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, FeatureSet | MatchSet):
        items = [as_plain(value[number]) for number in range(len(value))]
        return [as_plain({k: v for k, v in vars(value).items() if k != "store"}), items]
    if isinstance(value, Camera):  # COLMAP's files do not say where the focal length is from
        return (value.model, value.width, value.height, value.params.tolist())
    if isinstance(value, dict):
        return {key: as_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(entry) for entry in value]
    if hasattr(value, "__dict__") and not isinstance(value, Path | PairKind):
        return as_plain(vars(value))
    return value


@pytest.mark.parametrize(
    ("product", "file"),
    [
        ("photos", "photos/index.json"),
        ("features", "features/k1/k1.arrays"),
        ("matches", "matches/m0/m0.arrays"),
        ("geometries", "matches/geometries.arrays"),
        ("reconstruction", "sparse/0/images.bin"),
    ],
)
def test_a_product_that_is_not_whole_is_lost(tmp_path: Path, product: str, file: str) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        workspace.save(StageEntry(ingredients(), 0.0, {}), products_of_every_kind(workspace))
    (tmp_path / file).unlink()
    with Workspace(tmp_path, VERSION) as workspace, pytest.raises(LostProduct, match=product):
        workspace.load(product)
