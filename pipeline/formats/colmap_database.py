"""COLMAP's database: SQLite with photographs, features, matches and two-view geometries.

Image and camera ids are our indices + 1. Matrices are stored row by row, keypoints with the
corner of the top-left pixel as origin, as ours are.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.formats.colmap_parts import SENSOR_CAMERA, checked_camera, checked_pose, model_name
from pipeline.formats.colmap_schema import CREATE, DESCRIPTOR_SIFT, image_ids, pair_id
from pipeline.formats.files import malformed
from pipeline.geometry.arrays import Float32s, Float64s, UInt8s, UInt32s
from pipeline.geometry.cameras import MODELS, Camera
from pipeline.geometry.poses import quaternion_from_rotation
from pipeline.products import (
    FeatureSet,
    MatchSet,
    Pair,
    PairKind,
    PhotoIndex,
    TwoViewGeometries,
    TwoViewGeometry,
)


def write_database(
    path: Path,
    photos: PhotoIndex,
    features: FeatureSet,
    matches: MatchSet,
    geometries: TwoViewGeometries,
) -> None:
    """Write a database in the schema of COLMAP 4.2; a file that is there is replaced.

    The cameras are those of the geometries, from which mapping starts. A refused pair is stored as
    degenerate, without rows, as COLMAP does. There is no journal, and the file is flushed to the
    disk at the end: renaming it into place is the caller's. Raises OSError where the file cannot be
    written; ENOSPC where the disk is full.
    """
    try:
        for leftover in ("", "-journal", "-wal", "-shm"):
            Path(f"{path}{leftover}").unlink(missing_ok=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            # Large pages suit the blobs, which are hundreds of kilobytes.
            database.executescript(
                "PRAGMA page_size = 16384; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "PRAGMA locking_mode = EXCLUSIVE; BEGIN;" + CREATE
            )
            _insert(database, "cameras", _camera_rows(geometries.cameras))
            rigs = ((k, k, SENSOR_CAMERA) for k in range(1, len(geometries.cameras) + 1))
            _insert(database, "rigs", rigs)
            owners = [(i, photo.name, photo.camera + 1) for i, photo in enumerate(photos.photos, 1)]
            _insert(database, "images", owners)
            _insert(database, "frames", ((i, camera) for i, _, camera in owners))
            data = ((i, i, camera, SENSOR_CAMERA) for i, _, camera in owners)
            _insert(database, "frame_data", data)
            for i in range(len(features)):
                item = features[i]
                _insert(database, "keypoints", [(i + 1, *_matrix(item.keypoints, "<f4"))])
                descriptors = (i + 1, DESCRIPTOR_SIFT, *_matrix(item.descriptors, "u1"))
                _insert(database, "descriptors", [descriptors])
            _insert(database, "matches", _match_rows(matches))
            _insert(database, "two_view_geometries", _geometry_rows(geometries))
            database.execute("COMMIT")
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error


def _insert(database: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows that hold a value for every column of a table."""
    columns = len(_columns(database, table))
    places = ", ".join("?" * columns)
    database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def _camera_rows(cameras: Iterable[Camera]) -> Iterator[tuple[Any, ...]]:
    for k, camera in enumerate(cameras, 1):
        params = camera.params.astype("<f8").tobytes()
        model = MODELS[camera.model].colmap_id
        yield (k, model, camera.width, camera.height, params, int(camera.has_focal_prior))


def _matrix(array: np.ndarray, dtype: str) -> tuple[int, int, bytes | None]:
    """Rows, columns and bytes of a matrix; COLMAP stores no bytes of an empty one."""
    data = np.ascontiguousarray(array, dtype).tobytes()
    return array.shape[0], array.shape[1], data or None


def _match_rows(matches: MatchSet) -> Iterator[tuple[Any, ...]]:
    for p, (i1, i2) in enumerate(matches.indices.tolist()):
        yield (pair_id(i1 + 1, i2 + 1), *_matrix(matches[p], "<u4"))


def _geometry_rows(geometries: TwoViewGeometries) -> Iterator[tuple[Any, ...]]:
    for (i1, i2), geometry in sorted(geometries.of_pair.items()):
        number = pair_id(i1 + 1, i2 + 1)
        if not geometry.verified:
            yield (number, 0, 2, None, int(PairKind.DEGENERATE), *[None] * 7)
            continue
        pose = geometry.cam2_from_cam1
        values = (
            geometry.F,
            geometry.E,
            geometry.H,
            None if pose is None else quaternion_from_rotation(pose.rotation),
            None if pose is None else pose.translation,
        )
        blobs = [None if value is None else value.astype("<f8").tobytes() for value in values]
        yield (number, *_matrix(geometry.inliers, "<u4"), int(geometry.kind), *blobs, None, None)


