"""What flows between the stages: frozen values whose shapes are checked.

Index letters: `i` image, `k` camera, `j` 3D point, `n` observation. Photographs are numbered from 0
in the order of the photo index; the COLMAP files number them from 1 (`formats` converts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.geometry.arrays import Float32s, Float64s, Int64s, UInt8s, UInt32s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.item_refs import ItemRef

NO_POINT = -1
Pair = tuple[int, int]


@dataclass(frozen=True)
class Photo:
    """One photograph that can be used.

    name: path relative to the photo folder, with forward slashes; the name in every file we write.
    path: where the file is. camera: index into `PhotoIndex.cameras`. width, height: pixels after
    the EXIF orientation. content_hash: of the file's bytes. mask: file whose black pixels are
    ignored. sharpness: variance of the Laplacian at thumbnail size. exif: what was read from it,
    as words.
    """

    name: str
    path: Path
    camera: int
    width: int
    height: int
    content_hash: str
    mask: Path | None = None
    mask_hash: str = ""
    sharpness: float = 0.0
    exif: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RefusedPhoto:
    """A file that looked like a photograph and could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class PhotoIndex:
    """The photographs of a run and the cameras that they share. photos[i].camera indexes
    cameras.
    """

    photos: tuple[Photo, ...]
    cameras: tuple[Camera, ...]
    refused: tuple[RefusedPhoto, ...] = ()

    def __post_init__(self) -> None:
        if any(not 0 <= photo.camera < len(self.cameras) for photo in self.photos):
            raise ValueError("a photo refers to a camera that is not in the index")


@dataclass(frozen=True, eq=False)
class Features:
    """Keypoints of one photograph.

    keypoints: (N, 4) float32: x, y in pixels (corner origin), scale in pixels (the sigma of the
    Gaussian, as COLMAP stores it), orientation in radians. descriptors: (N, 128) uint8.
    """

    keypoints: Float32s
    descriptors: UInt8s

    def __post_init__(self) -> None:
        n = len(self.keypoints)
        if self.keypoints.shape != (n, 4) or self.descriptors.shape != (n, 128):
            raise ValueError(
                f"keypoints (N, 4) and descriptors (N, 128) needed, not "
                f"{self.keypoints.shape} and {self.descriptors.shape}"
            )

    @staticmethod
    def of_item(item: Mapping[str, np.ndarray]) -> Features:
        """The features that an item of the store holds."""
        return Features(item["keypoints"], item["descriptors"])


