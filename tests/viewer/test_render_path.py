"""The command that asks for a film, over HTTP: what reaches the engine, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.engine.messages import MOST_KEYFRAMES, RenderPath
from tests.viewer.server import Server

LOOK = {"position": [0.0, -4, 0], "look_at": [0, 0, 0], "up": [0, 0, 1], "fov_deg": 50}
GOOD: dict[str, Any] = {
    "op": "render-path", "keyframes": [LOOK, LOOK], "seconds": 2, "width": 640, "height": 360
}  # fmt: skip


def test_a_film_reaches_the_engine_with_as_many_keyframes_as_there_may_be(server: Server) -> None:
    row = [1, 0, 0, 0]
    pose = {"cam_from_world": [row, row, row], "fov_deg": 50}
    for keyframes in ([LOOK] * MOST_KEYFRAMES, [pose] * MOST_KEYFRAMES):
        reply = server.command({**GOOD, "keyframes": keyframes})
        assert reply.status == 200, reply.body
        command, _ = server.engine.commands[-1]
        assert isinstance(command, RenderPath)
        assert len(command.keyframes) == MOST_KEYFRAMES and command.frame_count == 49
    assert server.command({"op": "cancel-render"}).status == 200


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"keyframes": [LOOK] * (MOST_KEYFRAMES + 1)}, "keyframes"),
        ({"keyframes": [{**LOOK, "fov_deg": 180}]}, "fov_deg"),
        ({"keyframes": [{**LOOK, "position": [0, 1]}]}, "position"),
        ({"keyframes": "orbit"}, "keyframes"),
        ({"frames": 10}, "not both"),
        ({"seconds": 3600, "fps": 60}, "too many"),
        ({"width": 100_000}, "width"),
        ({"height": 7}, "height"),
        ({"name": "../../x"}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"file": "/etc/passwd"}, "file"),
    ],
)
def test_impossible_values_are_named(server: Server, changes: dict[str, Any], word: str) -> None:
    before = len(server.engine.commands)
    reply = server.command({**GOOD, **changes})
    assert reply.status == 400 and word in reply.error["message"]
    assert len(server.engine.commands) == before


def test_who_may_only_look_renders_nothing(server: Server) -> None:
    reply = server.command(GOOD, token=server.access.view_token)
    assert reply.status == 403