@dataclass(frozen=True, eq=False)
class ColmapDatabase:
    """Content of a COLMAP database, keyed by COLMAP's own ids.

    image_names, image_cameras: by image id. keypoints: (N, 2), (N, 4) or (N, 6) float32 as stored.
    descriptors: (N, D) uint8. matches: (M, 2) uint32, by pair of image ids, smaller first.
    """

    cameras: Mapping[int, Camera]
    image_names: Mapping[int, str]
    image_cameras: Mapping[int, int]
    keypoints: Mapping[int, Float32s]
    descriptors: Mapping[int, UInt8s]
    matches: Mapping[Pair, UInt32s]
    geometries: Mapping[Pair, TwoViewGeometry]


def read_database(path: Path) -> ColmapDatabase:
    """Read a database of any COLMAP version; tables and columns that it lacks are empty.

    Raises PipelineError naming a file that is missing, is no COLMAP database or is damaged, and for
    a camera model that is not one of ours.
    """
    if not path.is_file():
        raise PipelineError(
            "File not found", f"{path} does not exist", "Check the path for a typing error."
        )
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            if not {"camera_id", "name"} <= set(_columns(database, "images")):
                raise malformed(path, "not a COLMAP database")
            return _read(path, database)
    except KeyError as error:
        raise malformed(path, f"a table has no column {error}") from error
    except (sqlite3.Error, ValueError) as error:
        raise malformed(path, str(error)) from error


def _read(path: Path, database: sqlite3.Connection) -> ColmapDatabase:
    images = list(_rows(database, "images"))
    return ColmapDatabase(
        cameras={row["camera_id"]: _camera(path, row) for row in _rows(database, "cameras")},
        image_names={row["image_id"]: row["name"] for row in images},
        image_cameras={row["image_id"]: row["camera_id"] for row in images},
        keypoints=_blobs(path, database, "keypoints", "<f4"),
        descriptors=_blobs(path, database, "descriptors", "u1"),
        matches={
            image_ids(pair): matches
            for pair, matches in _blobs(path, database, "matches", "<u4").items()
        },
        geometries={
            image_ids(row["pair_id"]): _geometry(path, row)
            for row in _rows(database, "two_view_geometries")
        },
    )


def _rows(database: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Rows of a table by column name; none if there is no such table."""
    columns = _columns(database, table)
    if columns:
        for row in database.execute(f"SELECT * FROM {table}"):
            yield dict(zip(columns, row, strict=True))


def _blobs(path: Path, database: sqlite3.Connection, table: str, dtype: str) -> dict[int, Any]:
    """Matrices of a table by its first column, which is its key."""
    return {next(iter(row.values())): _stored(path, row, dtype) for row in _rows(database, table)}


def _stored(path: Path, row: Mapping[str, Any], dtype: str) -> np.ndarray:
    array = np.frombuffer(row["data"] or b"", dtype)
    if array.size != row["rows"] * row["cols"]:
        raise malformed(path, f"a matrix of {row['rows']} x {row['cols']} has {array.size} values")
    return array.reshape(row["rows"], row["cols"])


def _camera(path: Path, row: Mapping[str, Any]) -> Camera:
    params = np.frombuffer(row["params"] or b"", "<f8").astype(np.float64)
    camera = checked_camera(
        path, model_name(path, row["model"]), (row["width"], row["height"]), params
    )
    prior = bool(row.get("prior_focal_length", 0))
    return Camera(camera.model, camera.width, camera.height, camera.params, prior)


def _geometry(path: Path, row: Mapping[str, Any]) -> TwoViewGeometry:
    try:
        kind = PairKind(row["config"])
    except ValueError:
        raise malformed(path, f"{row['config']} is no two-view configuration") from None
    inliers = _stored(path, row, "<u4")
    quaternion, translation = _values(row, "qvec", (4,)), _values(row, "tvec", (3,))
    pose = None
    if quaternion is not None and translation is not None:
        pose = checked_pose(path, quaternion, translation)
    return TwoViewGeometry(
        kind=kind,
        inliers=inliers,
        F=_values(row, "F", (3, 3)),
        E=_values(row, "E", (3, 3)),
        H=_values(row, "H", (3, 3)),
        cam2_from_cam1=pose,
        reason="" if len(inliers) else f"stored as {kind.name.lower()}, without inliers",
    )


def _values(row: Mapping[str, Any], column: str, shape: tuple[int, ...]) -> Float64s | None:
    """A stored array, or None where it is absent or all zero, which older COLMAPs write instead."""
    array = np.frombuffer(row.get(column) or b"", "<f8").astype(np.float64)
    return array.reshape(shape) if array.any() else None
