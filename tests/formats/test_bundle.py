"""The container for browsers: read as it was written, aligned; nothing else is taken for one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.bundle import ALIGN, ITEM_BYTES, Buffer, head, pack, read_head, unpack

FIELDS = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name not in ("kind", "buffers")),
    st.none() | st.integers(-(2**40), 2**40) | st.text(max_size=20) | st.floats(-1e9, 1e9),
    max_size=4,
)


@st.composite
def buffers(draw: st.DrawFn) -> Buffer:
    dtype = draw(st.sampled_from(sorted(ITEM_BYTES)))
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=3)))
    size = math.prod(shape) * ITEM_BYTES[dtype]
    return Buffer(
        draw(st.text(max_size=8)), dtype, shape, draw(st.binary(min_size=size, max_size=size))
    )


@settings(derandomize=True, deadline=None, max_examples=80)
@given(fields=FIELDS, parts=st.lists(buffers(), max_size=4, unique_by=lambda b: b.name))
def test_a_container_is_read_as_it_was_written(fields: dict[str, Any], parts: list[Buffer]) -> None:
    data = pack("points", fields, parts)
    header, start = read_head(data)
    assert start % ALIGN == 0 and len(data) % ALIGN == 0
    assert header["kind"] == "points" and fields.items() <= header.items()
    told, found = unpack(data)
    assert told == header and list(found) == [part.name for part in parts]
    for part, entry in zip(parts, header["buffers"], strict=True):
        assert entry["offset"] % ALIGN == 0 and entry["bytes"] == part.size
        assert (entry["dtype"], tuple(entry["shape"])) == (part.dtype, part.shape)
        assert bytes(found[part.name]) == part.data
    assert data.startswith(head("points", fields, parts))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(part=buffers(), data=st.data())
def test_a_part_of_a_container_is_refused(part: Buffer, data: st.DataObject) -> None:
    whole = pack("scene", {"n": 1}, [part])
    needed = len(whole) - (-part.size % ALIGN)
    cut = data.draw(st.integers(0, needed - 1))
    with pytest.raises(ValueError, match=r"."):
        unpack(whole[:cut])


@pytest.mark.parametrize(
    "data", [b"", b"BFB1", b"BFB2\x08\0\0\0[]      ", b"BFB1\x08\0\0\0[]      "]
)
def test_what_is_no_container_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(data)


def test_numbers_that_do_not_fill_their_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="a: 3 bytes, 4 expected"):
        Buffer("a", "u16", (2,), b"abc")
    with pytest.raises(ValueError, match="Out of range"):
        pack("frame", {"x": math.nan}, [])
