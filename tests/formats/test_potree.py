"""Octrees: every point in exactly one node, inside its cube, and no cell of a grid twice."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.potree import BITS, Rules, morton, write_potree
from tests.formats.octrees import Node, read_octree

SMALL = Rules(leaf_points=20, grid_bits=2, part_points=60)


def numbered(count: int) -> np.ndarray:
    """Colours that number their points."""
    numbers = np.arange(count)
    return np.column_stack([numbers & 255, numbers >> 8 & 255, numbers >> 16]).astype(np.uint8)


def check(xyz: np.ndarray, rules: Rules) -> list[Node]:
    """Write and read an octree; assert all that must hold of any."""
    with tempfile.TemporaryDirectory() as name:
        write_potree(Path(name), xyz, numbered(len(xyz)), rules)
        about, nodes = read_octree(Path(name))
    low, high = (np.array(about["boundingBox"][end]) for end in ("min", "max"))
    size = high[0] - low[0]
    assert about["points"] == len(xyz) == sum(len(node.records) for node in nodes)
    assert len(set((high - low).tolist())) == 1 or np.allclose(high - low, size, rtol=1e-6)
    seen = []
    for node in nodes:
        colours = node.records["rgb"]
        assert not (colours % 257).any()
        numbers = (colours // 257).astype(np.int64) @ [1, 256, 65536]
        seen += numbers.tolist()
        steps = node.records["xyz"].astype(np.int64)
        assert (steps >> (BITS - node.level) == node.cell).all()
        found = steps * np.array(about["scale"]) + np.array(about["offset"])
        away = np.abs(found - xyz[numbers])
        assert (away <= 0.51 * about["scale"][0] + 1e-12 * np.abs(xyz).max(initial=0)).all()
        if node.children and node.level < rules.deepest:
            cells = steps >> (BITS - node.level - rules.grid_bits)
            assert len(np.unique(cells, axis=0)) == len(cells)  # a sample, not a heap
        assert node.children == 0 or len(node.records)
    assert sorted(seen) == list(range(len(xyz)))
    return nodes


@st.composite
def clouds(draw: st.DrawFn) -> np.ndarray:
    """Points that lie everywhere, on a surface, in heaps, or all in one place."""
    count = draw(st.integers(0, 400))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["all", "surface", "heaps", "one", "line"]))
    xyz = rng.uniform(-1.0, 1.0, (count, 3))
    if kind == "surface":
        xyz[:, 2] = np.sin(3 * xyz[:, 0])
    elif kind == "heaps":
        xyz = np.round(xyz) + 1e-4 * xyz
    elif kind == "one":
        xyz[:] = xyz[:1]
    elif kind == "line":
        xyz[:, 1:] = 0.0
    scale = draw(st.sampled_from([1e-3, 1.0, 1e4]))
    shift = draw(st.sampled_from([0.0, -5.0, 1e5]))
    cloud: np.ndarray = scale * xyz + shift
    return cloud.astype(draw(st.sampled_from([np.float32, np.float64])))


@settings(derandomize=True, deadline=None, max_examples=120)
@given(
    xyz=clouds(),
    leaf=st.integers(1, 60),
    grid=st.integers(1, 4),
    part=st.sampled_from([1, 30, 1000]),
)
def test_every_point_is_in_exactly_one_node(
    xyz: np.ndarray, leaf: int, grid: int, part: int
) -> None:
    check(xyz, Rules(leaf, grid, part))


def test_parts_give_the_tree_that_the_whole_gives() -> None:
    xyz = np.random.default_rng(5).normal(size=(3000, 3))
    whole = check(xyz, Rules(20, 2, 10**6))
    parts = check(xyz, Rules(20, 2, 100))
    assert len(whole) == len(parts) > 100
    for one, other in zip(whole, parts, strict=True):
        assert (one.level, one.cell, one.children) == (other.level, other.cell, other.children)
        assert one.records.tobytes() == other.records.tobytes()


def test_more_detail_lies_deeper() -> None:
    rng = np.random.default_rng(6)
    xyz = np.column_stack([rng.uniform(-1, 1, (100_000, 2)), np.zeros(100_000)])
    nodes = check(xyz, Rules(leaf_points=2000, grid_bits=5))
    root = nodes[0]
    assert len(root.records) == 32 * 32 and root.children in (0b01010101, 0b10101010)
    assert max(node.level for node in nodes) >= 3
    shown = root.records["xyz"][:, :2] / 2.0**BITS
    counts, _, _ = np.histogram2d(shown[:, 0], shown[:, 1], 8, ((0, 1), (0, 1)))
    assert (counts == 16).all()  # even


def test_many_points_in_one_place_end_at_the_deepest_level() -> None:
    xyz = np.zeros((500, 3))
    xyz[1] = 1.0
    nodes = check(xyz, SMALL)
    assert max(node.level for node in nodes) == SMALL.deepest
    assert len(nodes[-1].records) > 400


def test_codes_take_their_bits_in_turn() -> None:
    steps = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [2**BITS - 1] * 3], np.int32)
    assert morton(steps).tolist() == [4, 2, 1, 32, 2**63 - 1]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_point_that_is_nowhere_is_refused(tmp_path: Path, wrong: float) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        write_potree(tmp_path, np.array([[0.0, 0.0, 0.0], [1.0, wrong, 0.0]]), numbered(2))


def test_metadata_are_as_other_readers_want_them(tmp_path: Path) -> None:
    write_potree(tmp_path, np.random.default_rng(0).normal(size=(50, 3)), numbered(50))
    about, nodes = read_octree(tmp_path)
    assert about["version"] == "2.0" and about["encoding"] == "DEFAULT" and len(nodes) == 1
    assert [(a["name"], a["size"], a["type"]) for a in about["attributes"]] == [
        ("position", 12, "int32"),
        ("rgb", 6, "uint16"),
    ]
    size = about["boundingBox"]["max"][0] - about["boundingBox"]["min"][0]
    assert about["spacing"] == pytest.approx(size / 128)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "hierarchy.bin",
        "metadata.json",
        "octree.bin",
    ]
