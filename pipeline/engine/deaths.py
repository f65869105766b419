"""Words for how a worker process ended, and what to try; the last lines of a log."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from pipeline.available_memory import what_to_lower

LOG_LINES = 30
_TAIL_BYTES = 64 * 2**10
_MOST_CHARACTERS = 400
_CGROUPS = Path("/sys/fs/cgroup")
_NEAR_LIMIT = 0.8
_GOES_ON = "it goes on from its last checkpoint or item"
_WORDS = {
    signal.SIGSEGV: "crashed in native code (segmentation fault)",
    signal.SIGABRT: "was aborted by a library (SIGABRT)",
    signal.SIGBUS: "crashed on a memory-mapped file (SIGBUS)",
    signal.SIGILL: "met an instruction that this processor does not have (SIGILL)",
    signal.SIGFPE: "crashed in arithmetic (SIGFPE)",
    signal.SIGTERM: "was ended from outside (SIGTERM)",
    signal.SIGXCPU: "used up its limit of processor time (SIGXCPU)",
    signal.SIGXFSZ: "met the limit of file sizes (SIGXFSZ)",
}
_HINTS = {
    signal.SIGBUS: "Look for a full disk or file system error, then retry",
    signal.SIGILL: "Install builds of numpy, OpenCV and numba that fit this processor, then retry",
    signal.SIGTERM: "If nobody here did so, a batch scheduler or the system's shutdown did. Retry",
    signal.SIGXCPU: "Raise the limit (ulimit -t), then retry",
    signal.SIGXFSZ: "Raise the limit (ulimit -f), then retry",
}
# Sequences of terminals: CSI (colours, cursor), OSC (titles, links), two-character ones.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Death:
    """How a process ended, in words (`why`), and what to try (`hint`)."""

    why: str
    hint: str


class MemoryWatch:
    """Tells whether the system killed processes for want of memory since it was made."""

    def __init__(self) -> None:
        self._before = _kills_for_memory()

    def killed(self) -> bool:
        """Whether the counter of such kills has grown, of our control group or of the host."""
        now = _kills_for_memory()
        return any(now[name] > count for name, count in self._before.items() if name in now)


def describe_death(
    returncode: int, peak_rss_mb: float, killed_for_memory: bool, stage: str = ""
) -> Death:
    """Words for the end of a worker in the middle of its stage.

    returncode: as of subprocess, negative for a signal. peak_rss_mb: the most memory it used.
    killed_for_memory: as `MemoryWatch` says. stage: whose parameters are to be named.
    """
    if returncode >= 0:
        return Death(
            f"its process ended with exit code {returncode} before the stage was done",
            f"Retry: {_GOES_ON}. If it fails again, report it with the log.",
        )
    number = -returncode
    if number == signal.SIGKILL:
        return _killed(peak_rss_mb, killed_for_memory, what_to_lower(stage))
    try:
        known = signal.Signals(number)
    except ValueError:
        return Death(f"its process ended by signal {number}", f"Retry: {_GOES_ON}.")
    words = _WORDS.get(known, f"was ended by the signal {known.name}")
    first = _HINTS.get(known)
    if first is not None:
        return Death(f"its process {words}", f"{first}: {_GOES_ON}.")
    again = "If it fails again, report it with the log."
    return Death(f"its process {words}", f"Retry: {_GOES_ON}. {again}")


def last_lines(path: Path, count: int, start: int = 0) -> list[str]:
    """The last lines of a log, as plain text; [] where there is none.

    start: nothing before this byte counts. Of a line that was written over with carriage returns
    only the last state is kept; escapes of terminals and control characters are removed.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < start:  # it was cut meanwhile
                start = 0
            begin = max(start, size - _TAIL_BYTES)
            file.seek(begin)
            lines = file.read(_TAIL_BYTES).decode(errors="replace").split("\n")
    except OSError:
        return []
    if begin > start and len(lines) > 1:
        lines = lines[1:]  # the first one is only the end of a line
    plain = [text for text in map(plain_line, lines) if text]
    return plain[-count:] if count > 0 else []


def plain_line(line: str) -> str:
    """A line as it would stand on a terminal in the end, without colours."""
    without = _ESCAPES.sub("", line).rstrip()
    return _CONTROLS.sub("", without.rpartition("\r")[2])[:_MOST_CHARACTERS]


def _killed(peak_rss_mb: float, killed_for_memory: bool, needs: str) -> Death:
    limit_mb = _memory_limit_mb()
    used = f"it used up to {peak_rss_mb:.0f} of {limit_mb:.0f} MB"
    hint = (
        f"Lower {needs}, use fewer cores (taskset -c 0-3 barfield run ...) or a machine with more "
        f"memory, then retry: {_GOES_ON}."
    )
    if killed_for_memory:
        return Death(f"the system killed its process for want of memory; {used}", hint)
    if peak_rss_mb > _NEAR_LIMIT * limit_mb:
        return Death(f"its process was killed, probably for want of memory: {used}", hint)
    return Death(
        f"its process was killed (SIGKILL), by hand or by the system; {used}",
        f"Retry: {_GOES_ON}. If it is killed again at the same place, it lacks memory: lower "
        f"{needs}.",
    )


def _kills_for_memory() -> dict[str, int]:
    """Counters of processes that were killed for want of memory, by the file that tells them."""
    counts = {}
    for path in _own_groups("memory.events", "memory.oom_control"):
        count = _field(path, "oom_kill")
        if count is not None:
            counts[str(path)] = count
    if not counts:  # without control groups: those of the whole host
        host = _field(Path("/proc/vmstat"), "oom_kill")
        counts["host"] = host or 0
    return counts


def _memory_limit_mb() -> float:
    """What this process may use: the host's memory or its control group's limit."""
    total_kb = _field(Path("/proc/meminfo"), "MemTotal:") or 0
    limits = [total_kb * 1024]
    for path in _own_groups("memory.max", "memory.limit_in_bytes"):
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # no limit: "max"
            continue
    return min(limits) / 2**20


def _own_groups(unified: str, separate: str) -> list[Path]:
    """Where this process's control groups tell something of memory: version 2 (one tree) and 1."""
    try:
        entries = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for entry in entries:
        _, controllers, group = entry.split(":", 2)
        if not controllers:
            candidates = [_CGROUPS / group.lstrip("/") / unified, _CGROUPS / unified]
        elif "memory" in controllers.split(","):
            tree = _CGROUPS / "memory"  # in a container the group itself is the root of the tree
            candidates = [tree / group.lstrip("/") / separate, tree / separate]
        else:
            continue
        found += [path for path in candidates if path.exists()][:1]
    return found


def _field(path: Path, name: str) -> int | None:
    """The number after a name in a file of such lines."""
    try:
        for line in path.read_text().splitlines():
            if line.split()[:1] == [name]:
                return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
