"""A texture for a mesh, cut from the photographs themselves.

After Waechter, Moehrle and Goesele, "Let there be color! Large-scale texturing of 3D
reconstructions", ECCV 2014: every triangle takes its colours from one photograph, triangles side by
side from the same one where they can; parts with one photograph become charts of a texture, moved
as they are; charts are levelled to the colours that all photographs together give their vertices,
so that seams do not show.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pipeline.dense.depth_views import MeshView, MeshViews
from pipeline.dense.surfaces import face_normals
from pipeline.formats.triangle_mesh import Texture
from pipeline.geometry.arrays import Float32s, Float64s, Int64s, UInt8s

_SMOOTHING = 8  # rounds in which triangles ask their neighbours
_AGREEMENT = 0.5  # of the best view's score, for each neighbour with the same photograph
_PADDING = 2  # pixels around a chart
_UNSEEN = -1


@dataclass(frozen=True, eq=False)
class _Chart:
    """Triangles that one photograph colours, or none (view -1). corners: (F, 3, 2) pixels there."""

    view: int
    faces: Int64s
    corners: Float64s
    low: Int64s
    size: Int64s


def make_texture(
    views: MeshViews, xyz: Float64s, faces: Int64s, rgb: UInt8s, share: float, most_px: int
) -> Generator[int, None, Texture]:
    """The texture of a mesh; yields the number of each view before it is used, twice for each.

    rgb: (V, 3) colours of the vertices, for levelling and for what no photograph sees. share: of a
    depth, within which a view sees a place. most_px: of a side; photographs are taken at a smaller
    scale where the texture would be larger.
    """
    scores = yield from _scores(views, xyz, faces, share)
    labels = smooth_labels(scores, neighbours_across_edges(faces))
    charts = _charts(views, xyz, faces, labels)
    scale = 1.0
    while True:
        sizes = np.array([np.ceil(chart.size * scale) for chart in charts]).astype(np.int64)
        width, places, height = pack(sizes + 2 * _PADDING + 1)
        if max(width, height) <= most_px:
            break
        scale *= 0.98 * most_px / max(width, height)
    image = np.zeros((height, width, 3), np.uint8)
    corners = np.zeros((len(faces), 3, 2))
    by_view: dict[int, list[int]] = {}
    for c, chart in enumerate(charts):
        by_view.setdefault(chart.view, []).append(c)
    for n in sorted(by_view):
        yield max(n, 0)
        for c in by_view[n]:
            chart, place = charts[c], places[c] + _PADDING
            corners[chart.faces] = (chart.corners - chart.low) * scale + place
            wanted = rgb[faces[chart.faces]].astype(np.float64)
            if n == _UNSEEN:
                block = np.broadcast_to(
                    wanted.mean(axis=(0, 1)), (*(sizes[c][::-1] + 1 + 2 * _PADDING), 3)
                )
                _paste(image, np.rint(block).astype(np.uint8), place)
            else:
                block = _levelled(views[n], chart, sizes[c] + 1, scale, wanted)
                _paste(image, block, place)
    uv = (corners / (width, height)).reshape(-1, 2).astype(np.float32)
    return Texture(_png(image), uv, np.arange(3 * len(faces)).reshape(-1, 3))


def neighbours_across_edges(faces: Int64s) -> csr_array:
    """(F, F) of ones: which triangles share an edge."""
    a, b = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2), axis=2).reshape(-1, 2).T
    edges = a * (int(faces.max(initial=0)) + 1) + b
    order = np.argsort(edges, kind="stable")
    same = np.flatnonzero(edges[order][1:] == edges[order][:-1])
    first, second = order[same] // 3, order[same + 1] // 3
    both = np.concatenate([first, second]), np.concatenate([second, first])
    graph = csr_array((np.ones(len(both[0])), both), (len(faces), len(faces)))
    graph.sum_duplicates()
    return graph


def smooth_labels(scores: Float32s, graph: csr_array) -> Int64s:
    """(F,) the photograph of each triangle, -1 for none: the best one at first (scores: (F, V), 0
    where it is not seen), then again and again the one that is good and that neighbours have."""
    seen = scores.max(axis=1, initial=0.0) > 0
    labels = np.where(seen, scores.argmax(axis=1) if scores.shape[1] else 0, _UNSEEN)
    best = np.maximum(scores.max(axis=1, initial=0.0), 1e-30)[:, None]
    good = scores / best
    faces = np.arange(len(labels))
    for turn in range(2 * _SMOOTHING):
        having = csr_array(
            (np.ones(int(seen.sum())), (faces[seen], labels[seen])), scores.shape, dtype=np.float32
        )
        votes = (graph @ having).toarray()
        wanted = np.where(good > 0, good + _AGREEMENT * votes, -1.0).argmax(axis=1)
        # Half of them at a time: two neighbours would else change places for ever.
        moving = seen & (faces % 2 == turn % 2)
        if not np.any(labels[moving] != wanted[moving]) and turn:
            break
        labels = np.where(moving, wanted, labels)
    return np.asarray(labels, np.int64)


def pack(sizes: Int64s) -> tuple[int, Int64s, int]:
    """Lay rectangles (N, 2: width, height) side by side on shelves of a nearly square picture, the
    tallest first. Result: its width, the places (N, 2), its height."""
    order = np.argsort(-sizes[:, 1], kind="stable")
    area = float(np.sum(sizes[:, 0] * sizes[:, 1]))
    width = int(max(np.ceil(np.sqrt(area) * 1.05), sizes[:, 0].max()))
    places = np.zeros_like(sizes)
    x = y = shelf = 0
    for c in order.tolist():
        w, h = sizes[c].tolist()
        if x + w > width:
            x, y, shelf = 0, y + shelf, 0
        places[c] = x, y
        x, shelf = x + w, max(shelf, h)
    return width, places, y + shelf


def _scores(
    views: MeshViews, xyz: Float64s, faces: Int64s, share: float
) -> Generator[int, None, Float32s]:
    """(F, V) how large each triangle is in each photograph, in pixels; 0 where one of its corners
    is not seen or it is seen from behind."""
    scores = np.zeros((len(faces), len(views)), np.float32)
    normals = face_normals(xyz, faces)
    middles = xyz[faces].mean(axis=1)
    for n in range(len(views)):
        yield n
        view = views[n]
        seen = view.sees(xyz, share)[0]
        whole = np.flatnonzero(seen[faces].all(axis=1))
        away = view.pose.center - middles[whole]
        squares = np.sum(away * away, axis=1)
        facing = np.einsum("fa,fa->f", normals[whole], away) / np.sqrt(squares)
        scores[whole, n] = np.maximum(facing, 0.0) * view.camera.focal_px**2 / (2.0 * squares)
    return scores


def _charts(views: MeshViews, xyz: Float64s, faces: Int64s, labels: Int64s) -> list[_Chart]:
    graph = neighbours_across_edges(faces).tocoo()
    same = labels[graph.row] == labels[graph.col]
    kept = csr_array(
        (np.ones(int(same.sum())), (graph.row[same], graph.col[same])), (len(faces), len(faces))
    )
    count, parts = connected_components(kept, directed=False)
    order = np.argsort(parts, kind="stable")
    bounds = np.searchsorted(parts[order], np.arange(count + 1))
    pixels: dict[int, Float64s] = {}
    for n in np.unique(labels).tolist():
        if n != _UNSEEN:
            pixels[n] = _pixels(views[n], xyz)
    charts = []
    for c in range(count):
        mine = order[bounds[c] : bounds[c + 1]]
        n = int(labels[mine[0]])
        unseen = n == _UNSEEN
        corners = np.full((len(mine), 3, 2), 0.5) if unseen else pixels[n][faces[mine]]
        low = np.floor(corners.min(axis=(0, 1))).astype(np.int64)
        size = np.ceil(corners.max(axis=(0, 1))).astype(np.int64) - low
        charts.append(_Chart(n, mine, corners, low, np.maximum(size, 1)))
    return charts


def _pixels(view: MeshView, xyz: Float64s) -> Float64s:
    """(V, 2) where places lie in a view, whether it sees them or not."""
    fx, fy, cx, cy = view.camera.params
    x, y, z = view.pose.apply(xyz).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.column_stack([fx * x / z + cx, fy * y / z + cy])


def _levelled(
    view: MeshView, chart: _Chart, size: Int64s, scale: float, wanted: Float64s
) -> UInt8s:
    """A piece of a photograph with a margin, (h, w, 3): its colours moved by a plane over the
    chart, so that those at the corners become, on the whole, those that are wanted (F, 3, 3)."""
    height, width = view.depth.shape
    x = np.arange(-_PADDING, size[0] + _PADDING)
    y = np.arange(-_PADDING, size[1] + _PADDING)
    columns = (x + 0.5) / scale + chart.low[0] - 0.5
    rows = (y + 0.5) / scale + chart.low[1] - 0.5
    piece = _bilinear(view.rgb, rows, columns)
    at = np.clip(chart.corners.reshape(-1, 2), 0, (width - 1, height - 1)).astype(np.int64)
    there = view.rgb[at[:, 1], at[:, 0]].astype(np.float64)
    offset = wanted.reshape(-1, 3) - there
    points = chart.corners.reshape(-1, 2) - chart.low
    basis = np.column_stack([np.ones(len(points)), points / np.maximum(chart.size, 1) - 0.5])
    ridge = 0.1 * len(points) * np.diag([1e-6, 1.0, 1.0])
    plane = np.linalg.solve(basis.T @ basis + ridge, basis.T @ offset)
    gx = (columns + 0.5 - chart.low[0]) / max(chart.size[0], 1) - 0.5
    gy = (rows + 0.5 - chart.low[1]) / max(chart.size[1], 1) - 0.5
    moved = piece + plane[0] + gx[None, :, None] * plane[1] + gy[:, None, None] * plane[2]
    return np.asarray(np.clip(np.rint(moved), 0, 255), np.uint8)


def _bilinear(picture: UInt8s, rows: Float64s, columns: Float64s) -> Float64s:
    """Colours (h, w, 3) of a picture at rows (h,) and columns (w,), 0 the middle of the first."""
    height, width = picture.shape[:2]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = picture[np.ix_(top, left)] * (1 - across) + picture[np.ix_(top, right)] * across
    lower = picture[np.ix_(bottom, left)] * (1 - across) + picture[np.ix_(bottom, right)] * across
    return np.asarray(upper * (1 - down) + lower * down)


def _paste(image: UInt8s, block: UInt8s, place: Int64s) -> None:
    """Lay a block with its margin so that its first pixel within it is at a place."""
    x, y = (place - _PADDING).tolist()
    part = image[y : y + block.shape[0], x : x + block.shape[1]]
    part[...] = block[: part.shape[0], : part.shape[1]]


def _png(image: UInt8s) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()
