"""Files of arrays, read without numpy: the same as with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.array_files import encode_arrays, strings_as_array
from pipeline.plain_arrays import NoArrays, PlainArrays

ARRAYS: dict[str, np.ndarray] = {
    "numbers": np.arange(12, dtype=np.int64).reshape(6, 2) - 3,
    "shares": np.linspace(-1.0, 1.0, 9).reshape(3, 3),
    "few": np.arange(8, dtype=np.float32).reshape(2, 4),
    "rows": np.arange(10, dtype=np.uint32).reshape(5, 2),
    "bits": np.arange(7, dtype=np.uint8),
    "none": np.zeros((0, 2), np.uint32),
    "words": strings_as_array(["", "a \u20ac", "b"]),
    "halves": np.zeros(3, np.float16),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.arrays"
    path.write_bytes(b"".join(encode_arrays(ARRAYS)))
    return path


def test_rows_and_numbers_are_those_of_numpy(path: Path) -> None:
    with PlainArrays(path) as arrays:
        for name in ("numbers", "shares", "few", "rows", "bits", "none"):
            array = ARRAYS[name]
            assert arrays.shape(name) == array.shape
            assert arrays.rows(name) == array.tobytes()
            assert list(arrays.numbers(name)) == array.reshape(-1).tolist()
            for first in range(len(array)):
                assert arrays.rows(name, first, first + 1) == array[first].tobytes()
        assert arrays.texts("words") == ["", "a \u20ac", "b"]
        assert arrays.is_of("few", "<f4", 4) and not arrays.is_of("few", "<f4", 3)
        assert arrays.is_of("bits", "|u1") and not arrays.is_of("bits", "<u4")


def test_what_is_not_there_is_refused(path: Path) -> None:
    with PlainArrays(path) as arrays:
        for wrong in ("missing", "halves"):
            with pytest.raises(NoArrays, match=wrong):
                arrays.rows(wrong)
        for first, last in ((0, 7), (-1, 2), (3, 2)):
            with pytest.raises(NoArrays, match="6 rows"):
                arrays.rows("numbers", first, last)
        with pytest.raises(NoArrays, match="no texts"):
            arrays.texts("shares")


def read_all(path: Path) -> None:
    with PlainArrays(path) as arrays:
        for name in set(ARRAYS) - {"halves"}:
            arrays.rows(name)


@pytest.mark.parametrize("cut", [0, 10, 30, -300])
def test_a_file_that_is_not_whole_is_refused(path: Path, cut: int) -> None:
    read_all(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(NoArrays):
        read_all(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for content in (b"\xff\xd8\xff\xe0" * 9, b"BFARRAY1" + b"\xff" * 8, b"BFARRAY1\2\0\0\0....[]"):
        (tmp_path / "y").write_bytes(content)
        with pytest.raises(NoArrays):
            PlainArrays(tmp_path / "y")
