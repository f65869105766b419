"""One file of named arrays, uncompressed, with a checksum: what items and indices are kept in.

Layout: eight bytes of magic; uint32 length of the header and uint32 CRC-32 of all that follows; the
header, JSON ``{name: [dtype, shape, offset]}`` padded with spaces; the arrays, little-endian and
C-contiguous, each at a multiple of 64 bytes from the start of the file.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.geometry.arrays import UInt8s

SUFFIX = ".arrays"
_MAGIC = b"BFARRAY1"
_PREFIX = struct.Struct("<8sII")
_ALIGN = 64


class DamagedFile(ValueError):
    """The file is short, or its content is not what was written."""


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> list[bytes | memoryview]:
    """The chunks of a file that holds the arrays. Raises ValueError for arrays of objects."""
    entries: dict[str, tuple[str, tuple[int, ...], int]] = {}
    payload: list[bytes | memoryview] = []
    position = 0
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"array {name} holds Python objects")
        stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        entries[name] = (stored.dtype.str, array.shape, position)
        payload.append(stored.reshape(-1).view(np.uint8).data)
        gap = -stored.nbytes % _ALIGN
        payload.append(bytes(gap))
        position += stored.nbytes + gap
    header = json.dumps(entries).encode()
    header += b" " * (-(len(header) + _PREFIX.size) % _ALIGN)
    crc = zlib.crc32(header)
    for chunk in payload:
        crc = zlib.crc32(chunk, crc)
    return [_PREFIX.pack(_MAGIC, len(header), crc), header, *payload]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, by name.

    Raises FileNotFoundError, other OSErrors, and DamagedFile where the checksum disagrees.
    """
    with path.open("rb") as file:
        data = bytearray(path.stat().st_size)
        size = file.readinto(data)
    if size < _PREFIX.size:
        raise DamagedFile(f"{path} ends after {size} bytes")
    magic, header_size, crc = _PREFIX.unpack_from(data)
    content = memoryview(data)[_PREFIX.size : size]
    if magic != _MAGIC or zlib.crc32(content) != crc:
        raise DamagedFile(f"{path} is not what was written")
    start = end = _PREFIX.size + header_size
    arrays = {}
    try:
        for name, (dtype, shape, offset) in json.loads(bytes(content[:header_size])).items():
            count = int(np.prod(shape, dtype=np.int64))
            kind = np.dtype(dtype)
            flat = np.frombuffer(data, kind, count, start + offset) if count else np.zeros(0, kind)
            arrays[name] = flat.reshape(shape)
            end += flat.nbytes + -flat.nbytes % _ALIGN
    except ValueError as error:
        raise DamagedFile(f"{path} is not what was written: {error}") from error
    if end != size:  # the length of the header is not part of the checksum
        raise DamagedFile(f"{path} is not what was written")
    return arrays


def strings_as_array(texts: Sequence[str]) -> UInt8s:
    """Any texts as one uint8 array (JSON), for storage beside other arrays."""
    return np.frombuffer(json.dumps(list(texts)).encode(), np.uint8)


def strings_from_array(array: UInt8s) -> tuple[str, ...]:
    """Inverse of :func:`strings_as_array`."""
    return tuple(json.loads(array.tobytes()))


def read_named_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some of the arrays of a file that may hold many more bytes than these, by name.

    Without the checksum, which is of the whole: for what is only looked at. Raises as
    `read_arrays`, and DamagedFile where a name is missing.
    """
    arrays = {}
    with path.open("rb") as file:
        prefix = file.read(_PREFIX.size)
        if len(prefix) < _PREFIX.size:
            raise DamagedFile(f"{path} ends after {len(prefix)} bytes")
        magic, header_size, _ = _PREFIX.unpack(prefix)
        size = path.stat().st_size
        if magic != _MAGIC or header_size > size:
            raise DamagedFile(f"{path} is not what was written")
        try:
            entries = json.loads(file.read(header_size))
            for name in names:
                dtype, shape, offset = entries[name]
                kind = np.dtype(dtype)
                length = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
                if not 0 <= length <= size:
                    raise ValueError(f"{name} has {length} bytes")
                file.seek(_PREFIX.size + header_size + offset)
                arrays[name] = np.frombuffer(file.read(length), kind).reshape(shape)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFile(f"{path} is not what was written: {error!r}") from error
    return arrays
