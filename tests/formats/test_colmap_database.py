"""COLMAP's database: the schema of the peer, round trips, and the peer's mapper on our matches."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats import colmap_database
from pipeline.formats.colmap_database import read_database, write_database
from pipeline.formats.colmap_schema import CREATE, image_ids, pair_id
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, cross_matrix, rotation_from_rotvec
from pipeline.products import (
    Features,
    FeatureSet,
    MatchSet,
    MemoryStore,
    Pair,
    PairKind,
    Photo,
    PhotoIndex,
    TwoViewGeometries,
    TwoViewGeometry,
)

WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True, eq=False)
class World:
    """Everything that a database holds, of cameras on an arc around a cloud of points."""

    photos: PhotoIndex
    features: FeatureSet
    matches: MatchSet
    geometries: TwoViewGeometries
    poses: tuple[Pose, ...]

    def write(self, path: Path) -> Path:
        write_database(path, self.photos, self.features, self.matches, self.geometries)
        return path


def make_world(n_images: int = 6, n_points: int = 250, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    camera = Camera("SIMPLE_RADIAL", WIDTH, HEIGHT, np.array([600.0, 320.0, 240.0, -0.02]), True)
    xyz = rng.uniform(-1.0, 1.0, (n_points, 3))
    poses = []
    for angle in np.linspace(-0.5, 0.5, n_images):
        rotation = rotation_from_rotvec(np.array([0.02 * rng.normal(), angle, 0.0]))
        poses.append(Pose(rotation, np.array([0.0, 0.1 * rng.normal(), 5.0])))
    store = MemoryStore()
    orders = [rng.permutation(n_points) for _ in poses]
    for i, (pose, order) in enumerate(zip(poses, orders, strict=True)):
        keypoints = np.empty((n_points, 4), np.float32)
        keypoints[:, :2] = camera.project(pose.apply(xyz[order])) + 0.2 * rng.normal(
            size=(n_points, 2)
        )
        keypoints[:, 2:] = rng.uniform(1.0, 3.0, (n_points, 2))
        descriptors = rng.integers(0, 256, (n_points, 128), dtype=np.uint8)
        store.put("features", f"f{i}", {"keypoints": keypoints, "descriptors": descriptors})
    counts = np.full(n_images, n_points)
    features = FeatureSet(tuple(f"f{i}" for i in range(n_images)), counts, store)
    pairs = [(i1, i2) for i1 in range(n_images) for i2 in range(i1 + 1, n_images)]
    of_pair: dict[Pair, TwoViewGeometry] = {}
    for i1, i2 in pairs:
        matches = np.column_stack([np.argsort(orders[i1]), np.argsort(orders[i2])])
        store.put("matches", f"m{i1}-{i2}", {"matches": matches.astype(np.uint32)})
        of_pair[i1, i2] = true_geometry(camera, poses[i1], poses[i2], matches[5:])
    keys = tuple(f"m{i1}-{i2}" for i1, i2 in pairs)
    photos = tuple(
        Photo(f"föto {i}.jpg", Path(f"föto {i}.jpg"), 0, WIDTH, HEIGHT, f"hash{i}")
        for i in range(n_images)
    )
    return World(
        PhotoIndex(photos, (camera,)),
        features,
        MatchSet(np.array(pairs), keys, np.full(len(pairs), n_points), ("",) * len(pairs), store),
        TwoViewGeometries(of_pair, (camera,)),
        tuple(poses),
    )


def true_geometry(camera: Camera, pose1: Pose, pose2: Pose, matches: np.ndarray) -> TwoViewGeometry:
    cam2_from_cam1 = pose2.compose(pose1.inverse())
    baseline = np.linalg.norm(cam2_from_cam1.translation)
    cam2_from_cam1 = Pose(cam2_from_cam1.rotation, cam2_from_cam1.translation / baseline)
    E = cross_matrix(cam2_from_cam1.translation) @ cam2_from_cam1.rotation
    inverse = np.linalg.inv(camera.calibration_matrix)
    return TwoViewGeometry(
        kind=PairKind.CALIBRATED,
        inliers=matches.astype(np.uint32),
        F=inverse.T @ E @ inverse,
        E=E,
        H=None,
        cam2_from_cam1=cam2_from_cam1,
    )


def with_refused_pair(world: World) -> World:
    refused = TwoViewGeometry(
        PairKind.CALIBRATED, np.zeros((7, 2), np.uint32), E=np.eye(3), reason="7 inliers, 15 needed"
    )
    of_pair = {**world.geometries.of_pair, (0, 1): refused}
    return replace(world, geometries=TwoViewGeometries(of_pair, world.geometries.cameras))


def schema(path: Path) -> dict[str, object]:
    """Tables with their columns, keys and indexes, and the version."""
    with closing(sqlite3.connect(path)) as database:
        tables = [
            row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        found: dict[str, object] = {"version": database.execute("PRAGMA user_version").fetchone()}
        for table in tables:
            indexes = []
            for _, name, unique, *_ in database.execute(f"PRAGMA index_list({table})").fetchall():
                columns = database.execute(f"PRAGMA index_info('{name}')").fetchall()
                indexes.append((name, unique, tuple(column[2] for column in columns)))
            found[table] = (
                database.execute(f"PRAGMA table_info({table})").fetchall(),
                database.execute(f"PRAGMA foreign_key_list({table})").fetchall(),
                sorted(indexes),
            )
        return found


def test_schema_is_the_peers(tmp_path: Path) -> None:
    pycolmap.Database.open(tmp_path / "theirs.db").close()
    ours, theirs = (
        schema(make_world(2, 10).write(tmp_path / "ours.db")),
        schema(tmp_path / "theirs.db"),
    )
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert ours[name] == theirs[name], name


def test_round_trip(tmp_path: Path) -> None:
    world = with_refused_pair(make_world())
    found = read_database(world.write(tmp_path / "database.db"))
    assert found.image_names == {i + 1: p.name for i, p in enumerate(world.photos.photos)}
    assert set(found.image_cameras.values()) == {1}
    camera = world.photos.cameras[0]
    assert found.cameras[1].model == camera.model and found.cameras[1].has_focal_prior
    np.testing.assert_array_equal(found.cameras[1].params, camera.params)
    for i in range(len(world.features)):
        features = world.features[i]
        np.testing.assert_array_equal(found.keypoints[i + 1], features.keypoints)
        np.testing.assert_array_equal(found.descriptors[i + 1], features.descriptors)
    assert len(found.matches) == len(world.matches)
    for p, (i1, i2) in enumerate(world.matches.indices):
        np.testing.assert_array_equal(found.matches[i1 + 1, i2 + 1], world.matches[p])
    for (i1, i2), geometry in world.geometries.of_pair.items():
        stored = found.geometries[i1 + 1, i2 + 1]
        if not geometry.verified:
            assert stored.kind is PairKind.DEGENERATE and stored.inliers.shape == (0, 2)
            assert stored.E is None and stored.F is None and stored.cam2_from_cam1 is None
            assert not stored.verified
            continue
        assert stored.verified and stored.kind is geometry.kind and stored.H is None
        np.testing.assert_array_equal(stored.inliers, geometry.inliers)
        np.testing.assert_array_equal(stored.E, geometry.E)
        np.testing.assert_array_equal(stored.F, geometry.F)
        assert stored.cam2_from_cam1 is not None and geometry.cam2_from_cam1 is not None
        error = stored.cam2_from_cam1.rotation - geometry.cam2_from_cam1.rotation
        assert np.abs(error).max() < 1e-14


def test_pycolmap_reads_our_database(tmp_path: Path) -> None:
    world = with_refused_pair(make_world())
    path = world.write(tmp_path / "database.db")
    n = len(world.photos.photos)
    with pycolmap.Database.open(path) as peer:
        assert (peer.num_images(), peer.num_cameras(), peer.num_rigs()) == (n, 1, 1)
        assert (peer.num_frames(), peer.num_pose_priors()) == (n, 0)
        assert peer.num_keypoints() == peer.num_descriptors() == world.features.counts.sum()
        assert peer.num_matched_image_pairs() == len(world.matches)
        assert peer.read_camera(1).has_prior_focal_length
        np.testing.assert_array_equal(peer.read_camera(1).params, world.photos.cameras[0].params)
        for i, photo in enumerate(world.photos.photos):
            assert peer.read_image(i + 1).name == photo.name
            assert peer.read_frame(i + 1).rig_id == 1
            features = world.features[i]
            stored = peer.read_keypoints(i + 1)
            np.testing.assert_array_equal(stored, features.keypoints)
            np.testing.assert_array_equal(peer.read_descriptors(i + 1).data, features.descriptors)
        for p, (i1, i2) in enumerate(world.matches.indices):
            np.testing.assert_array_equal(peer.read_matches(i1 + 1, i2 + 1), world.matches[p])
        for (i1, i2), geometry in world.geometries.verified():
            stored = peer.read_two_view_geometry(i1 + 1, i2 + 1)
            assert stored.config == int(geometry.kind)
            np.testing.assert_array_equal(stored.inlier_matches, geometry.inliers)
            assert geometry.E is not None and geometry.F is not None
            np.testing.assert_allclose(stored.E, geometry.E, atol=1e-15)
            np.testing.assert_allclose(stored.F, geometry.F, atol=1e-15)
            assert geometry.cam2_from_cam1 is not None
            np.testing.assert_allclose(
                stored.cam2_from_cam1.rotation.matrix(),
                geometry.cam2_from_cam1.rotation,
                atol=1e-12,
            )
            np.testing.assert_allclose(
                stored.cam2_from_cam1.translation, geometry.cam2_from_cam1.translation, atol=1e-12
            )
        refused = peer.read_two_view_geometry(1, 2)
        assert refused.config == int(PairKind.DEGENERATE) and len(refused.inlier_matches) == 0


def test_we_read_what_pycolmap_writes(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    world = make_world(3, 20)
    with pycolmap.Database.open(path) as peer:
        camera = pycolmap.Camera.create_from_model_name(1, "RADIAL", 500.0, WIDTH, HEIGHT)
        peer.write_camera(camera)
        for i in range(2):
            peer.write_image(pycolmap.Image(name=f"{i}.jpg", camera_id=1))
            peer.write_keypoints(i + 1, world.features[i].keypoints)
        peer.write_matches(2, 1, np.array([[3, 4], [5, 6]], np.uint32))
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = 3
        geometry.inlier_matches = np.array([[4, 3]], np.uint32)
        geometry.F = np.arange(9.0).reshape(3, 3)
        peer.write_two_view_geometry(1, 2, geometry)
    found = read_database(path)
    assert found.cameras[1].model == "RADIAL" and found.image_names == {1: "0.jpg", 2: "1.jpg"}
    np.testing.assert_array_equal(found.keypoints[1][:, :2], world.features[0].keypoints[:, :2])
    assert found.matches[1, 2].tolist() == [[4, 3], [6, 5]]  # swapped to the order of the ids
    stored = found.geometries[1, 2]
    assert stored.kind is PairKind.UNCALIBRATED and stored.E is None and stored.F is not None
    np.testing.assert_array_equal(stored.F, np.arange(9.0).reshape(3, 3))


def test_databases_of_older_versions_lack_columns(tmp_path: Path) -> None:
    path = make_world(3, 20).write(tmp_path / "old.db")
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "DROP TABLE rigs; DROP TABLE frames; DROP TABLE frame_data; DROP TABLE pose_priors;"
            "ALTER TABLE descriptors DROP COLUMN type;"
            "ALTER TABLE two_view_geometries DROP COLUMN qvec;"
            "ALTER TABLE two_view_geometries DROP COLUMN H;"
        )
    found = read_database(path)
    assert found.descriptors[1].shape == (20, 128)
    stored = found.geometries[1, 2]
    assert stored.verified and stored.cam2_from_cam1 is None and stored.H is None


def test_the_peers_mapper_registers_every_image(tmp_path: Path) -> None:
    world = make_world(6, 250)
    path = world.write(tmp_path / "database.db")
    for photo in world.photos.photos:
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / photo.name)
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1
    options.random_seed = 1
    models = pycolmap.incremental_mapping(path, tmp_path, tmp_path / "out", options=options)
    assert len(models) == 1
    model = models[0]
    assert model.num_reg_images() == len(world.poses)
    assert model.num_points3D() >= 240
    assert 0.1 < model.compute_mean_reprojection_error() < 0.5
    reference = np.array([pose.center for pose in world.poses])
    found = np.array([model.image(i + 1).projection_center() for i in range(len(world.poses))])
    distances = [np.linalg.norm(c[:, None] - c[None], axis=2) for c in (reference, found)]
    ratio = distances[1].sum() / distances[0].sum()
    assert np.abs(distances[1] / ratio - distances[0]).max() < 0.03


def test_existing_files_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "database.db"
    for leftover in ("", "-wal", "-journal"):
        Path(f"{path}{leftover}").write_bytes(b"what was here before" * 100)
    make_world(3, 20).write(path)
    assert len(read_database(path).image_names) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["database.db"]


def test_images_without_features_and_pairs_without_matches(tmp_path: Path) -> None:
    store = MemoryStore()
    empty = Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))
    store.put("features", "f", {"keypoints": empty.keypoints, "descriptors": empty.descriptors})
    world = make_world(2, 10)
    features = FeatureSet(("f", "f"), np.zeros(2, np.int64), store)
    matches = MatchSet(np.array([[0, 1]]), ("m",), np.zeros(1, np.int64), ("no features",), store)
    path = tmp_path / "database.db"
    write_database(
        path, world.photos, features, matches, TwoViewGeometries({}, world.photos.cameras)
    )
    found = read_database(path)
    assert found.keypoints[2].shape == (0, 4) and found.matches[1, 2].shape == (0, 2)
    with pycolmap.Database.open(path) as peer:
        assert peer.num_keypoints() == 0 and peer.num_matched_image_pairs() == 1


def test_pair_numbers() -> None:
    assert pair_id(1, 2) == 2147483649
    assert image_ids(pair_id(17, 4000)) == (17, 4000)
    assert pycolmap.image_pair_to_pair_id(17, 4000) == pair_id(17, 4000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no database at all, but long enough" * 40, "not a database"), (b"", "not a COLMAP")],
)
def test_other_files_are_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.db"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=reason) as caught:
        read_database(path)
    assert str(path) in caught.value.message


def test_damaged_rows_are_refused(tmp_path: Path) -> None:
    for damage, reason in (
        ("UPDATE keypoints SET rows = 3", "3 x 4 has"),
        ("UPDATE keypoints SET data = x'001122'", "multiple of element size"),
        ("UPDATE two_view_geometries SET config = 99", "99 is no two-view"),
        ("UPDATE two_view_geometries SET E = x'0011223344556677'", "reshape"),
        ("UPDATE cameras SET model = 5", "OPENCV_FISHEYE"),
        ("ALTER TABLE matches DROP COLUMN rows", "no column 'rows'"),
    ):
        path = make_world(2, 10).write(tmp_path / "database.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(damage)
        with pytest.raises(PipelineError, match=reason) as caught:
            read_database(path)
        assert str(path) in caught.value.message


def test_missing_and_unwritable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"nothing\.db does not exist"):
        read_database(tmp_path / "nothing.db")
    with pytest.raises(OSError, match="unable to open") as refused:
        make_world(2, 10).write(tmp_path / "no folder" / "database.db")
    assert "no folder" in str(refused.value)


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite takes a limit of pages for a full disk."""
    schema = f"PRAGMA max_page_count = 8;{CREATE}"
    monkeypatch.setattr(colmap_database, "CREATE", schema)
    with pytest.raises(OSError, match="disk is full") as caught:
        make_world(3, 2000).write(tmp_path / "database.db")
    assert caught.value.errno == errno.ENOSPC
