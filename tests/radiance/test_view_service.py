"""Views between the steps of a training: who is served, in which order, and for how long."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.radiance.pictures import Picture
from pipeline.radiance.view_service import ViewService
from pipeline.view_desk import LiveDesk
from pipeline.view_requests import LEVELS, Level, ViewFrame, ViewRequest

CHUNKS = {8: 1, 4: 2, 2: 4, 1: 8}
CHUNK_S = 0.01


def request(viewer: str = "a", seq: int = 1, **fields: Any) -> ViewRequest:
    rows = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
    return ViewRequest.model_validate(
        {
            "viewer": viewer,
            "seq": seq,
            "width": 64,
            "height": 32,
            "cam_from_world": rows,
            "fov_y_deg": 50.0,
            **fields,
        }
    )


@dataclass
class Stand:
    """A service with a clock that only moves in chunks and steps, and a renderer that counts."""

    now: float = 0.0
    frames: list[ViewFrame] = field(default_factory=list)
    chunks: list[tuple[str, int, int]] = field(default_factory=list)
    trouble: dict[int, Exception] = field(default_factory=dict)
    acknowledging: bool = True

    def __post_init__(self) -> None:
        self.desk = LiveDesk(self.take)
        self.service = ViewService(self.desk, self.render, lambda: self.now)

    def take(self, frame: ViewFrame) -> None:
        self.frames.append(frame)
        if self.acknowledging:
            self.desk.acknowledge(frame.header.viewer)

    def render(self, asked: ViewRequest) -> Iterator[Picture | None]:
        for level in (level for level in LEVELS if asked.coarsest >= level >= asked.finest):
            for chunk in range(CHUNKS[level]):
                self.now += CHUNK_S
                self.chunks.append((asked.viewer, asked.seq, level))
                if asked.seq in self.trouble:
                    raise self.trouble[asked.seq]
                if chunk + 1 < CHUNKS[level]:
                    yield None
            yield picture(level, level == asked.finest)

    def step(self, seconds: float, share: float, number: int = 0) -> int:
        self.now += seconds
        return self.service.serve(share, number)

    def finish(self) -> None:
        """Render all that is asked for."""
        while self.service.serve_chunk():
            pass

    def seen(self) -> list[tuple[str, int, int]]:
        return [(f.header.viewer, f.header.seq, f.header.level) for f in self.frames]


def picture(level: Level, final: bool) -> Picture:
    shape = (32 // level, 64 // level)
    depth = np.full(shape, 2.5, np.float32)
    depth[0, 0] = np.nan
    rgb = np.full((*shape, 3), 10 * level, np.uint8)
    return Picture(rgb, depth, np.ones(shape, np.float32), level, final)


def test_pictures_get_finer_and_each_is_whole() -> None:
    stand = Stand()
    stand.desk.ask(request(depth=True))
    stand.step(1.0, 0.3, number=77)
    stand.finish()
    assert stand.seen() == [("a", 1, level) for level in LEVELS]
    assert [f.header.final for f in stand.frames] == [False, False, False, True]
    for frame in stand.frames:
        header = frame.header
        assert (header.width, header.height) == (64 // header.level, 32 // header.level)
        assert header.step == 77
        assert header.render_s == pytest.approx(sum(
            CHUNK_S * CHUNKS[level] for level in LEVELS if level >= header.level
        ))  # fmt: skip
        with Image.open(io.BytesIO(frame.picture)) as image:
            assert image.size == (header.width, header.height)
            assert np.abs(np.array(image).astype(int) - 10 * header.level).max() < 4
        depth = np.frombuffer(frame.depth, "<f2").reshape(header.depth_height, header.depth_width)
        assert depth[0, 0] == 0.0 and depth[-1, -1] == 2.5


def test_depths_are_few_and_only_sent_where_they_are_wanted() -> None:
    stand = Stand()
    large = Picture(
        np.zeros((800, 900, 3), np.uint8),
        np.ones((800, 900), np.float32),
        np.ones((800, 900), np.float32),
        1,
        True,
    )
    service = ViewService(stand.desk, lambda asked: iter([large]))
    for seq, depth in ((1, True), (2, False)):
        stand.desk.ask(request(seq=seq, depth=depth))
        assert service.serve_chunk()
    few, none = (frame.header for frame in stand.frames)
    assert 4000 < few.depth_width * few.depth_height <= 160 * 90
    assert few.depth_width / few.depth_height == pytest.approx(900 / 800, rel=0.05)
    assert (none.depth_width, stand.frames[1].depth) == (0, b"")


def test_the_newest_camera_wins_but_a_first_coarse_picture_is_finished() -> None:
    stand = Stand()
    stand.desk.ask(request(seq=1, coarsest=4))
    assert stand.service.serve_chunk()  # the first of two chunks of the coarsest level
    for seq in (2, 3):
        stand.desk.ask(request(seq=seq, coarsest=4))
    assert stand.service.serve_chunk() and stand.service.serve_chunk()
    assert stand.chunks == [("a", 1, 4), ("a", 1, 4), ("a", 3, 4)]  # 2 was never begun
    stand.finish()
    # Now in the middle of a finer level, which is dropped.
    stand.desk.ask(request(seq=4))
    stand.service.serve_chunk()
    stand.service.serve_chunk()
    stand.desk.ask(request(seq=5))
    stand.finish()
    assert stand.seen() == [
        ("a", 1, 4), ("a", 3, 4), ("a", 3, 2), ("a", 3, 1), ("a", 4, 8),
        *(("a", 5, level) for level in LEVELS),
    ]  # fmt: skip


def test_of_several_viewers_the_one_with_the_coarsest_picture_is_next() -> None:
    stand = Stand()
    stand.desk.ask(request("a"))
    for _ in range(2):
        stand.service.serve_chunk()
    stand.desk.ask(request("b"))
    stand.finish()
    # b sees something at once; then both get finer in turn.
    assert stand.seen()[:4] == [("a", 1, 8), ("b", 1, 8), ("a", 1, 4), ("b", 1, 4)]
    assert len(stand.seen()) == 8


@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_rendering_takes_its_share_of_the_time_and_no_more(share: float) -> None:
    stand = Stand()
    steps, step_s = 400, 0.02
    for number in range(steps):
        stand.desk.ask(request(seq=number + 1))  # a camera that never rests
        stand.step(step_s, share, number)
    allowed = steps * step_s * share / (1 - share) / CHUNK_S
    # At first it may use what it has saved up, and at any time end a chunk that it has begun.
    assert 0.95 * allowed - 1 <= len(stand.chunks) <= allowed + 21


def test_a_share_of_nothing_renders_nothing_and_nobody_costs_nothing() -> None:
    stand = Stand()
    stand.desk.ask(request())
    assert sum(stand.step(1.0, 0.0) for _ in range(20)) == 0
    assert stand.chunks == []
    stand.desk.leave("a")
    assert stand.step(1.0, 0.5) == 0
    stand.desk.ask(request())
    assert 0 < stand.step(100.0, 0.5) <= 21  # a long quiet time does not pay for a long rendering


def test_a_slow_reader_costs_nothing_and_goes_on_where_it_was() -> None:
    stand = Stand(acknowledging=False)
    stand.desk.ask(request())
    stand.finish()
    assert stand.seen() == [("a", 1, 8), ("a", 1, 4)]
    for _ in range(10):
        assert stand.step(1.0, 0.5) == 0
    stand.desk.ask(request("b"))
    stand.step(1.0, 0.5)
    assert ("b", 1, 8) in stand.seen()  # others are served
    stand.desk.leave("b")
    stand.desk.acknowledge("a")
    stand.finish()
    assert stand.seen()[-1] == ("a", 1, 2)
    assert stand.chunks.count(("a", 1, 8)) == CHUNKS[8]  # nothing was rendered twice


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by nought"), PipelineError("No", "by nought"), MemoryError()]
)
def test_a_view_that_fails_is_told_and_training_goes_on(error: Exception) -> None:
    stand = Stand(trouble={2: error})
    stand.desk.ask(request("a", seq=2))
    stand.desk.ask(request("b", seq=1))
    for _ in range(50):
        stand.step(1.0, 0.5)
    told = [frame for frame in stand.frames if frame.header.error]
    assert [(f.header.viewer, f.header.seq, f.picture) for f in told] == [("a", 2, b"")]
    assert type(error).__name__ in told[0].header.error or "by nought" in told[0].header.error
    assert stand.chunks.count(("a", 2, 8)) == 1  # it is not tried again and again
    assert stand.seen()[-1] == ("b", 1, 1)
    stand.desk.ask(request("a", seq=3))
    stand.finish()
    assert stand.seen()[-1] == ("a", 3, 1)


def test_a_viewer_that_leaves_is_forgotten() -> None:
    stand = Stand()
    stand.desk.ask(request())
    stand.service.serve_chunk()
    stand.desk.leave("a")
    assert not stand.service.serve_chunk()
    stand.desk.ask(request())  # a new viewer of that name may begin with the same number
    stand.finish()
    assert stand.seen()[-1] == ("a", 1, 1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fov_y_deg": None}, "either"),
        ({"intrinsics": (50, 50, 32, 16)}, "either"),
        ({"fov_y_deg": None, "intrinsics": (-50, 50, 32, 16)}, "positive"),
        ({"fov_y_deg": float("nan")}, "finite"),
        ({"width": 5000}, "4096"),
        ({"coarsest": 2, "finest": 4}, "finer"),
        ({"coarsest": 3}, "coarsest"),
        ({"cam_from_world": ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, -1, 0))}, "rotation"),
        ({"cam_from_world": ((2, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))}, "rotation"),
        ({"cam_from_world": ((1, 0, 0), (0, 1, 0), (0, 0, 1))}, "cam_from_world"),
        ({"zoom": 2}, "zoom"),
    ],
)
def test_impossible_requests_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        request(**fields)
