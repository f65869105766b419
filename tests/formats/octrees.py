"""Reads a Potree octree as a viewer does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.formats.potree import INNER, LEAF, NODE, RECORD


@dataclass(frozen=True, eq=False)
class Node:
    """A node that was read. level, cell: which cube. records: its points."""

    level: int
    cell: tuple[int, int, int]
    children: int
    records: np.ndarray


def read_octree(folder: Path) -> tuple[dict[str, Any], list[Node]]:
    """Metadata and all nodes, from the root on, by the rules of the format."""
    about = json.loads((folder / "metadata.json").read_text())
    octree = (folder / "octree.bin").read_bytes()
    data = (folder / "hierarchy.bin").read_bytes()
    assert about["hierarchy"]["firstChunkSize"] == len(data) and len(data) % 22 == 0
    rows = np.frombuffer(data, NODE)
    waiting = [(0, (0, 0, 0))]
    nodes = []
    covered = 0
    for row in rows:
        level, cell = waiting.pop(0)
        assert row["size"] == row["points"] * RECORD.itemsize
        assert row["type"] == (INNER if row["children"] else LEAF)
        part = octree[row["offset"] : row["offset"] + row["size"]]
        nodes.append(Node(level, cell, int(row["children"]), np.frombuffer(part, RECORD)))
        covered += len(part)
        for octant in range(8):
            if row["children"] >> octant & 1:
                x, y, z = (
                    2 * c + (octant >> bit & 1) for c, bit in zip(cell, (2, 1, 0), strict=True)
                )
                waiting.append((level + 1, (x, y, z)))
    assert not waiting and covered == len(octree)
    return about, nodes
