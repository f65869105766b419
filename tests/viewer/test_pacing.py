"""How fast frames are sent, and in which quality, by a clock that the tests move."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pipeline.view_requests import FrameHeader, Level, ViewFrame
from tests.radiance.test_view_service import request
from viewer.pacing import LONGEST_TRANSFER_S, LOWEST_QUALITY, Pace, _share


@dataclass
class Link:
    """A viewer behind a link of so many bytes a second, with a round trip."""

    bytes_per_s: float
    trip_s: float = 0.01
    now: float = 0.0
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(lambda: self.now)

    def carry(self, size: int, width: int = 640, height: int = 360, level: Level = 1) -> None:
        """One frame there, and its acknowledgement back."""
        header = FrameHeader(viewer="", seq=1, width=width, height=height, level=level)
        self.pace.sent(ViewFrame(header, bytes(size)), 80)
        self.now += self.trip_s + size / self.bytes_per_s
        self.pace.acknowledged()


def test_a_fast_link_has_two_frames_underway_and_a_slow_one_has_one() -> None:
    for bytes_per_s, two in ((10e6, True), (100e3, False)):
        link = Link(bytes_per_s)
        assert link.pace.has_room()
        link.carry(30_000)
        link.pace.sent(ViewFrame(FrameHeader(viewer="", seq=2)), 80)
        assert link.pace.underway == 1 and link.pace.has_room() is two


def test_a_small_frame_may_follow_a_small_one_but_not_a_large_one() -> None:
    link = Link(625e3)
    link.carry(20_000)
    for size, room in ((20_000, True), (300_000, False)):
        link.pace.sent(ViewFrame(FrameHeader(viewer="", seq=2), bytes(size)), 80)
        assert link.pace.has_room() is room
        link.pace.forget()


def test_only_what_the_link_cannot_take_is_asked_for_in_lower_quality() -> None:
    asked = request(width=1920, height=1080, jpeg_quality=80)
    unknown = Link(1e6).pace.fitted(asked)  # nothing is measured yet
    assert 30 < unknown.jpeg_quality < 80
    assert Link(1e6).pace.fitted(half := request(width=960, height=540)) is half
    qualities = []
    for bytes_per_s in (100e3, 400e3, 1.2e6, 10e6):
        link = Link(bytes_per_s, trip_s=0.08)
        for _ in range(3):
            link.carry(1_500, 80, 45, 8)
            link.carry(25_000)  # 225 kB for the whole size
        qualities.append(link.pace.fitted(asked).jpeg_quality)
        small = asked.model_copy(update={"finest": 8})
        assert link.pace.fitted(small) is small
    assert qualities == sorted(qualities) and qualities[0] == LOWEST_QUALITY
    assert LOWEST_QUALITY < qualities[2] < 80
    low = asked.model_copy(update={"jpeg_quality": 10})
    assert link.pace.fitted(low) is low


def test_frames_that_follow_each_other_tell_how_fast_the_link_is() -> None:
    """The round trip is of no account then, and neither are acknowledgements at one blow."""
    asked = request(width=1600, height=900, jpeg_quality=80)
    for bytes_per_s in (625e3, 1.25e6, 12.5e6):
        link = Link(bytes_per_s, trip_s=0.08)
        link.carry(30_000)
        for size in (60_000, 60_000, 60_000, 2_000, 2_000):
            width, height = (905, 510) if size > 10_000 else (160, 90)
            header = FrameHeader(viewer="", seq=2, width=width, height=height)
            link.pace.sent(ViewFrame(header, bytes(size)), 80)
        link.now += link.trip_s
        for size in (60_000, 60_000, 60_000, 2_000, 2_000):
            link.now += 0.0 if size < 10_000 else size / bytes_per_s
            link.pace.acknowledged()
        assert link.pace._rate() == pytest.approx(bytes_per_s, rel=0.05)
        whole = 60_000 / 1.2 * (1600 * 900) / (905 * 510)  # at quality 75
        quality = link.pace.fitted(asked).jpeg_quality
        assert whole * _share(quality) / bytes_per_s < LONGEST_TRANSFER_S


def test_what_was_underway_at_a_rest_is_not_waited_for() -> None:
    link = Link(100e3)
    link.carry(50_000)
    link.pace.sent(ViewFrame(FrameHeader(viewer="", seq=2)), 80)
    assert not link.pace.has_room()
    link.pace.forget()
    assert link.pace.has_room() and link.pace.underway == 0
