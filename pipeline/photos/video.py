"""Key frames of a video: the sharpest frame of every stretch in which the picture moved enough."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.atomic_files import write_bytes
from pipeline.errors import PipelineError
from pipeline.events import Progress, Record
from pipeline.geometry.arrays import Float32s, UInt8s
from pipeline.photos.source import PhotoSource
from pipeline.stage import Control

MOVED = 0.07  # of the picture's width, from one stretch to the next
REDUCED_WIDTH_PX = 320
FRAME_QUALITY = 95
_MAX_CORNERS = 200
_MIN_CORNERS = 8
_MAX_RETURN_ERROR_PX = 1.0
_LOST_SHARE = 0.4  # fewer corners than this share still followed: another view altogether


class FrameChooser:
    """Chooses key frames from reduced frames that are pushed one after the other.

    Corners of the first frame of a stretch are followed from frame to frame (Lucas and Kanade
    1981; Shi and Tomasi 1994); the stretch ends when their median displacement passes `moved`
    widths, or most are lost. Motion is measured from the first frame, so a camera that stands
    still, noise and all, stays in one stretch.
    """

    def __init__(self, moved: float = MOVED) -> None:
        self._moved = moved
        self._stretches: list[tuple[float, int]] = []  # best sharpness and its frame
        self._count = 0
        self._previous: UInt8s | None = None
        self._start: Float32s = np.zeros((0, 1, 2), np.float32)
        self._now: Float32s = self._start
        self._corners_at_start = 0

    def push(self, frame: UInt8s) -> None:
        """Take the next reduced frame, (h, w) uint8; all have one size."""
        if self._previous is None or self._moved_enough(self._previous, frame):
            self._stretches.append((-1.0, self._count))
            self._find_corners(frame)
        elif self._corners_at_start < _MIN_CORNERS:
            self._find_corners(frame)  # a black lead-in: nothing could be followed from there
        sharpness = float(cv2.Laplacian(frame, cv2.CV_32F).var())
        self._stretches[-1] = max(self._stretches[-1], (sharpness, self._count), key=lambda s: s[0])
        self._previous = frame
        self._count += 1

    def chosen(self, max_frames: int) -> list[int]:
        """Numbers of the key frames, ascending; with more than `max_frames` stretches, as many
        runs of neighbouring stretches give their sharpest frame each."""
        if len(self._stretches) <= max_frames:
            return [frame for _, frame in self._stretches]
        runs = np.array_split(np.arange(len(self._stretches)), max_frames)
        return [max(self._stretches[s] for s in run)[1] for run in runs]

    def _find_corners(self, frame: UInt8s) -> None:
        corners = cv2.goodFeaturesToTrack(frame, _MAX_CORNERS, 0.01, 7)
        self._start = np.zeros((0, 1, 2), np.float32) if corners is None else corners
        self._now = self._start
        self._corners_at_start = len(self._start)

    def _moved_enough(self, previous: UInt8s, frame: UInt8s) -> bool:
        if self._corners_at_start < _MIN_CORNERS:
            return False
        if len(self._now):
            now, found, _ = cv2.calcOpticalFlowPyrLK(previous, frame, self._now, None)
            back, returned, _ = cv2.calcOpticalFlowPyrLK(frame, previous, now, None)
            error_px = np.linalg.norm(back - self._now, axis=2).ravel()
            # At a cut the flow finds something too, but the way back leads elsewhere.
            followed = (found & returned).ravel().astype(bool) & (error_px < _MAX_RETURN_ERROR_PX)
            self._start, self._now = self._start[followed], now[followed]
        if len(self._now) < max(_MIN_CORNERS, _LOST_SHARE * self._corners_at_start):
            return True
        displacements = np.linalg.norm(self._now - self._start, axis=2)
        return bool(np.median(displacements) >= self._moved * frame.shape[1])


def choose_frames(frames: Iterable[UInt8s], max_frames: int, moved: float = MOVED) -> list[int]:
    """Numbers of the key frames in a sequence of reduced grey frames, (h, w) uint8, of one size.

    moved: share of the width that the picture moves from one key frame's stretch to the next. The
    list is ascending, at most `max_frames` long, and empty only for no frames.
    """
    chooser = FrameChooser(moved)
    for frame in frames:
        chooser.push(frame)
    return chooser.chosen(max_frames)


def key_frames(
    source: PhotoSource, max_frames: int, control: Control
) -> Generator[Record, None, PhotoSource]:
    """Write the key frames of a video as JPEG files; returns them as a source of their own.

    The video is decoded twice, once reduced to choose and once to write, so memory does not grow
    with its length. Frames are kept as they are stored, without a phone's rotation flag. Raises
    PipelineError without the `video` extra or a frames folder, and for a video that cannot be
    decoded.
    """
    video, folder = source.root, source.frames_folder
    if folder is None:
        raise PipelineError(
            "No room for key frames",
            f"{video} is a video, and no folder is given for its key frames",
            "set PhotoSource.frames_folder",
        )
    chooser = FrameChooser()
    for number, frame in enumerate(_decoded(video, REDUCED_WIDTH_PX), start=1):
        control.poll()
        chooser.push(frame)
        if control.due():
            yield Progress(number, None, "frames", f"choosing key frames of {video.name}")
    chosen = chooser.chosen(max_frames)
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for number, frame in enumerate(_decoded(video, None)):
        control.poll()
        if len(files) < len(chosen) and number == chosen[len(files)]:
            files.append(write_frame(folder, number, frame))
            if control.due():
                yield Progress(len(files), len(chosen), "key frames", f"writing {files[-1].name}")
        if len(files) == len(chosen):
            break
    return replace(source, root=folder, files=tuple(files))


def write_frame(folder: Path, number: int, frame_bgr: UInt8s) -> Path:
    """Write one key frame, (h, w, 3) uint8, as a JPEG file named by its number in the video.

    Raises PipelineError where the folder cannot be written.
    """
    path = folder / f"frame_{number:06d}.jpg"
    quality = (cv2.IMWRITE_JPEG_QUALITY, FRAME_QUALITY)
    encoded = cv2.imencode(".jpg", frame_bgr, quality)[1]
    write_bytes(path, encoded.tobytes())
    return path


def _decoded(video: Path, width: int | None) -> Iterator[UInt8s]:
    """Frames of the first video stream: grey (h, width) if a width is given, else BGR as stored."""
    av = _import_av()
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise _undecodable(video, "it holds no pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if width is None:
                    yield frame.to_ndarray(format="bgr24")
                else:
                    height = max(1, round(frame.height * width / frame.width))
                    small = frame.reformat(width=width, height=height, format="gray")
                    yield small.to_ndarray()
    except av.FFmpegError as error:
        raise _undecodable(video, str(error)) from error


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise PipelineError(
            "Video needs PyAV",
            "the package av, which decodes videos, is not installed",
            "pip install barfield[video]",
        ) from error
    return av


def _undecodable(video: Path, reason: str) -> PipelineError:
    return PipelineError(
        "Video unreadable", f"{video}: {reason}", "check that a player shows it, or convert it"
    )
