"""Textures from photographs: labels, packing, and colours that come back."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pipeline.dense.atlas import make_texture, neighbours_across_edges, pack, smooth_labels
from pipeline.dense.depth_views import MeshViews
from pipeline.formats.triangle_mesh import Texture
from pipeline.geometry.arrays import Float64s
from tests.dense.ball_world import ball_maps
from tests.dense.test_surfaces import ball


def test_triangles_across_an_edge_are_neighbours() -> None:
    _, faces = ball(300)
    graph = neighbours_across_edges(faces)
    np.testing.assert_array_equal(np.diff(graph.indptr), 3)
    first = set(faces[0].tolist())
    assert all(len(first & set(faces[f].tolist())) == 2 for f in graph[[0]].indices)


def test_labels_become_the_same_where_photographs_are_nearly_as_good() -> None:
    _, faces = ball(600)
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.9, 1.0, (len(faces), 3)).astype(np.float32)
    scores[:50] = 0.0
    graph = neighbours_across_edges(faces)
    labels = smooth_labels(scores, graph)
    assert (labels[:50] == -1).all() and (labels[50:] >= 0).all()
    rows, columns = graph.tocoo().row, graph.tocoo().col
    before = np.mean(scores.argmax(axis=1)[rows] == scores.argmax(axis=1)[columns])
    assert before < 0.4 and np.mean(labels[rows] == labels[columns]) > 0.7
    clear = scores.copy()
    clear[50:] = (0.1, 1.0, 0.1)
    assert (smooth_labels(clear, graph)[50:] == 1).all()


def test_rectangles_are_packed_without_overlap() -> None:
    sizes = np.random.default_rng(1).integers(3, 60, (300, 2))
    width, places, height = pack(sizes)
    taken = np.zeros((height, width), np.int64)
    for (x, y), (w, h) in zip(places.tolist(), sizes.tolist(), strict=True):
        assert x + w <= width and y + h <= height
        taken[y : y + h, x : x + w] += 1
    assert taken.max() == 1 and taken.mean() > 0.75


def textured(most_px: int) -> tuple[Texture, Float64s, Float64s]:
    """A texture of the ball, its picture, and the colours at the middles of its triangles."""
    xyz, faces = ball(1500)
    rgb = np.tile(np.array([[200, 40, 40]], np.uint8), (len(xyz), 1))
    work = make_texture(MeshViews(ball_maps(noise=0.0)), xyz, faces, rgb, 0.02, most_px)
    while True:
        try:
            next(work)
        except StopIteration as end:
            texture: Texture = end.value
            break
    picture = np.asarray(Image.open(io.BytesIO(texture.image))).astype(np.float64)
    middles = texture.uv[texture.faces].mean(axis=1) * picture.shape[1::-1]
    colours = picture[middles[:, 1].astype(int), middles[:, 0].astype(int)]
    return texture, picture, colours


def test_the_texture_has_the_colours_of_the_ball() -> None:
    texture, picture, colours = textured(4096)
    assert (np.abs(colours - (200, 40, 40)).max(axis=1) < 30).mean() > 0.98
    assert texture.uv.min() >= 0.0 and texture.uv.max() <= 1.0
    assert 100 < picture.shape[0] < 800


def test_a_texture_that_would_be_too_large_is_scaled_down() -> None:
    _, picture, colours = textured(100)
    assert max(picture.shape[:2]) <= 100
    assert (np.abs(colours - (200, 40, 40)).max(axis=1) < 60).mean() > 0.9
