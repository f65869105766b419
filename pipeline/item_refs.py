"""Items and files as a task names them.

A task that may be carried out in another process, or on another machine, holds these names in place
of megabytes: whoever hands the task over sees to it that they can be read where it arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from pipeline.products import ItemStore


@dataclass(frozen=True, eq=False)
class ItemRef:
    """An item of a store by its name there: kind and content key."""

    store: ItemStore
    kind: str
    key: str

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The item's arrays, to read only. Raises KeyError as `ItemStore.get`."""
        return self.store.get(self.kind, self.key)


@dataclass(frozen=True)
class FileRef:
    """A file of the user. data: its bytes if they were brought along; else they are at `path`."""

    path: Path
    data: bytes | None = None

    def read_bytes(self) -> bytes:
        """The file's bytes. Raises OSError where it cannot be read."""
        return self.path.read_bytes() if self.data is None else self.data
