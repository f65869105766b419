"""A small reader of OBJ files, written from their documentation and not from our writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def obj_mesh(path: Path) -> dict[str, Any]:
    """The lines of an OBJ file by their keyword; faces as (F, 3, ...) numbers, 0 where left out."""
    found: dict[str, Any] = {"v": [], "vt": [], "vn": [], "f": []}
    for line in path.read_text().splitlines():
        key, *fields = line.split()
        if key == "f":
            found["f"].append([[int(n or 0) for n in field.split("/")] for field in fields])
        elif key in found:
            found[key].append([float(field) for field in fields])
        elif key != "#":
            found[key] = fields
    return {
        key: np.array(rows) if key in ("v", "vt", "vn", "f") else rows
        for key, rows in found.items()
    }
