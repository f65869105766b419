"""Key frames: by motion and sharpness, and what is said without the video extra."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import UInt8s
from pipeline.photos.source import PhotoSource
from pipeline.photos.video import choose_frames, key_frames, write_frame
from tests.photos.pictures import IngestRunner, OpenControl

WIDTH, HEIGHT = 160, 120


def wall(width: int) -> UInt8s:
    """A long textured wall for a camera to pass."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (HEIGHT, width), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5))


def passing(frames: int, step_px: int) -> Iterator[UInt8s]:
    """A camera that moves past the wall by a step from frame to frame."""
    strip = np.asarray(cv2.normalize(wall(WIDTH + frames * step_px), None, 0, 255, cv2.NORM_MINMAX))
    for n in range(frames):
        yield np.ascontiguousarray(strip[:, n * step_px : n * step_px + WIDTH])


def test_stretches_follow_the_motion() -> None:
    """2 px a frame, 7 % of 160 px a stretch: one key frame for every six or so."""
    chosen = choose_frames(passing(60, 2), 100)
    assert 9 <= len(chosen) <= 11
    assert np.all(np.diff(chosen) > 0) and np.diff(chosen).max() <= 12


def test_faster_motion_gives_more_frames() -> None:
    slow, fast = len(choose_frames(passing(40, 1), 100)), len(choose_frames(passing(40, 4), 100))
    assert slow == pytest.approx(4, abs=1) and fast == pytest.approx(14, abs=2)


def test_a_camera_that_stands_still_gives_one_frame_noise_or_not() -> None:
    rng = np.random.default_rng(1)
    still = next(passing(1, 1)).astype(float)
    frames = [np.clip(still + rng.normal(0, 4, still.shape), 0, 255).astype(np.uint8)] * 3
    frames += [np.clip(still + rng.normal(0, 4, still.shape), 0, 255).astype(np.uint8)]
    assert len(choose_frames(frames * 10, 100)) == 1


def test_the_sharpest_frame_of_a_stretch_is_kept() -> None:
    frames = list(passing(60, 2))
    blurred = [
        frame if n % 3 == 1 else np.asarray(cv2.GaussianBlur(frame, (0, 0), 1.5))
        for n, frame in enumerate(frames)
    ]
    chosen = choose_frames(blurred, 100)
    assert 8 <= len(chosen) <= 12
    assert all(n % 3 == 1 for n in chosen)


def test_a_cut_to_another_place_begins_a_stretch() -> None:
    here = [next(passing(1, 1))] * 5
    there = [np.ascontiguousarray(here[0][::-1].T[:HEIGHT, :WIDTH])]
    there = [np.asarray(cv2.resize(there[0], (WIDTH, HEIGHT)))] * 5
    chosen = choose_frames([*here, *there], 100)
    assert len(chosen) == 2 and chosen[0] < 5 <= chosen[1]


def test_a_black_lead_in_gives_way_to_the_first_picture() -> None:
    black = [np.zeros((HEIGHT, WIDTH), np.uint8)] * 8
    chosen = choose_frames([*black, *passing(1, 1)], 100)
    assert chosen == [8]
    assert choose_frames(black, 100) == [0]
    assert choose_frames([], 100) == []


def test_no_more_than_max_frames_spread_over_the_whole() -> None:
    chosen = choose_frames(passing(120, 4), 5)
    assert len(chosen) == 5
    assert chosen[0] < 30 and chosen[-1] > 90 and np.all(np.diff(chosen) > 5)


def test_frames_are_written_under_their_number(tmp_path: Path) -> None:
    frame = np.dstack([next(passing(1, 1))] * 3)
    path = write_frame(tmp_path, 42, frame)
    assert path.name == "frame_000042.jpg"
    assert [p.name for p in tmp_path.iterdir()] == ["frame_000042.jpg"]
    read = cv2.imread(str(path))
    assert read is not None and read.shape == frame.shape
    assert np.abs(read.astype(float) - frame).mean() < 4


def test_without_pyav_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ingest: IngestRunner
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "walk.mp4").write_bytes(b"x")
    with pytest.raises(PipelineError) as caught:
        ingest(PhotoSource(tmp_path / "walk.mp4", frames_folder=tmp_path / "frames"))
    assert caught.value.hint == "pip install barfield[video]"


def test_a_video_needs_a_folder_for_its_frames(tmp_path: Path, control: OpenControl) -> None:
    (tmp_path / "walk.mp4").write_bytes(b"x")
    with pytest.raises(PipelineError, match=r"walk\.mp4"):
        next(key_frames(PhotoSource(tmp_path / "walk.mp4"), 10, control))


def test_a_synthetic_clip_end_to_end(tmp_path: Path, ingest: IngestRunner) -> None:
    av = pytest.importorskip("av", reason="needs the video extra")
    path = tmp_path / "walk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in passing(60, 2):
            picture = av.VideoFrame.from_ndarray(np.dstack([frame] * 3), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    result = ingest(PhotoSource(path, frames_folder=tmp_path / "frames"), max_frames=6)
    assert len(result.names) == 6 and result.names[0].startswith("frame_0000")
    assert {(photo.width, photo.height) for photo in result.photos.photos} == {(WIDTH, HEIGHT)}
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PipelineError, match=r"walk\.mp4"):
        ingest(PhotoSource(path, frames_folder=tmp_path / "frames"))
