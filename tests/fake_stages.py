"""Stages that make small real products from nothing, for tests of the runner and the workspace.

`METHOD` mirrors the real table. Items are slow on request (`DELAY_VARIABLE` in the environment), so
that a test can stop a run in the middle of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from pipeline import config as settings
from pipeline.config_base import StageConfig
from pipeline.dense_products import NoDepth
from pipeline.depth_config import DepthConfig
from pipeline.events import Progress, Record, Report
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.hashing import content_key
from pipeline.mesh_config import DraftConfig, MeshConfig
from pipeline.mesh_products import NoMesh
from pipeline.photos.source import list_photos
from pipeline.products import (
    FeatureSet,
    ItemStore,
    MatchSet,
    PairKind,
    Pairs,
    Photo,
    PhotoIndex,
    Points,
    RadianceField,
    Reconstruction,
    RefinedCameras,
    RegisteredImage,
    SparseModel,
    TwoViewGeometries,
    TwoViewGeometry,
    Verdict,
)
from pipeline.radiance_config import RadianceConfig
from pipeline.stage import Control, Inputs, Products, run_items
from pipeline.stages import METHOD as REAL_METHOD

DELAY_VARIABLE = "FAKE_STAGES_ITEM_SECONDS"
KEYPOINTS = 6
Run = Generator[Record, None, Products]


class FakeIngest:
    name: ClassVar[str] = "ingest"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source",)
    makes: ClassVar[tuple[str, ...]] = ("photos", "thumbnails")
    Config: ClassVar[type[StageConfig]] = settings.IngestConfig

    def run(self, inputs: Inputs, config: settings.IngestConfig, control: Control) -> Run:
        control.poll()
        found = list_photos(inputs["source"]).photos
        photos = tuple(
            Photo(name, path, 0, 64, 48, content_key(path.read_bytes().hex()))
            for name, path in found
        )
        camera = Camera("SIMPLE_PINHOLE", 64, 48, np.array([config.default_focal * 64, 32, 24]))
        yield Report({"photographs": len(photos)})
        thumbnails = {p.name: b"\xff\xd8 " + p.name.encode() + b" \xff\xd9" for p in photos}
        return {"photos": PhotoIndex(photos, (camera,)), "thumbnails": thumbnails}


def make_features(store: ItemStore, seed_and_key: tuple[int, str]) -> str:
    """Item function: store random keypoints, unless they are there. The key."""
    seed, key = seed_and_key
    if not store.has("features", key):
        time.sleep(float(os.environ.get(DELAY_VARIABLE, "0")))
        random = np.random.default_rng([seed, *key.encode()])  # other settings, other keypoints
        keypoints = random.uniform(1, 40, (KEYPOINTS, 4)).astype(np.float32)
        descriptors = random.integers(0, 255, (KEYPOINTS, 128)).astype(np.uint8)
        store.put("features", key, {"keypoints": keypoints, "descriptors": descriptors})
    return key


class FakeFeatures:
    name: ClassVar[str] = "features"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos",)
    makes: ClassVar[tuple[str, ...]] = ("features",)
    Config: ClassVar[type[StageConfig]] = settings.FeaturesConfig

    def run(self, inputs: Inputs, config: settings.FeaturesConfig, control: Control) -> Run:
        photos: PhotoIndex = inputs["photos"]
        keys = [
            content_key("features", photo.content_hash, config.model_dump())
            for photo in photos.photos
        ]
        for number, _ in enumerate(
            run_items(partial(make_features, control.store), list(enumerate(keys)), control)
        ):
            yield Progress(number + 1, len(keys), "photos", photos.photos[number].name)
        counts = np.full(len(keys), KEYPOINTS, np.int64)
        return {"features": FeatureSet(tuple(keys), counts, control.store)}


class FakePairs:
    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features")
    makes: ClassVar[tuple[str, ...]] = ("pairs",)
    Config: ClassVar[type[StageConfig]] = settings.PairsConfig

    def run(self, inputs: Inputs, config: settings.PairsConfig, control: Control) -> Run:
        control.poll()
        pairs = list(combinations(range(len(inputs["features"])), 2))
        yield Report({"pairs": len(pairs)})
        return {"pairs": Pairs(np.array(pairs, np.int64).reshape(-1, 2), "exhaustive")}


class FakeMatching:
    name: ClassVar[str] = "matching"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "pairs")
    makes: ClassVar[tuple[str, ...]] = ("matches",)
    Config: ClassVar[type[StageConfig]] = settings.MatchingConfig

    def run(self, inputs: Inputs, config: settings.MatchingConfig, control: Control) -> Run:
        indices = inputs["pairs"].indices
        rows = np.arange(KEYPOINTS, dtype=np.uint32)
        keys, counts, reasons = [], [], []
        for number, (i1, i2) in enumerate(indices.tolist()):
            control.poll()
            key = content_key("matches", i1, i2, config.ratio)
            near = i2 - i1 == 1
            if near:
                control.store.put("matches", key, {"matches": np.column_stack([rows, rows])})
            keys.append(key)
            counts.append(KEYPOINTS if near else 0)
            reasons.append("" if near else "no neighbours")
            yield Progress(number + 1, len(indices), "pairs")
        counts_array = np.array(counts, np.int64)
        matches = MatchSet(indices, tuple(keys), counts_array, tuple(reasons), control.store)
        return {"matches": matches}


class FakeVerification:
    name: ClassVar[str] = "verification"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "matches")
    makes: ClassVar[tuple[str, ...]] = ("geometries",)
    Config: ClassVar[type[StageConfig]] = settings.VerificationConfig

    def run(self, inputs: Inputs, config: settings.VerificationConfig, control: Control) -> Run:
        control.poll()
        matches: MatchSet = inputs["matches"]
        of_pair = {}
        for number, (i1, i2) in enumerate(matches.indices.tolist()):
            if matches.counts[number]:
                pose = Pose(np.eye(3), np.array([1.0, 0.0, 0.0]))
                essential = np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])
                of_pair[i1, i2] = TwoViewGeometry(
                    PairKind.CALIBRATED, matches[number], E=essential, cam2_from_cam1=pose
                )
            else:
                none = np.zeros((0, 2), np.uint32)
                of_pair[i1, i2] = TwoViewGeometry(PairKind.DEGENERATE, none, reason="no matches")
        yield Report({"verified": int(np.count_nonzero(matches.counts))})
        return {"geometries": TwoViewGeometries(of_pair, inputs["photos"].cameras)}


class FakeMapping:
    """Registers all photographs but the last on a line."""

    name: ClassVar[str] = "mapping"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "features", "geometries")
    makes: ClassVar[tuple[str, ...]] = ("reconstruction",)
    Config: ClassVar[type[StageConfig]] = settings.MappingConfig

    def run(self, inputs: Inputs, config: settings.MappingConfig, control: Control) -> Run:
        control.poll()
        photos: PhotoIndex = inputs["photos"]
        yield Report({"final_cost": 1.5})
        names = [photo.name for photo in photos.photos]
        model = line_model(photos.cameras[0], names[:-1], inputs["features"])
        verdicts = [Verdict(name, True, "registered", 0) for name in names[:-1]]
        verdicts.append(Verdict(names[-1], False, "3 matches, 15 needed"))
        return {"reconstruction": Reconstruction((model,), tuple(verdicts))}


def line_model(camera: Camera, names: list[str], features: FeatureSet) -> SparseModel:
    """Cameras on the x axis that all see the same point with their first keypoint."""
    images = {}
    for i, name in enumerate(names):
        keypoints = features[i].keypoints[:, :2].astype(np.float64)
        ids = np.full(len(keypoints), -1, np.int64)
        ids[0] = 7
        pose = Pose(np.eye(3), np.array([-float(i), 0.0, 0.0]))
        images[i + 1] = RegisteredImage(name, 1, pose, keypoints, ids)
    points = Points(
        ids=np.array([7], np.int64),
        xyz_world=np.array([[0.0, 0.0, 5.0]]),
        rgb=np.array([[1, 2, 3]], np.uint8),
        error_px=np.array([0.5]),
        track_starts=np.array([0, len(names)], np.int64),
        track_images=np.arange(1, len(names) + 1),
        track_keypoints=np.zeros(len(names), np.int64),
    )
    return SparseModel({1: camera}, images, points)


class FakeDraft:
    """Makes no mesh."""

    name: ClassVar[str] = "draft"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("reconstruction",)
    makes: ClassVar[tuple[str, ...]] = ("draft",)
    Config: ClassVar[type[StageConfig]] = DraftConfig

    def run(self, inputs: Inputs, config: DraftConfig, control: Control) -> Run:
        control.poll()
        yield Report({"triangles": 0})
        return {"draft": NoMesh("there is hardly a point")}


class FakeRadiance:
    """Leaves the cameras as they are."""

    name: ClassVar[str] = "radiance"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "reconstruction")
    makes: ClassVar[tuple[str, ...]] = ("radiance", "refined", "field_depth")
    Config: ClassVar[type[StageConfig]] = RadianceConfig

    def run(self, inputs: Inputs, config: RadianceConfig, control: Control) -> Run:
        control.poll()
        words = "the cameras stay as they were"
        yield Report({"trained": True, "held_out_psnr": 23.5, "verdict": words})
        field = RadianceField({"weights": np.arange(3, dtype=np.float32)}, ("a.jpg",), 64)
        return {
            "radiance": field,
            "refined": RefinedCameras(None, words),
            "field_depth": NoDepth("nothing is rendered"),
        }


class FakeDepth:
    """Makes no depth maps."""

    name: ClassVar[str] = "depth"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos", "reconstruction")
    makes: ClassVar[tuple[str, ...]] = ("depth",)
    Config: ClassVar[type[StageConfig]] = DepthConfig

    def run(self, inputs: Inputs, config: DepthConfig, control: Control) -> Run:
        control.poll()
        yield Report({"photographs": 0, "reason": "nothing is seen twice"})
        return {"depth": NoDepth("nothing is seen twice")}


class FakeMesh:
    """Makes no mesh."""

    name: ClassVar[str] = "mesh"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("depth", "field_depth")
    makes: ClassVar[tuple[str, ...]] = ("mesh",)
    Config: ClassVar[type[StageConfig]] = MeshConfig

    def run(self, inputs: Inputs, config: MeshConfig, control: Control) -> Run:
        control.poll()
        yield Report({"triangles": 0, "reason": "there are no depth maps"})
        return {"mesh": NoMesh("there are no depth maps")}


_FAKES: tuple[Any, ...] = (
    FakeIngest,
    FakeFeatures,
    FakePairs,
    FakeMatching,
    FakeVerification,
    FakeMapping,
    FakeDraft,
    FakeRadiance,
    FakeDepth,
    FakeMesh,
)
METHOD = tuple(
    replace(entry, target=f"{__name__}:{fake.__name__}")
    for entry, fake in zip(REAL_METHOD, _FAKES, strict=True)
)
