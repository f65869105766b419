"""Files of arrays: what was written comes back, and anything else is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.array_files import DamagedFile, encode_arrays, read_arrays

HEADER_SIZE = slice(8, 12)


@pytest.mark.parametrize("change", [*(1 << bit for bit in range(32)), 64 * 3, 0x01010101])
def test_a_wrong_length_of_the_header_is_noticed(tmp_path: Path, change: int) -> None:
    """It is not part of the checksum, and the header is padded with what JSON skips."""
    path = tmp_path / "a.arrays"
    blanks = np.full(1000, ord(" "), np.uint8)  # JSON would skip these, too
    content = b"".join(encode_arrays({"blanks": blanks, "none": np.zeros((0, 2))}))
    path.write_bytes(content)
    assert read_arrays(path)["blanks"].tobytes() == blanks.tobytes()
    wrong = int.from_bytes(content[HEADER_SIZE], "little") ^ change
    path.write_bytes(content[:8] + wrong.to_bytes(4, "little") + content[12:])
    with pytest.raises(DamagedFile):
        read_arrays(path)
