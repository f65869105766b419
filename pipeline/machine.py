"""What of the machine this process, or another one, uses."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def peak_rss_mb() -> float:
    """Most memory that this process, or a child of it that has ended, has used, in megabytes."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return round(max(resource.getrusage(who).ru_maxrss for who in whose) / 1024, 1)


def peak_rss_mb_of(pid: int) -> float:
    """Most memory that another process has used, in megabytes; 0 for one that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