class ItemStore(Protocol):
    """Immutable per-item products, by kind and content key. The workspace keeps them on disk."""

    def has(self, kind: str, key: str) -> bool:
        """Whether the item is there."""
        ...

    def get(self, kind: str, key: str) -> dict[str, np.ndarray]:
        """The item's arrays; KeyError if it is not there or cannot be read."""
        ...

    def put(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store an item; storing it again changes nothing."""
        ...


class MemoryStore:
    """An `ItemStore` in memory, for tests and for tools that keep no run directory."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], dict[str, np.ndarray]] = {}

    def has(self, kind: str, key: str) -> bool:
        return (kind, key) in self._items

    def get(self, kind: str, key: str) -> dict[str, np.ndarray]:
        return self._items[kind, key]

    def put(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        self._items.setdefault((kind, key), dict(arrays))


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """The features of all photographs, read from the store one by one.

    keys: content key of each photo's features, by image index. counts: (I,) keypoints of each.
    """

    keys: tuple[str, ...]
    counts: Int64s
    store: ItemStore

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, i: int) -> Features:
        return Features.of_item(self.ref(i).arrays())

    def ref(self, i: int) -> ItemRef:
        """Where the features of photo i are, for a task."""
        return ItemRef(self.store, "features", self.keys[i])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Which photographs to compare: (P, 2) image indices, i1 < i2, unique and sorted."""

    indices: Int64s
    method: str

    def __post_init__(self) -> None:
        if self.indices.ndim != 2 or self.indices.shape[1] != 2:
            raise ValueError(f"pairs must be (P, 2), not {self.indices.shape}")
        if len(self.indices) and not np.all(self.indices[:, 0] < self.indices[:, 1]):
            raise ValueError("every pair must have i1 < i2")


@dataclass(frozen=True, eq=False)
class MatchSet:
    """Putative matches of the pairs, read from the store one by one.

    indices: (P, 2) image indices. keys: content key of each pair's matches. counts: (P,) matches.
    reasons: (P,) why a pair has none or was not fully compared, or "".
    """

    indices: Int64s
    keys: tuple[str, ...]
    counts: Int64s
    reasons: tuple[str, ...]
    store: ItemStore

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, p: int) -> UInt32s:
        """Keypoint indices (M, 2) of pair number p."""
        if self.counts[p] == 0:
            return np.zeros((0, 2), np.uint32)
        matches: UInt32s = self.ref(p).arrays()["matches"]
        return matches

    def ref(self, p: int) -> ItemRef:
        """Where the matches of pair number p are, for a task; only pairs that have some."""
        return ItemRef(self.store, "matches", self.keys[p])


class PairKind(IntEnum):
    """COLMAP's two-view configurations, with its numbers."""

    UNDEFINED = 0
    DEGENERATE = 1
    CALIBRATED = 2
    UNCALIBRATED = 3
    PLANAR = 4
    PANORAMIC = 5
    PLANAR_OR_PANORAMIC = 6
    WATERMARK = 7
    MULTIPLE = 8


@dataclass(frozen=True, eq=False)
class TwoViewGeometry:
    """What verification found for a pair (i1, i2).

    inliers: (M, 2) uint32 keypoint indices. F, E, H: (3, 3) or None. cam2_from_cam1: unit
    translation, or None where no pose follows. triangulation_angle_deg: median parallax of the
    inliers. reason: why the pair was refused, "" for a pair that stands.
    """

    kind: PairKind
    inliers: UInt32s
    F: Float64s | None = None
    E: Float64s | None = None
    H: Float64s | None = None
    cam2_from_cam1: Pose | None = None
    triangulation_angle_deg: float = 0.0
    reason: str = ""

    @property
    def verified(self) -> bool:
        """Whether the pair takes part in mapping."""
        return not self.reason


@dataclass(frozen=True, eq=False)
class TwoViewGeometries:
    """The two-view geometry of every compared pair, keyed (i1, i2) with i1 < i2.

    cameras: the intrinsics that mapping starts from: those of the photo index, with focal lengths
    voted by the pairs where no prior was known.
    """

    of_pair: Mapping[Pair, TwoViewGeometry]
    cameras: tuple[Camera, ...]

    def verified(self) -> Iterator[tuple[Pair, TwoViewGeometry]]:
        """The pairs that stand, in order."""
        return ((pair, g) for pair, g in sorted(self.of_pair.items()) if g.verified)


@dataclass(frozen=True, eq=False)
class RegisteredImage:
    """A photograph with a pose.

    name: as in `Photo`. camera: key of `SparseModel.cameras`. keypoints_px: (N, 2) float64, corner
    origin. point_ids: (N,) int64, id of the 3D point that each keypoint sees, or NO_POINT.
    """

    name: str
    camera: int
    cam_from_world: Pose
    keypoints_px: Float64s
    point_ids: Int64s

    def __post_init__(self) -> None:
        n = len(self.keypoints_px)
        if self.keypoints_px.shape != (n, 2) or self.point_ids.shape != (n,):
            raise ValueError("keypoints (N, 2) and point ids (N,) must agree")


@dataclass(frozen=True, eq=False)
class Points:
    """3D points with their tracks, in compressed rows: point j is seen by observations
    ``track_starts[j]:track_starts[j + 1]``.

    ids: (J,) int64, unique. xyz_world: (J, 3) float64. rgb: (J, 3) uint8. error_px: (J,) float64,
    mean reprojection error. track_starts: (J + 1,) int64. track_images: (N,) int64, keys of
    `SparseModel.images`. track_keypoints: (N,) int64, row in that image's keypoints.
    """

    ids: Int64s
    xyz_world: Float64s
    rgb: UInt8s
    error_px: Float64s
    track_starts: Int64s
    track_images: Int64s
    track_keypoints: Int64s

    def __post_init__(self) -> None:
        j, n = len(self.ids), len(self.track_images)
        shapes = (self.xyz_world.shape, self.rgb.shape, self.error_px.shape)
        if shapes != ((j, 3), (j, 3), (j,)) or self.track_starts.shape != (j + 1,):
            raise ValueError(f"{j} points, but xyz, rgb, error are {shapes}")
        if self.track_keypoints.shape != (n,) or (j and self.track_starts[-1] != n):
            raise ValueError("tracks do not agree with the number of observations")

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def none() -> Points:
        """A cloud without points."""
        empty = np.zeros(0, np.int64)
        return Points(
            empty, np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0),
            np.zeros(1, np.int64), empty, empty,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class SparseModel:
    """Cameras, posed images and points of one connected reconstruction.

    Keys of `cameras` and `images` are COLMAP's ids (from 1 in the models that we make).
    """

    cameras: Mapping[int, Camera]
    images: Mapping[int, RegisteredImage]
    points: Points

    def __post_init__(self) -> None:
        for image in self.images.values():
            if image.camera not in self.cameras:
                raise ValueError(f"image {image.name} has no camera {image.camera}")

    @property
    def mean_error_px(self) -> float:
        """Mean over the points of their mean reprojection errors, as COLMAP reports it; 0 without
        points."""
        return float(self.points.error_px.mean()) if len(self.points) else 0.0


@dataclass(frozen=True)
class Verdict:
    """What became of one photograph: in which model it stands, or why it stands in none.

    place: among the photographs of its model in the order in which they were registered, from 0
    on; None where there was no such order, or none is known.
    """

    image: str
    registered: bool
    reason: str
    model: int | None = None
    place: int | None = None


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The outcome of mapping: models, largest first, and a verdict for every photograph."""

    models: tuple[SparseModel, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, eq=False)
class RadianceField:
    """A trained radiance field, in a form that no library is needed for.

    arrays: what `pipeline.radiance.model.RadianceModel.from_arrays` makes the field from; with its
    cameras, whether they were taken or not. held_out: photographs that it was not trained on.
    size_px: longer side of the photographs that it was trained on.
    """

    arrays: Mapping[str, np.ndarray]
    held_out: tuple[str, ...]
    size_px: int


@dataclass(frozen=True)
class NoField:
    """Why there is no trained radiance field, in words."""

    reason: str


@dataclass(frozen=True, eq=False)
class RefinedCameras:
    """What the radiance field made of the cameras, and whether that is better.

    model: the largest model with refined cameras, points and errors; None where the cameras of
    mapping stay. verdict: why, in words.
    """

    model: SparseModel | None
    verdict: str


@dataclass(frozen=True, eq=False)
class PlanarAlignment:
    """How patches of one image found their places, by several methods.

    curves: the settings and, for each method, its figures over its steps, as plain data. animation:
    a GIF. plot: the curves as a PNG picture.
    """

    curves: Mapping[str, Any]
    animation: bytes
    plot: bytes
