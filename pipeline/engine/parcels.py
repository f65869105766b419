"""Tasks on their way to another process: pickled without the items and files that they name.

Whoever sends a parcel decides item by item whether the other side reads it from the run directory
or gets it handed. The other side imports nothing heavy before a parcel asks for it.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.item_refs import FileRef, ItemRef
from pipeline.thread_limits import thread_limits
from pipeline.version import VERSION

if TYPE_CHECKING:
    import numpy as np

Ref = ItemRef | FileRef
Content = Any  # arrays by name for an item, bytes for a file, None for what is read where it lies


@dataclass(frozen=True)
class ItemName:
    """What is left of an `ItemRef` in a parcel."""

    kind: str
    key: str


@dataclass(frozen=True)
class Parcel:
    """A call, pickled; names of the items and paths of the files that it refers to, in order.

    root: run directory from which they are read unless they are handed. version: of the sender.
    """

    call: bytes
    names: tuple[ItemName | Path, ...]
    root: Path | None
    version: str = VERSION


class _HandedStore:
    """An `ItemStore` of the one item that was handed with a parcel."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)

    def has(self, kind: str, key: str) -> bool:
        return True

    def get(self, kind: str, key: str) -> dict[str, np.ndarray]:
        return self._arrays

    def put(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        raise ValueError(f"item {key} was handed to be read")


class _Packer(pickle.Pickler):
    """Leaves out refs, and keeps a list of them."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.refs: list[Ref] = []

    def persistent_id(self, obj: Any) -> int | None:
        if not isinstance(obj, ItemRef | FileRef):
            return None
        self.refs.append(obj)
        return len(self.refs) - 1


class _Unpacker(pickle.Unpickler):
    """Puts in what stands for the refs here."""

    def __init__(self, file: io.BytesIO, refs: Sequence[Ref]) -> None:
        super().__init__(file)
        self._refs = refs

    def persistent_load(self, pid: int) -> Ref:
        return self._refs[pid]


def pack(
    function: Callable[..., Any], args: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[bytes, list[Ref]]:
    """A call without what its arguments refer to, and the refs in order."""
    buffer = io.BytesIO()
    packer = _Packer(buffer)
    packer.dump((function, tuple(args), dict(keywords)))
    return buffer.getvalue(), packer.refs


def parcel_of(call: bytes, refs: Sequence[Ref], root: Path | None) -> Parcel:
    """The parcel of a packed call; root: where the other side reads items that are not handed."""
    names = [ItemName(ref.kind, ref.key) if isinstance(ref, ItemRef) else ref.path for ref in refs]
    return Parcel(call, tuple(names), root)


def is_read_there(ref: ItemRef, root: Path | None) -> bool:
    """Whether the other side finds the item in the run directory `root`, which it reads.

    Waits for an item that is about to be written. Raises PipelineError where the disk refuses it.
    """
    from pipeline.item_store import DiskStore

    if root is None or not isinstance(ref.store, DiskStore) or ref.store.root != root:
        return False
    ref.store.settle(ref.kind, ref.key)
    return True


def run_parcel(parcel: Parcel, *contents: Content) -> Any:
    """Carry out a parcel's call; contents: what was handed, one for each name.

    Raises what the call raises, and PipelineError where the sender is another version or the run
    directory cannot be read here.
    """
    if parcel.version != VERSION:
        raise PipelineError(
            "A cluster of another version",
            f"{_here()} has barfield {VERSION}, the run {parcel.version}.",
            "Install the same version everywhere.",
        )
    refs = [
        _ref_here(name, content, parcel.root)
        for name, content in zip(parcel.names, contents, strict=True)
    ]
    function, args, keywords = _Unpacker(io.BytesIO(parcel.call), refs).load()
    # Items run side by side, so the libraries' own threads would only get in their way.
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    return function(*args, **keywords)


def prepare_process() -> None:
    """Begin a spawned process: one thread for each library, and an end with its parent's."""
    os.environ.update(thread_limits(1))
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # nothing to save: results go to the parent


def _ref_here(name: ItemName | Path, content: Content, root: Path | None) -> Ref:
    if isinstance(name, Path):
        return FileRef(name, content)
    if content is not None:
        return ItemRef(_HandedStore(content), name.kind, name.key)
    if root is None or not root.is_dir():
        raise PipelineError(
            "The cluster does not see the run",
            f"{_here()} cannot read {root}.",
            "Put the run directory where all machines read it, or set cluster.shared_files=no.",
        )
    from pipeline.item_store import reader_of

    return ItemRef(reader_of(root), name.kind, name.key)


def _here() -> str:
    return f"Process {os.getpid()} on {os.uname().nodename}"
