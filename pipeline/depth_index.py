"""Depth maps of a run for people who look at its photographs; without numpy (see `browsing`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.formats.bundle import Buffer, pack
from pipeline.hashing import content_key
from pipeline.manifest import StageEntry

STAGE = "depth"
_FORMAT = 1


def depth_version(stages: Mapping[str, StageEntry]) -> str | None:
    """Another word whenever the depth maps may be others; None where the stage is not finished."""
    entry = stages.get(STAGE)
    return None if entry is None else content_key(_FORMAT, entry.ingredients.fingerprint)[:12]


def depth_file(root: Path, name: str) -> Path:
    """Where the depth map of a photograph lies, if it has one: as `colmap_dense.map_path` says."""
    return root / STAGE / "stereo" / "depth_maps" / f"{name}.geometric.bin"


def has_depth(root: Path, name: str) -> bool:
    """Whether a photograph has a depth map."""
    try:
        return depth_file(root, name).is_file()
    except OSError:  # the name is too long for one more ending
        return False


def depth_container(path: Path) -> bytes:
    """A depth map as a container: `depth` (H, W), along the camera's axis, 0 where none is known.

    Raises OSError, and ValueError for a file that is no depth map.
    """
    width, height, channels, depths = path.read_bytes().split(b"&", 3)
    shape = int(height), int(width)
    if int(channels) != 1 or len(depths) != 4 * shape[0] * shape[1]:
        raise ValueError(f"{path.name} is no depth map")
    return pack("depth", {}, [Buffer("depth", "f32", shape, depths)])
