"""`barfield render`: what it asks for, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline import commands
from pipeline.render_request import Listener, RenderProgress, RenderRequest
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tui.cli import build_app


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RenderRequest]:
    """What was asked for; every rendering takes no time."""
    requests: list[RenderRequest] = []

    def render(run: Path, request: RenderRequest, tell: Listener) -> dict[str, Any]:
        requests.append(request)
        for done, left_s in ((1, None), (2, 61.0), (3, 0.0)):
            tell(RenderProgress(done, 3, left_s))
        return {"frames": 3, "kept": 1, "step": 700, "result": str(run / "renders" / "x.gif")}

    monkeypatch.setattr(commands, "render", render)
    return requests


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with Workspace(tmp_path / "run", VERSION) as workspace:
        return workspace.root


def test_options_reach_the_request(run: Path, asked: list[RenderRequest]) -> None:
    options = "--path spiral --frames 3 --size 64x48 --fps 10 --format png --depth --out there"
    done = CliRunner().invoke(build_app(), ["render", str(run), *options.split()])
    assert done.exit_code == 0, done.output
    assert asked == [RenderRequest("spiral", 3, (64, 48), 10.0, "png", True, Path("there"))]
    assert "x.gif: 3 frames of the field at step 700, 1 of them kept" in done.stdout
    assert "1/3 frames\n" in done.stderr and "3/3 frames  0 s left\n" in done.stderr
    assert CliRunner().invoke(build_app(), ["render", str(run)]).exit_code == 0
    assert asked[1] == RenderRequest("orbit")


def test_json_is_all_that_stdout_gets(run: Path, asked: list[RenderRequest]) -> None:
    done = CliRunner().invoke(build_app(), ["render", str(run), "--json"])
    assert json.loads(done.stdout)["frames"] == 3


@pytest.mark.parametrize("size", ["64", "64x", "0x48", "64x99999", "64x48x3", "ax48"])
def test_impossible_sizes_are_wrong_usage(run: Path, asked: list[RenderRequest], size: str) -> None:
    done = CliRunner().invoke(build_app(), ["render", str(run), "--size", size])
    assert done.exit_code == 2 and size in done.output
    assert asked == []
