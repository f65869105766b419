"""Depth maps of a ball on a floor become one cloud; what only one map says is no part of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.dense.depth_views import MeshView, MeshViews
from pipeline.dense.fusion import Fusion, fuse
from pipeline.mesh_config import MeshConfig
from tests.dense.ball_world import BallMaps, ball_maps, off_surface


def fused(maps: BallMaps, **config: Any) -> Fusion:
    work = fuse(MeshViews(maps), MeshConfig(**config))
    while True:
        try:
            next(work)
        except StopIteration as end:
            fusion: Fusion = end.value
            return fusion


def test_the_cloud_is_on_the_surface_with_its_normals_and_colours() -> None:
    fusion = fused(ball_maps(noise=0.002, holes=0.1))
    cloud = fusion.fused.cloud
    assert cloud.normals is not None and cloud.rgb is not None
    off = off_surface(cloud.xyz.astype(np.float64))
    assert 0.0005 < np.mean(off) < 0.005 and np.quantile(off, 0.99) < 0.03
    assert 20_000 < len(cloud.xyz) < 120_000
    on_ball = np.linalg.norm(cloud.xyz, axis=1) < 1.05
    assert (
        np.sum(cloud.xyz * cloud.normals, axis=1)[on_ball & (cloud.xyz[:, 1] < 0.9)] > 0.9
    ).all()
    assert (cloud.normals[~on_ball & (cloud.xyz[:, 1] > 0.95), 1] < -0.99).all()
    assert np.median(cloud.rgb[on_ball & (cloud.xyz[:, 1] < 0.8), 0]) == 200


def test_visibility_tells_the_views_that_agree() -> None:
    maps = ball_maps()
    fusion = fused(maps, min_views=2).fused
    counts = np.diff(fusion.starts)
    assert counts.min() == 2 and 3.0 < counts.mean() <= 8.0
    views = [MeshView(view, maps[n]) for n, view in enumerate(maps.views)]
    for point in np.random.default_rng(0).choice(len(counts), 50):
        images = fusion.images[fusion.starts[point] : fusion.starts[point + 1]]
        assert (np.diff(images.astype(int)) > 0).all()
        place = fusion.cloud.xyz[point : point + 1].astype(np.float64)
        assert all(views[n].project(place).inside[0] for n in images)


def test_what_one_map_alone_says_is_no_part() -> None:
    maps = ball_maps()
    lie = maps.maps[0].depth.copy()
    lie[60:120, 80:160] *= 0.7
    maps.maps[0] = replace(maps.maps[0], depth=lie)
    fusion = fused(maps, min_views=2)
    assert not fusion.agreed[0][60:120, 80:160].any()
    assert np.quantile(off_surface(fusion.fused.cloud.xyz.astype(np.float64)), 0.999) < 0.05
    alone = fused(maps, min_views=1)
    assert np.mean(off_surface(alone.fused.cloud.xyz.astype(np.float64)) > 0.3) > 0.02


def test_normals_that_differ_are_another_surface() -> None:
    maps = ball_maps()
    maps.maps = [
        replace(found, normals=-found.normals) if n % 2 else found
        for n, found in enumerate(maps.maps)
    ]
    images = fused(maps, min_views=2).fused
    for start, end in zip(images.starts[:200], images.starts[1:201], strict=True):
        assert len({int(n) % 2 for n in images.images[start:end]}) == 1
    without = [replace(found, normals=np.zeros_like(found.normals)) for found in maps.maps]
    assert len(fused(BallMaps(maps.views, without)).fused.cloud.xyz) > 20_000


def test_nothing_comes_of_empty_maps_and_of_no_numbers() -> None:
    maps = ball_maps()
    empty = [replace(found, depth=np.zeros_like(found.depth)) for found in maps.maps]
    assert len(fused(BallMaps(maps.views, empty)).fused.cloud.xyz) == 0
    nan = [replace(found, depth=np.full_like(found.depth, np.nan)) for found in maps.maps]
    assert len(fused(BallMaps(maps.views, nan)).fused.cloud.xyz) == 0


def test_few_maps_in_memory_change_nothing(monkeypatch: Any) -> None:
    whole = fused(ball_maps()).fused
    monkeypatch.setattr("pipeline.dense.depth_views._MOST_BYTES", 1)
    again = fused(ball_maps()).fused
    np.testing.assert_array_equal(whole.cloud.xyz, again.cloud.xyz)
    np.testing.assert_array_equal(whole.images, again.images)
