"""How the machine is doing: processors, memory, disk, and GPU where there is one."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.available_memory import available_bytes
from pipeline.machine import usable_cores

_GIB = 2**30


@dataclass(frozen=True)
class SystemSample:
    """cpu: share of all cores in use, 0 to 1; cores: that a process may use. memory in bytes; disk:
    bytes left where the run is. gpu: share in use, None where there is no GPU or no
    nvidia-ml-py."""

    cpu: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    disk_left: int | None = None
    gpu: float | None = None
    gpu_memory_used: int | None = None
    gpu_memory_total: int | None = None
    cores: int = 1

    def in_words(self) -> list[str]:
        """One short part for each thing that is known."""
        parts = []
        if self.cpu is not None:
            parts.append(f"CPU {self.cpu:.0%} of {self.cores}")
        if self.memory_used is not None and self.memory_total is not None:
            parts.append(f"memory {_gib(self.memory_used)}/{_gib(self.memory_total)} GiB")
        if self.gpu is not None:
            parts.append(f"GPU {self.gpu:.0%}")
        if self.gpu_memory_used is not None and self.gpu_memory_total is not None:
            parts.append(f"{_gib(self.gpu_memory_used)}/{_gib(self.gpu_memory_total)} GiB")
        if self.disk_left is not None:
            parts.append(f"disk {_gib(self.disk_left)} GiB left")
        return parts


def _gib(size: int) -> str:
    amount = size / _GIB
    return f"{amount:.0f}" if amount >= 100 else f"{amount:.1f}"


class SystemReader:
    """Reads samples; call it in a thread, since a network disk or a GPU may take its time.

    root: the run directory.
    """

    def __init__(self, root: Path, proc: Path = Path("/proc")) -> None:
        self._root = root
        self._proc = proc
        self._before: tuple[int, int] | None = None
        self._gpu = _open_gpu()

    def read(self) -> SystemSample:
        """How it is now. The first sample has no `cpu`, which is a difference."""
        total = self._memory_total()
        free = available_bytes()
        gpu = {} if self._gpu is None else _read_gpu(self._gpu)
        return SystemSample(
            cpu=self._cpu(),
            memory_used=None if total is None or free is None else max(0, total - free),
            memory_total=total,
            disk_left=self._disk_left(),
            cores=usable_cores(),
            **gpu,
        )

    def _cpu(self) -> float | None:
        try:
            fields = (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:9]
            ticks = [int(field) for field in fields]
        except (OSError, ValueError):
            return None
        idle = sum(ticks[3:5])
        now = sum(ticks), idle
        before, self._before = self._before, now
        if before is None or now[0] <= before[0]:
            return None
        return max(0.0, min(1.0, 1 - (now[1] - before[1]) / (now[0] - before[0])))

    def _memory_total(self) -> int | None:
        try:
            for line in (self._proc / "meminfo").read_text().splitlines():
                if line.startswith("MemTotal:"):
                    return int(line.split()[1]) * 1024
        except (OSError, ValueError):
            pass
        return None

    def _disk_left(self) -> int | None:
        try:
            return shutil.disk_usage(os.fspath(self._root)).free
        except OSError:
            return None


def _open_gpu() -> tuple[Any, Any] | None:
    """The library and the first GPU; None without either. The library is optional."""
    try:
        nvml = import_module("pynvml")
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByIndex(0)
    except ImportError:
        return None
    except Exception:  # its errors have a base that only the library itself knows
        return None


def _read_gpu(opened: tuple[Any, Any]) -> dict[str, Any]:
    nvml, device = opened
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(device)
        share = nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
    except nvml.NVMLError:
        return {}
    return {
        "gpu": float(share),
        "gpu_memory_used": int(memory.used),
        "gpu_memory_total": int(memory.total),
    }
