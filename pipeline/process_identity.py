"""Which process it is, beyond its number: numbers are used again, and hosts have their own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.errors import PipelineError

_PROC = Path("/proc")
_DEAD_STATES = ("Z", "X")


class ProcessIdentity(BaseModel):
    """A process of some host, so that no later process is taken for it.

    start_time: clock ticks since the boot of the host. boot_id: of that boot.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def current(cls) -> ProcessIdentity:
        """This process. Raises PipelineError where the system does not tell."""
        identity = cls.of(os.getpid())
        if identity is None:
            raise PipelineError(
                "No process table",
                f"{_PROC}/{os.getpid()}/stat cannot be read.",
                f"barfield needs Linux with {_PROC} mounted.",
            )
        return identity

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The living process of that number on this host, or None."""
        start_time = _start_time(pid)
        if start_time is None:
            return None
        return cls(host=socket.gethostname(), pid=pid, start_time=start_time, boot_id=_boot_id())

    def alive(self) -> bool | None:
        """Whether it still runs. None if it is on another host: that cannot be told from here."""
        if self.host != socket.gethostname():
            return None
        return self == ProcessIdentity.of(self.pid)


def _start_time(pid: int) -> int | None:
    """Field 22 of proc_pid_stat(5); None for a process that is gone or only waits to be reaped."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may hold spaces and brackets.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in _DEAD_STATES else int(fields[18])


def _boot_id() -> str:
    path = _PROC / "sys/kernel/random/boot_id"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise PipelineError(
            "No boot id",
            f"{path} cannot be read: {error.strerror}.",
            f"barfield needs Linux with {_PROC} mounted.",
        ) from error
