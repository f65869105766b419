"""`barfield planar`: a run of its own, through an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pipeline.run_directory import RUNS
from tests.engine_runs import own_host
from tests.radiance.planar.textures import texture
from tui.commands.planar import check_methods
from tui.failures import WrongUsage

SMALL = [
    "--set", "planar.patch_px=45", "--set", "planar.size_px=120", "--method", "smooth-grid",
    "--steps", "3",
]  # fmt: skip


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "blobs.png"
    Image.fromarray(texture()).save(path)
    return path


def test_a_planar_run_writes_curves_and_animation(picture: Path) -> None:
    with own_host() as host:
        called = host.call("planar", picture.name, "--json", *SMALL)
        assert called.code == 0, called.err
        again = host.call("planar", picture.name, *SMALL)
        host.wait_until_empty()
    report = json.loads(called.out)
    assert report["complete"] and list(report["stages"]) == ["planar"]
    told = report["stages"]["planar"]["methods"]["smooth-grid"]
    assert told["steps"] == 3 and 0 < told["warp_error"] < 1
    root = RUNS / "planar-blobs"
    assert json.loads((root / "curves.json").read_text())["image"] == "blobs.png"
    assert {"animation.gif", "curves.png", "run.toml", "events.jsonl"} <= {
        path.name for path in root.iterdir()
    }
    assert again.code == 0 and "up to date" in again.out and "warp error" in again.out


def test_wrong_use_is_told(picture: Path) -> None:
    with own_host() as host:
        missing = host.call_here("planar", "none.png")
        folder = host.call_here("planar", str(picture.parent))
        typo = host.call_here("planar", picture.name, "--method", "smoothgrid")
        value = host.call_here("planar", picture.name, "--set", "planar.patches=1")
        Path("notes.md").write_text("no picture")
        text = host.call_here("planar", "notes.md")
    assert missing.code == 1 and "none.png does not exist" in missing.err
    assert folder.code == 1 and "is a folder" in folder.err
    assert typo.code == 2 and "Did you mean smooth-grid?" in typo.err
    assert value.code == 2 and "planar.patches" in value.err
    assert text.code == 1 and "notes.md is no picture by its name" in text.err
    assert "JPEG" in text.err and not (RUNS / "planar-notes").exists()


def test_methods_are_checked_by_name() -> None:
    check_methods(["barf", "full", "none", "smooth-grid"])
    with pytest.raises(WrongUsage, match="no method brf"):
        check_methods(["barf", "brf"])
