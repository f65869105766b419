"""`barfield export`: what it asks for, what it says, and a run from photographs to every format."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline import commands
from pipeline.export_request import FORMATS, ExportRequest, Listener
from pipeline.request import GivenPaths, RunRequest
from pipeline.settings import load_settings
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tui.cli import build_app
from tui.commands.export import in_words
from tui.failures import WrongUsage

DESK = Path(__file__).resolve().parents[2] / "sample_scenes" / "desk" / "images"
SMALL = ("features.max_size_px=400", "matching.preview_keypoints=512")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[ExportRequest]:
    """What was asked for; every export takes no time."""
    asked: list[ExportRequest] = []

    def export(run: Path, request: ExportRequest, tell: Listener) -> dict[str, Any]:
        asked.append(request)
        tell(1, 2)
        tell(2, 2)
        return {
            "out": str(run / "export" / "x"), "model": "sparse/0", "photographs": 3, "points": 9,
            "linked": 1, "copied": 0, "written": 2, "bytes": 2_500_000, "notes": ["So it is."],
            "holds": {},
        }  # fmt: skip

    monkeypatch.setattr(commands, "export", export)
    return asked


@pytest.fixture
def empty_run(tmp_path: Path) -> Path:
    with Workspace(tmp_path / "run", VERSION) as workspace:
        return workspace.root


def test_options_reach_the_request(empty_run: Path, requests: list[ExportRequest]) -> None:
    options = "--format NVM --out there --model refined"
    done = CliRunner().invoke(build_app(), ["export", str(empty_run), *options.split()])
    assert done.exit_code == 0, done.output
    assert requests == [ExportRequest("nvm", "refined", Path("there"))]
    assert done.stdout.endswith(
        "x: sparse/0 with 3 cameras and 9 points; photographs: 1 as hard links, 2 made anew "
        "(2.5 MB)\nSo it is.\n"
    )
    assert done.stderr == ""  # what takes no time is not counted
    done = CliRunner().invoke(build_app(), ["export", str(empty_run), "--format", "ply", "--json"])
    assert json.loads(done.stdout)["points"] == 9 and requests[1] == ExportRequest("ply")


def test_what_files_of_points_and_meshes_hold_is_told_in_place_of_the_model() -> None:
    made: dict[str, Any] = {"out": "/there/X", "bytes": 0, "notes": ["This is the mesh."]}
    made |= dict.fromkeys(("linked", "copied", "written"), 0)
    mesh = {"vertices": 12, "triangles": 20}
    made["holds"] = {"scene.glb": mesh}
    assert in_words(made) == ["/there/X: 12 vertices and 20 triangles", "This is the mesh."]
    made["holds"] = {"points.ply": {"points": 30}, "mesh.ply": mesh}
    (told, _) = in_words(made)
    assert told.endswith("X: points.ply with 30 points, mesh.ply with 12 vertices and 20 triangles")


def test_unknown_formats_name_the_nearest(empty_run: Path, requests: list[ExportRequest]) -> None:
    for given, hint in (("nerfstuido", "Did you mean nerfstudio?"), ("x9", "Formats: colmap, ")):
        done = CliRunner().invoke(build_app(), ["export", str(empty_run), "--format", given])
        assert isinstance(done.exception, WrongUsage) and given in done.exception.message
        assert hint in done.exception.hint
    done = CliRunner().invoke(build_app(), ["export", str(empty_run), "--format=ply", "--out="])
    assert done.exit_code == 2 and "it is empty" in done.output
    assert requests == []


def test_a_real_run_in_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From photographs, by the stages themselves; COLMAP opens what comes out, and each format's
    photographs have the sizes that it says."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(DESK.iterdir())[:6]:
        with Image.open(path) as image:
            image.reduce(2).save(photos / path.name, quality=95, exif=image.getexif())
    request = RunRequest(
        paths=GivenPaths(photos=photos),
        out=tmp_path / "runs" / "desk",
        config=load_settings(None, SMALL),
        until="mapping",
    )
    report = commands.run(request, [], threading.Event())
    assert report["registered"] == 6
    monkeypatch.chdir(tmp_path)
    for format in FORMATS:
        done = CliRunner().invoke(build_app(), ["export", "desk", "--format", format, "--json"])
        if format == "obj":
            assert done.exit_code == 1
            continue
        assert done.exit_code == 0, done.output
        made = json.loads(done.stdout)
        assert made["photographs"] == (0 if format == "ply" else 6)
        assert made["points"] == report["points"]
        for path in (Path(made["out"]) / "images").glob("*"):
            with Image.open(path) as image, Image.open(photos / path.name) as original:
                assert image.size == original.size
    model = pycolmap.Reconstruction(request.out / "export" / "colmap" / "sparse" / "0")
    assert model.num_reg_images() == 6 and model.num_points3D() == report["points"]
    assert model.compute_mean_reprojection_error() == pytest.approx(
        report["reprojection_error_px"], rel=0.05
    )
    bounds = np.load(request.out / "export" / "llff" / "poses_bounds.npy")
    assert bounds.shape == (6, 17) and (bounds[:, 15] < bounds[:, 16]).all()
