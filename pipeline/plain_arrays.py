"""Reading `.arrays` files without numpy: as raw rows, to be passed on or looked at one by one.

The layout is that of `pipeline.array_files`. Rows are read where they lie, so that a few of them
cost nothing of the many; the checksum, which is of the whole, is not looked at.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PREFIX = struct.Struct("<8sII")
_MAGIC = b"BFARRAY1"
_LONGEST_HEADER = 1 << 20
# numpy's names of little-endian numbers, and those of `memoryview.cast`.
_CODES = {"|u1": "B", "<u4": "I", "<f4": "f", "<i8": "q", "<f8": "d"}


class NoArrays(ValueError):
    """A file is not one of arrays, or lacks what is looked for."""


class PlainArrays:
    """An open file of arrays: use it in a `with` block. Raises OSError and `NoArrays`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            self._entries, self._start = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array."""
        return self._entry(name)[1]

    def is_of(self, name: str, dtype: str, columns: int | None = None) -> bool:
        """Whether an array is of that kind; columns: of its second and last dimension."""
        found, shape, _ = self._entry(name)
        return found == dtype and shape[1:] == (() if columns is None else (columns,))

    def rows(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """The bytes of some rows of an array, all of them otherwise."""
        dtype, shape, offset = self._entry(name)
        count = shape[0] if shape else 1
        last = count if last is None else last
        if not 0 <= first <= last <= count:
            raise NoArrays(f"{self._path}: {name} has {count} rows, not {first} to {last}")
        width = math.prod(shape[1:]) * struct.calcsize(_CODES[dtype])
        self._file.seek(self._start + offset + first * width)
        data = self._file.read((last - first) * width)
        if len(data) != (last - first) * width:
            raise NoArrays(f"{self._path} ends within {name}")
        return data

    def numbers(self, name: str, first: int = 0, last: int | None = None) -> Sequence[Any]:
        """The numbers of some rows, one after the other."""
        data = memoryview(self.rows(name, first, last))
        return data.cast(_CODES[self._entry(name)[0]])  # type: ignore[no-any-return, call-overload]

    def texts(self, name: str) -> list[str]:
        """What `array_files.strings_as_array` has made of texts."""
        try:
            return [str(text) for text in json.loads(self.rows(name))]
        except (ValueError, TypeError) as error:
            raise NoArrays(f"{self._path}: {name} holds no texts") from error

    def _entry(self, name: str) -> tuple[str, tuple[int, ...], int]:
        try:
            dtype, shape, offset = self._entries[name]
            entry = (str(dtype), tuple(int(length) for length in shape), int(offset))
        except (KeyError, TypeError, ValueError) as error:
            raise NoArrays(f"{self._path} has no {name}") from error
        if entry[0] not in _CODES or min((*entry[1], entry[2])) < 0:
            raise NoArrays(f"{self._path}: {name} is of another kind")
        return entry

    def _read_header(self) -> tuple[dict[str, Any], int]:
        prefix = self._file.read(_PREFIX.size)
        if len(prefix) < _PREFIX.size:
            raise NoArrays(f"{self._path} ends after {len(prefix)} bytes")
        magic, length, _ = _PREFIX.unpack(prefix)
        if magic != _MAGIC or length > _LONGEST_HEADER:
            raise NoArrays(f"{self._path} holds no arrays")
        try:
            entries = json.loads(self._file.read(length))
        except ValueError as error:
            raise NoArrays(f"{self._path} has a damaged header") from error
        if not isinstance(entries, dict):
            raise NoArrays(f"{self._path} has a damaged header")
        return entries, _PREFIX.size + length
