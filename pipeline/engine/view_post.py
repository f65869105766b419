"""How views pass between engine and worker."""

from __future__ import annotations

from pipeline.engine.orders import AcknowledgeView, LeaveView, RenderView, ViewShown
from pipeline.engine.post import Outbox
from pipeline.view_desk import LiveDesk
from pipeline.view_requests import ViewFrame


def open_desk(outbox: Outbox) -> LiveDesk:
    """A desk whose frames go to the engine."""

    def send(frame: ViewFrame) -> None:
        shown = ViewShown(header=frame.header, picture_bytes=len(frame.picture))
        outbox.say(shown, frame.picture + frame.depth)

    return LiveDesk(send)


def note_view(order: RenderView | AcknowledgeView | LeaveView, desk: LiveDesk) -> None:
    """Have a desk heed an order about a viewer."""
    match order:
        case RenderView():
            desk.ask(order.request)
        case AcknowledgeView():
            desk.acknowledge(order.viewer)
        case LeaveView():
            desk.leave(order.viewer)


def frame_of(shown: ViewShown, body: bytes) -> ViewFrame:
    """The frame that a worker has sent."""
    return ViewFrame(shown.header, body[: shown.picture_bytes], body[shown.picture_bytes :])
