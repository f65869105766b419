"""What goes wrong for reasons the user can mend."""

from __future__ import annotations


class PipelineError(Exception):
    """A broken environment or input.

    title: a few words. message: what happened, naming the file or key. hint: what to do about it.
    """

    def __init__(self, title: str, message: str, hint: str = "") -> None:
        super().__init__(f"{title}: {message}")
        self.title = title
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[PipelineError], tuple[str, str, str]]:
        # Exceptions are pickled by their message alone; workers hand this one over whole.
        return type(self), (self.title, self.message, self.hint)


class DiskFull(PipelineError):
    """The disk, or the user's share of it, has no room left; with room, the same write works."""


class Stopped(Exception):
    """Raised by `Control.poll` when the user asked the run to stop; not an error."""
