"""What the kernel tells of free memory, from made-up files of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.available_memory import available_bytes

GIB = 2**30


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def kernel(tmp_path: Path) -> tuple[Path, Path]:
    """A machine with 8 GiB free and no cgroup: where processes and cgroups are told of."""
    proc, cgroups = tmp_path / "proc", tmp_path / "cgroup"
    write(proc / "meminfo", f"MemTotal: 99999999 kB\nMemAvailable: {8 * GIB // 1024} kB\n")
    return proc, cgroups


def test_without_a_cgroup_the_machine_counts(kernel: tuple[Path, Path]) -> None:
    assert available_bytes(*kernel) == 8 * GIB


def test_version_2_counts_every_group_above(kernel: tuple[Path, Path]) -> None:
    proc, cgroups = kernel
    write(proc / "self" / "cgroup", "0::/user/job\n")
    for group, limit, used in (("user", 4 * GIB, 3 * GIB), ("user/job", "max", GIB)):
        write(cgroups / group / "memory.max", f"{limit}\n")
        write(cgroups / group / "memory.current", f"{used}\n")
        write(cgroups / group / "memory.stat", f"anon 5\ninactive_file {GIB // 2}\n")
    assert available_bytes(*kernel) == GIB + GIB // 2
    write(cgroups / "user" / "memory.max", "max\n")
    assert available_bytes(*kernel) == 8 * GIB


def test_version_1_in_a_container(kernel: tuple[Path, Path]) -> None:
    """The container sees its own group as the root of the tree."""
    proc, cgroups = kernel
    write(proc / "self" / "cgroup", "4:cpu:/docker/x\n3:memory:/docker/x\n0::/\n")
    write(cgroups / "memory" / "memory.limit_in_bytes", f"{3 * GIB}\n")
    write(cgroups / "memory" / "memory.usage_in_bytes", f"{2 * GIB}\n")
    assert available_bytes(*kernel) == GIB


def test_a_group_above_its_limit_has_nothing_left(kernel: tuple[Path, Path]) -> None:
    proc, cgroups = kernel
    write(proc / "self" / "cgroup", "0::/job\n")
    write(cgroups / "job" / "memory.max", f"{GIB}\n")
    write(cgroups / "job" / "memory.current", f"{2 * GIB}\n")
    assert available_bytes(*kernel) == 0


def test_a_kernel_that_tells_nothing(tmp_path: Path) -> None:
    assert available_bytes(tmp_path, tmp_path) is None


def test_this_machine_has_some() -> None:
    free = available_bytes()
    assert free is not None and 2**24 < free < 2**50
