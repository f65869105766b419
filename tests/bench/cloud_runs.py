"""A run that is done and has a cloud of any size, for benchmarks of the viewer."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from pipeline.formats.point_stream import StreamedCloud, stream_cloud
from pipeline.geometry.arrays import Float32s, UInt8s
from pipeline.manifest import Ingredients, StageEntry
from pipeline.run_directory import RunDirectory
from pipeline.scene_index import ABOUT, FOLDER, cloud_sources
from pipeline.version import VERSION

_SEED = 5


def terrain(count: int) -> tuple[Float32s, UInt8s]:
    """Points (N, 3) of wavy hills in [-1, 1]^3 with z up, and their colours (N, 3)."""
    random = np.random.default_rng(_SEED)
    xy = random.uniform(-1.0, 1.0, (count, 2)).astype(np.float32)
    waves = np.sin(6 * xy[:, 0]) * np.cos(5 * xy[:, 1]) + 0.3 * np.sin(23 * xy.sum(axis=1))
    z = (0.2 * waves + random.normal(0.0, 0.002, count)).astype(np.float32)
    rgb = np.empty((count, 3), np.uint8)
    rgb[:, 0] = 60 + 120 * (z + 0.3)
    rgb[:, 1] = 90 + 100 * np.abs(np.sin(9 * xy[:, 0]))
    rgb[:, 2] = 40 + 60 * np.abs(xy[:, 1])
    return np.column_stack([xy, z]), rgb


def streamed_run(root: Path, xyz: Float32s, rgb: UInt8s) -> None:
    """Make a run whose mapping is done and whose cloud of (N, 3) points is ready as a stream."""
    n = len(xyz)
    cloud = StreamedCloud(
        xyz.astype(np.float64),
        rgb,
        np.zeros(n, np.bool_),
        np.full(n, np.nan),
        np.full(n, 2, np.int64),
        np.full((n, 3), np.nan),
        (0.0, 0.0, 1.0),
    )
    stream = stream_cloud(cloud)
    folder = cloud_folder_of(root)
    (folder / "points.bin").write_bytes(stream.points)
    (folder / "details.bin").write_bytes(stream.details)
    tell_cloud(
        folder,
        format="points",
        count=n,
        strays=stream.strays,
        bounds=stream.extent.bounds,
        center=stream.extent.center,
        radius=stream.extent.radius,
    )


def cloud_folder_of(root: Path) -> Path:
    """The folder where the cloud of a run belongs, made with a run around it that has mapped."""
    with RunDirectory(root, VERSION) as directory:
        made_from = Ingredients("mapping", 1, {}, {}, {})
        directory.record(StageEntry(made_from, 1.0, {"cloud": time.time_ns()}))
        (root / "sparse" / "0").mkdir(parents=True)
        (source,) = cloud_sources(root, directory.manifest)
    folder = root / FOLDER / source.id
    folder.mkdir(parents=True)
    (folder / "cameras.json").write_text('{"cameras": [], "images": []}')
    return folder


def tell_cloud(folder: Path, **about: object) -> None:
    """Write what the scene is told of a cloud."""
    told = {"before": about["count"], "up": (0.0, 0.0, 1.0), "note": "", "seconds": 1.0}
    (folder / ABOUT).write_text(json.dumps({**told, **about}))
