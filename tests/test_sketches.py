"""Sketches: what they hold is bounded and readable, and when they are drawn."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import Preview
from pipeline.sketches import (
    MOST_BARS,
    MOST_SHARE,
    SECONDS_BETWEEN,
    SKETCHES,
    FeaturesSketch,
    SketchBook,
    decode_sketch,
    encode_sketch,
    in_parts,
    keypoints_sketch,
)


class PreviewFolder:
    """A control that only keeps previews, which takes `takes` seconds of its clock."""

    def __init__(self, takes: float = 0.0) -> None:
        self.files: dict[str, bytes] = {}
        self.now = 100.0
        self._takes = takes

    def keep_preview(self, name: str, picture: bytes) -> str:
        self.now += self._takes
        self.files[name] = picture
        return f"features/previews/{name}"

    def clock(self) -> float:
        return self.now


def sketch() -> FeaturesSketch:
    """Some photographs' keypoints; a name is no text, as file systems allow."""
    return keypoints_sketch(["a.jpg", "b\udcff.jpg", "c.jpg"], {0: 500, 1: 20, 2: 900})


def book_of(folder: PreviewFolder) -> SketchBook:
    """A sketch book over that folder."""
    return SketchBook(folder, folder.clock)  # type: ignore[arg-type]


def test_keypoints_of_photographs() -> None:
    drawn = sketch()
    assert (drawn.least, drawn.median, drawn.most, drawn.done) == (20, 500.0, 900, 3)
    assert drawn.weakest[0] == ("b\udcff.jpg", 20) and sum(drawn.spread.counts) == 3
    assert drawn.spread.counts[0] == 1 and drawn.spread.counts[-1] == 1
    none = keypoints_sketch(["a.jpg"], {})
    assert none.done == 0 and none.photographs == 1 and none.weakest == ()


def test_a_sketch_is_read_as_it_was_written() -> None:
    drawn = sketch()
    assert decode_sketch("features", encode_sketch(drawn)) == drawn
    later = {**json.loads(encode_sketch(drawn)), "more": 1}
    assert decode_sketch("features", json.dumps(later).encode()) == drawn


@pytest.mark.parametrize("stage", [*SKETCHES, "ingest"])
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b'{"photographs": NaN}', b"[" * 100_000]
)
def test_what_is_no_sketch_is_none(stage: str, data: bytes) -> None:
    assert decode_sketch(stage, data) is None


@given(counts=st.lists(st.integers(0, 10**6), max_size=2000))
def test_many_photographs_make_no_larger_sketch(counts: list[int]) -> None:
    names = [f"{i}.jpg" for i in range(len(counts))]
    drawn = keypoints_sketch(names, dict(enumerate(counts)))
    assert len(drawn.per_photograph) == min(len(counts), MOST_BARS)
    assert sum(drawn.spread.counts) == len(counts) and len(drawn.weakest) <= 20
    assert len(encode_sketch(drawn)) < 8000


def test_parts_keep_the_mean() -> None:
    assert in_parts([1, 2, 3]) == (1.0, 2.0, 3.0)
    assert in_parts(list(range(1000)), 4) == (124.5, 374.5, 624.5, 874.5)


def test_a_book_draws_once_a_second_and_at_the_end() -> None:
    folder = PreviewFolder()
    book = book_of(folder)
    assert list(book.draw(1, sketch)) == [Preview("features/previews/00000001.json", step=1)]
    folder.now += SECONDS_BETWEEN / 2
    assert list(book.draw(2, sketch)) == []
    assert [told.step for told in book.draw(2, sketch, last=True)] == [2]
    folder.now += SECONDS_BETWEEN
    assert [told.step for told in book.draw(3, sketch)] == [3]
    assert sorted(folder.files) == ["00000001.json", "00000002.json", "00000003.json"]


def test_a_slow_disk_has_fewer_of_them() -> None:
    folder = PreviewFolder(takes=0.1)
    book = book_of(folder)
    begin = folder.now
    for step in range(100_000):
        folder.now += 0.05
        list(book.draw(step, sketch))
    spent = 0.1 * len(folder.files)
    assert len(folder.files) > 2 and spent <= MOST_SHARE * (folder.now - begin) + 0.1


def test_without_a_run_directory_nothing_is_told() -> None:
    folder = PreviewFolder()
    folder.keep_preview = lambda name, picture: ""  # type: ignore[method-assign]
    assert list(book_of(folder).draw(1, sketch)) == []
