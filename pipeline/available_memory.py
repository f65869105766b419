"""How much memory this process may still take, and which parameters decide how much it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
# What decides how much memory a stage needs; of all others it is the number of keypoints.
_NEEDS = {
    "features": "features.max_size_px or features.max_keypoints",
    "draft": "draft.max_points",
    "radiance": "radiance.rays or radiance.size_px",
    "depth": "depth.size_px",
    "mesh": "depth.size_px or mesh.texture_px",
    "planar": "planar.pixels",
}
_SHARE = 0.8  # of what is free; the rest is for the stage itself and for the other programs


def available_bytes(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Bytes that can be had without swapping or meeting the cgroup's limit; None: cannot be told.

    proc, cgroups: where the kernel tells.
    """
    rooms = [*_free_on_machine(proc), *_rooms_in_cgroups(proc, cgroups)]
    return max(0, min(rooms)) if rooms else None


def how_many_fit(bytes_each: float, free: int | None) -> int | None:
    """How many pieces of work of that size may go on at a time, at least one; None for any number.

    free: what `available_bytes` says.
    """
    return None if free is None else max(1, int(_SHARE * free / bytes_each))


def what_to_lower(stage: str) -> str:
    """The parameters that decide how much memory a stage needs, in words."""
    return _NEEDS.get(stage, _NEEDS["features"])


def _free_on_machine(proc: Path) -> Iterator[int]:
    for name, value in _fields(proc / "meminfo").items():
        if name == "MemAvailable:":
            yield 1024 * value


def _rooms_in_cgroups(proc: Path, cgroups: Path) -> Iterator[int]:
    """What is left in the group of this process and in every group above it, version 1 and 2."""
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, group = line.split(":", 2)
        if not controllers:
            tree, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            tree = cgroups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = Path(group.lstrip("/"))
        for place in (folder, *folder.parents):
            yield from _room_in(tree / place, *names)


def _room_in(group: Path, limit: str, usage: str, inactive: str) -> Iterator[int]:
    """Limit less usage; file pages that are not in use count as free, as the kernel drops them."""
    most, used = (_lines(group / name) for name in (limit, usage))
    if most and used and most[0].isdecimal():  # version 2 says "max" for no limit
        yield int(most[0]) - int(used[0]) + _fields(group / "memory.stat").get(inactive, 0)


def _fields(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    words = [line.split() for line in _lines(path)]
    return {entry[0]: int(entry[1]) for entry in words if len(entry) > 1 and entry[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where there is no such file: a kernel tells what it can."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
