"""Where a stage finds who looks at the scene, and hands out what it has rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pipeline.view_requests import MOST_UNACKNOWLEDGED, ViewFrame, ViewRequest


class ViewDesk(Protocol):
    """Who looks at the scene."""

    def newest(self) -> Mapping[str, ViewRequest]:
        """The newest request of every viewer."""
        ...

    def has_room(self, viewer: str) -> bool:
        """Whether a viewer can take a frame now: one that reads slowly costs no rendering."""
        ...

    def show(self, frame: ViewFrame) -> None:
        """Send a frame to its viewer."""
        ...

    def while_resting(self, serve: Callable[[], bool] | None) -> None:
        """Have `serve` called again and again while the stage is paused; it renders a little and
        returns whether there is more to render."""
        ...


class NobodyLooks:
    """The desk of a run without viewers."""

    def newest(self) -> Mapping[str, ViewRequest]:
        return {}

    def has_room(self, viewer: str) -> bool:
        return False

    def show(self, frame: ViewFrame) -> None:
        raise RuntimeError("a frame that nobody has asked for")

    def while_resting(self, serve: Callable[[], bool] | None) -> None:
        return


class LiveDesk:
    """The desk of a worker, where the engine's orders about viewers arrive.

    A viewer can take a frame while fewer than two of those sent to it are unacknowledged.
    """

    def __init__(self, send: Callable[[ViewFrame], None]) -> None:
        self._send = send
        self._requests: dict[str, ViewRequest] = {}
        self._unacknowledged: dict[str, int] = {}
        self._look: Callable[[], None] | None = None
        self._serve: Callable[[], bool] | None = None

    def look_with(self, look: Callable[[], None] | None) -> None:
        """Have `look`, which takes note of what has arrived, called before requests are read."""
        self._look = look

    def ask(self, request: ViewRequest) -> None:
        """A request takes the place of the viewer's last one."""
        self._requests[request.viewer] = request
        self._unacknowledged.setdefault(request.viewer, 0)

    def acknowledge(self, viewer: str) -> None:
        """A viewer has taken one more frame."""
        if viewer in self._unacknowledged:
            self._unacknowledged[viewer] = max(0, self._unacknowledged[viewer] - 1)

    def leave(self, viewer: str) -> None:
        """A viewer is gone."""
        self._requests.pop(viewer, None)
        self._unacknowledged.pop(viewer, None)

    def newest(self) -> Mapping[str, ViewRequest]:
        """The newest request of every viewer."""
        if self._look is not None:
            self._look()
        return self._requests

    def has_room(self, viewer: str) -> bool:
        """Whether a viewer can take a frame now."""
        return self._unacknowledged.get(viewer, MOST_UNACKNOWLEDGED) < MOST_UNACKNOWLEDGED

    def show(self, frame: ViewFrame) -> None:
        """Send a frame; a viewer that has left meanwhile does not get it."""
        if frame.header.viewer in self._unacknowledged:
            self._unacknowledged[frame.header.viewer] += 1
            self._send(frame)

    def while_resting(self, serve: Callable[[], bool] | None) -> None:
        """Have `serve` called while the stage is paused."""
        self._serve = serve

    def serve_resting(self) -> bool:
        """Render a little for those who look at a stage that is paused; whether there is more."""
        return self._serve is not None and self._serve()
