"""A small run directory with everything that is browsed, made without running."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.codecs import save_product
from pipeline.formats.colmap_dense import DEPTH, map_path, write_map
from pipeline.item_store import DiskStore
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import (
    MatchSet,
    PairKind,
    TwoViewGeometries,
    TwoViewGeometry,
)
from pipeline.run_directory import RunDirectory
from pipeline.scene_index import cloud_sources
from tests.dashboard.photograph_run import CAMERA, names_of, write_run

PHOTOGRAPHS = 6
STAGES = ("ingest", "features", "pairs", "matching", "verification", "mapping")
F = np.arange(9.0).reshape(3, 3)
MATCHES = np.array([[0, 1], [1, 0], [2, 3], [7, 7]], np.uint32)
INLIERS = MATCHES[1:3]


def finish(root: Path, *stages: str) -> None:
    """Record stages as finished."""
    with RunDirectory(root, "0.1.0") as directory:
        for stage in stages:
            made = Ingredients(stage, 1, {"of": stage}, {}, {})
            directory.record(StageEntry(made, 1.0, {}))


def write_run_to_browse(root: Path) -> None:
    """A run up to mapping, with a cloud, previews and films. Photograph 0 is a picture in a folder
    of its own, 1 is a TIFF, 2 is no picture, and the others are away."""
    with RunDirectory(root, "0.1.0"):
        pass
    write_run(root, names_of(PHOTOGRAPHS), frozenset({4}))
    _give_photographs(root, root.parent / "originals")
    _give_pairs(root)
    finish(root, *STAGES)
    with RunDirectory(root, "0.1.0") as directory:
        (source,) = cloud_sources(root, directory.manifest)
    cloud = root / "clouds" / source.id
    cloud.mkdir(parents=True)
    (cloud / "points.bin").write_bytes(bytes(range(256)) * 40)
    (cloud / "cameras.json").write_text('{"cameras": [], "images": []}')
    (cloud / "cloud.json").write_text("{}")
    (cloud / "secret.txt").write_text("secret")
    for stage, file in (("mapping", "00000012.scene"), ("radiance", "00000100-00003.jpg")):
        folder = root / stage / "previews"
        folder.mkdir(parents=True)
        (folder / file).write_bytes(b"preview of " + stage.encode())
    films = root / "renders" / "flight"
    films.mkdir(parents=True)
    (films / "film.mp4").write_bytes(b"mp4 of a flight")
    (root / "renders" / "orbit.mp4").write_bytes(b"mp4 of an orbit")
    (root / "renders" / "notes.txt").write_text("secret")


def give_depth(root: Path) -> np.ndarray:
    """Finish `depth` with a map of photograph 0 alone; the map."""
    depth = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_map(map_path(root / "depth", DEPTH, names_of(1)[0]), depth)
    finish(root, "depth")
    return depth


def write_client(folder: Path) -> None:
    """What the build of the client leaves: a page, its files, and compressed siblings."""
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>client</title>")
    (folder / "sizes.json").write_text("{}")
    script = b"console.log('client')" * 50
    (folder / "assets" / "main-ABC123.js").write_bytes(script)
    (folder / "assets" / "main-ABC123.js.gz").write_bytes(gzip.compress(script))
    (folder / "assets" / "style-DEF456.css").write_text("p {}")
    (folder / "assets" / "stranger.exe").write_text("no such type")
    (folder / "assets" / "link-1.js").symlink_to("/etc/hostname")


def _give_photographs(root: Path, folder: Path) -> None:
    folder.mkdir()
    picture = BytesIO()
    Image.new("RGB", (60, 40), (200, 20, 20)).save(picture, "JPEG")
    (folder / "a.jpg").write_bytes(picture.getvalue())
    Image.new("RGB", (60, 40)).save(folder / "b.tif")
    (folder / "c.jpg").write_text("secret: this is no picture")
    path = root / "photos" / "index.json"
    index = json.loads(path.read_bytes())
    for photograph, name in zip(index["photos"], ("a.jpg", "b.tif", "c.jpg"), strict=False):
        photograph["path"] = str(folder / name)
    path.write_text(json.dumps(index))


def _give_pairs(root: Path) -> None:
    """Pair (0, 1) stands, with a remark of matching, (0, 2) is refused, (1, 2) has no matches."""
    store = DiskStore(root)
    keys = tuple(f"{p:032x}" for p in range(100, 103))
    for key in keys[:2]:
        store.put("matches", key, {"matches": MATCHES})
    store.flush()
    indices = np.array([(0, 1), (0, 2), (1, 2)], np.int64)
    counts = np.array([4, 4, 0], np.int64)
    reasons = ("4 matches among the 6 largest keypoints", "", "no matches")
    save_product("matches", MatchSet(indices, keys, counts, reasons, store), root)
    found = {
        (0, 1): TwoViewGeometry(PairKind.PLANAR, INLIERS, F=F, triangulation_angle_deg=4.5),
        (0, 2): TwoViewGeometry(
            PairKind.DEGENERATE,
            np.zeros((0, 2), np.uint32),
            triangulation_angle_deg=float("nan"),
            reason="9 inliers, 15 needed",
        ),
    }
    save_product("geometries", TwoViewGeometries(found, (CAMERA,)), root)
