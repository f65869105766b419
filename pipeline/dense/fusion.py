"""Depth maps become one cloud, of what several of them agree on.

After COLMAP's `stereo_fusion` (Schönberger et al., "Pixelwise view selection for unstructured
multi-view stereo", ECCV 2016, section 5): a pixel is fused with those of other views that see the
same place, and takes no further part. Ours are means, not medians, and the others are compared with
the one pixel that began.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from pipeline.dense.depth_views import MeshView, MeshViews
from pipeline.formats.ply import PointCloud
from pipeline.geometry.arrays import Bools, Float64s, Int64s, UInt8s, UInt32s
from pipeline.mesh_config import MeshConfig
from pipeline.mesh_products import FusedCloud


@dataclass(frozen=True, eq=False)
class Fusion:
    """fused: the cloud. agreed: of each view, (H, W), which pixels are part of it."""

    fused: FusedCloud
    agreed: list[Bools]


@dataclass(frozen=True, eq=False)
class _Points:
    """What fusion with one view as the first has made."""

    xyz: Float64s
    normals: Float64s
    rgb: UInt8s
    counts: Int64s
    images: UInt32s


def fuse(views: MeshViews, config: MeshConfig) -> Generator[int, None, Fusion]:
    """Fuse all depth maps; yields the number of each view before it is the first of its points."""
    shapes = [views[n].depth.shape for n in range(len(views))]
    agreed = [np.zeros(shape, np.bool_) for shape in shapes]
    parts = []
    for n in range(len(views)):
        yield n
        parts.append(_fuse_from(views, n, agreed, config))
    counts = np.concatenate([part.counts for part in parts])
    cloud = PointCloud(
        np.concatenate([part.xyz for part in parts]).astype(np.float32),
        np.concatenate([part.rgb for part in parts]),
        np.concatenate([part.normals for part in parts]).astype(np.float32),
    )
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    images = np.concatenate([part.images for part in parts])
    return Fusion(FusedCloud(cloud, starts, images), agreed)


def _fuse_from(views: MeshViews, n: int, agreed: list[Bools], config: MeshConfig) -> _Points:
    """The points that begin with a pixel of view n, which no earlier one has used."""
    view = views[n]
    rows, columns = np.nonzero((view.depth > 0) & ~agreed[n])
    xyz, normals = view.places(rows, columns), view.normals(rows, columns)
    sums = [xyz.copy(), normals.copy(), view.rgb[rows, columns].astype(np.float64)]
    partners = sorted(
        views.partners(n, views.samples(n), config.check_views, config.max_depth_error / 100.0)
    )
    seen = np.zeros((len(partners) + 1, len(rows)), np.bool_)
    seen[0] = True
    pixels = []
    for p, j in enumerate(partners):
        other = views[j]
        same, at = _same_place(view, other, (rows, columns), xyz, normals, config)
        hits = np.flatnonzero(same)
        seen[p + 1, hits] = True
        places = at[0][hits], at[1][hits]
        pixels.append((hits, places))
        sums[0][hits] += other.places(*places)
        sums[1][hits] += other.normals(*places)
        sums[2][hits] += other.rgb[places]
    counts = seen.sum(axis=0)
    enough = counts >= config.min_views
    agreed[n][rows[enough], columns[enough]] = True
    for j, (hits, places) in zip(partners, pixels, strict=True):
        kept = enough[hits]
        agreed[j][places[0][kept], places[1][kept]] = True
    mean = [total[enough] / counts[enough, None] for total in sums]
    lengths = np.linalg.norm(mean[1], axis=1, keepdims=True)
    order = np.argsort([n, *partners])
    numbers = np.array([n, *partners], np.uint32)[order]
    of_points = np.nonzero(seen[order][:, enough].T)[1]
    return _Points(
        mean[0],
        mean[1] / np.where(lengths > 0, lengths, 1.0),
        np.rint(mean[2]).astype(np.uint8),
        counts[enough],
        numbers[of_points],
    )


def _same_place(
    view: MeshView,
    other: MeshView,
    pixels: tuple[Int64s, Int64s],
    xyz: Float64s,
    normals: Float64s,
    config: MeshConfig,
) -> tuple[Bools, tuple[Int64s, Int64s]]:
    """(N,) whether another view sees, where places of a view lie in it, the same places: by depth,
    by normal, and by where what it sees lies in the view. And the rows and columns there."""
    same, at = other.sees(xyz, config.max_depth_error / 100.0)
    hits = np.flatnonzero(same)
    places = at.rows[hits], at.columns[hits]
    cosines = np.einsum("na,na->n", normals[hits], other.normals(*places))
    # A map may have no normals: then depth alone decides.
    unknown = ~(np.any(normals[hits], axis=1) & np.any(other.normals(*places), axis=1))
    turned = unknown | (cosines >= np.cos(np.radians(config.max_normal_error_deg)))
    fx, fy, cx, cy = view.camera.params
    back = view.pose.apply(other.places(*places))
    with np.errstate(divide="ignore", invalid="ignore"):
        off_x = fx * back[:, 0] / back[:, 2] + cx - (pixels[1][hits] + 0.5)
        off_y = fy * back[:, 1] / back[:, 2] + cy - (pixels[0][hits] + 0.5)
    near = np.hypot(off_x, off_y) <= config.max_reprojection_error_px
    same[hits] = turned & near & (back[:, 2] > 0)
    return same, (at.rows, at.columns)
