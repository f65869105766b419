"""Renders views for those who look at the scene, a little at a time, between the steps of a stage.

Whoever renders is a generator that can be dropped between any two chunks of rays, so that a newer
camera takes over at once and training waits no longer than it has agreed to.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float32s
from pipeline.radiance.pictures import Picture, jpeg
from pipeline.view_desk import ViewDesk
from pipeline.view_requests import LEVELS, FrameHeader, ViewFrame, ViewRequest

# None: a chunk is done, but no picture with it.
Renderer = Callable[[ViewRequest], Iterator[Picture | None]]
MOST_SAVED_S = 0.2  # that rendering may take at once where nobody has looked for a while
MOST_DEPTHS = 160 * 90  # all that mixing a view with a point cloud needs
_NO_PICTURE = 1 + max(LEVELS)  # coarser than every level


@dataclass
class _Rendering:
    """A request on its way. level: of its last picture. turn: when it last had its turn."""

    request: ViewRequest
    chunks: Iterator[Picture | None]
    level: int = _NO_PICTURE
    seconds: float = 0.0
    turn: int = 0


class ViewService:
    """Serves the requests at a desk; every method returns soon, and none raises what goes wrong
    with a view: that is told to whoever asked for it.

    Among several viewers the one with the coarsest picture is next, then the one that has waited
    longest. A newer request of a viewer takes the place of the last one, but a first, coarse
    picture is finished: a camera that never stops would see nothing otherwise.
    """

    def __init__(
        self,
        desk: ViewDesk,
        render: Renderer,
        clock: Callable[[], float] = time.monotonic,
        step: int = 0,
    ) -> None:
        """clock: seconds, for the share. step: of the training, until `serve` tells another."""
        self._desk = desk
        self._render = render
        self._clock = clock
        self._step = step
        self._at_work: dict[str, _Rendering] = {}
        self._served: dict[str, int] = {}  # last request of each viewer that is all done
        self._saved_s = MOST_SAVED_S
        self._left = clock()
        self._turns = 0
        desk.while_resting(self.serve_chunk)

    def serve(self, share: float, step: int) -> int:
        """Render between two steps; call it after every step.

        share: most of the time, in [0, 1), that rendering may take: what it has not used in the
        past, up to 0.2 s, and what it used too much, are counted in. step: of the training, told
        with the pictures. Result: the number of chunks rendered.
        """
        begin = self._clock()
        self._step = step
        earned = (begin - self._left) * share / (1.0 - share)
        self._saved_s = min(self._saved_s + earned, MOST_SAVED_S if share else 0.0)
        chunks = 0
        while self._saved_s > 0.0 and self.serve_chunk():
            chunks += 1
            now = self._clock()
            self._saved_s -= now - begin
            begin = now
        self._left = begin
        return chunks

    def serve_chunk(self) -> bool:
        """Render one chunk for whoever is next; False where there is nothing to render."""
        self._take_requests()
        rendering = self._next()
        if rendering is None:
            return False
        self._turns += 1
        rendering.turn = self._turns
        begin = self._clock()
        request = rendering.request
        try:
            picture = next(rendering.chunks)
            rendering.seconds += self._clock() - begin
            if picture is None:
                return True
            frame = self._frame(rendering, picture)
        except PipelineError as error:
            self._tell_error(request, f"{error.title}: {error.message}")
        except Exception as error:  # a view that cannot be rendered does not end days of training
            traceback.print_exc()
            self._tell_error(request, f"{type(error).__name__}: {error}")
        else:
            rendering.level = picture.level
            if picture.final:
                self._finish(request)
            self._desk.show(frame)
        return True

    def _take_requests(self) -> None:
        """Begin what is new, and drop what nobody waits for any more."""
        newest = self._desk.newest()
        for known in (self._at_work, self._served):
            for viewer in known.keys() - newest.keys():
                del known[viewer]
        for viewer, request in newest.items():
            at_work = self._at_work.get(viewer)
            if at_work is not None and (at_work.request == request or at_work.level == _NO_PICTURE):
                continue
            if self._served.get(viewer) != request.seq:
                self._at_work[viewer] = _Rendering(request, self._render(request))

    def _next(self) -> _Rendering | None:
        waiting = [r for viewer, r in self._at_work.items() if self._desk.has_room(viewer)]
        return min(waiting, key=lambda r: (-r.level, r.turn), default=None)

    def _finish(self, request: ViewRequest) -> None:
        del self._at_work[request.viewer]
        self._served[request.viewer] = request.seq

    def _frame(self, rendering: _Rendering, picture: Picture) -> ViewFrame:
        request = rendering.request
        height, width = picture.rgb.shape[:2]
        depth = _few_depths(picture.depth) if request.depth else np.zeros((0, 0), "<f2")
        header = FrameHeader(
            viewer=request.viewer,
            seq=request.seq,
            step=self._step,
            level=picture.level,
            final=picture.final,
            width=width,
            height=height,
            render_s=rendering.seconds,
            depth_width=depth.shape[1],
            depth_height=depth.shape[0],
        )
        return ViewFrame(header, jpeg(picture.rgb, request.jpeg_quality), depth.tobytes())

    def _tell_error(self, request: ViewRequest, words: str) -> None:
        self._finish(request)
        header = FrameHeader(viewer=request.viewer, seq=request.seq, step=self._step, error=words)
        self._desk.show(ViewFrame(header))


def _few_depths(depth: Float32s) -> np.ndarray:
    """Depths (H, W) as float16, every n-th of them so that there are not too many; 0 for none."""
    stride = math.ceil(math.sqrt(max(1.0, depth.size / MOST_DEPTHS)))
    few = np.nan_to_num(depth[stride // 2 :: stride, stride // 2 :: stride], nan=0.0)
    return np.clip(few, 0.0, float(np.finfo(np.float16).max)).astype("<f2")
