"""Films of a field: what is kept, what is made anew, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import commands
from pipeline.array_files import encode_arrays
from pipeline.config import RunConfig
from pipeline.errors import PipelineError
from pipeline.field_reading import read_newest_field
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import NoField, RadianceField, RefinedCameras
from pipeline.radiance.model import ModelShape, RadianceModel
from pipeline.radiance.pictures import read_png
from pipeline.radiance_config import RadianceConfig
from pipeline.render_request import RenderProgress, RenderRequest
from pipeline.settings import settings_as_toml
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.radiance.test_novel_views import SHAPE, blob_model

MOST_SECONDS = 120.0
ROOT = Path(__file__).resolve().parents[2]
SMALL = RenderRequest("orbit", frames=4, size=(24, 16), format="png", depth=True)


def field_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """A field that nothing has trained."""
    import torch

    setup = blob_model().setup
    generator = torch.Generator().manual_seed(seed)
    model = RadianceModel(setup, ModelShape(SHAPE, 8), torch.device("cpu"), generator)
    model.alpha = 1.0
    return model.to_arrays()


def run_with(folder: Path, field: RadianceField | NoField) -> Path:
    """A run directory with a field that is trained, or that could not be."""
    with Workspace(folder, VERSION) as workspace:
        entry = StageEntry(Ingredients("radiance", 1, {}, {}, {}), 1.0, {})
        workspace.save(entry, {"radiance": field, "refined": RefinedCameras(None, "")})
    return folder


def trained_run(folder: Path, **options: Any) -> Path:
    return run_with(folder, RadianceField(field_arrays(**options), (), 20))


def render(run: Path, request: RenderRequest = SMALL) -> tuple[dict[str, Any], list[int]]:
    """What was made, and how many frames were done as it went on."""
    told: list[RenderProgress] = []
    made = commands.render(run, request, told.append)
    return made, [progress.done for progress in told]


def signatures(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes with every write of a picture."""
    found = sorted(folder.rglob("*.png"))
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in found}


def test_frames_with_depths_and_what_they_are(tmp_path: Path) -> None:
    run = trained_run(tmp_path / "run")
    made, done = render(run)
    folder = run / "renders" / "orbit"
    assert (made["frames"], made["kept"], made["step"], done) == (4, 0, None, [0, 1, 2, 3, 4])
    assert made["result"] == str(folder / "frames")
    about = json.loads((folder / "render.json").read_text())
    for number in range(4):
        rgb, depth, colors = (
            read_png(folder / name / f"{number:05}.png")
            for name in ("frames", "depth", "depth_colors")
        )
        assert rgb.shape == colors.shape == (16, 24, 3)
        assert depth.shape == (16, 24) and depth.dtype == np.uint16
        seen = depth[depth > 0] * about["depth"]["unit"]
        # Depths of the field are between 2.5 and 5.5, and 2.5 of its units are one of the world's.
        assert len(seen) == 0 or (seen.min() >= 1.0 and seen.max() <= 2.2)
        np.testing.assert_array_equal(depth == 0, ~colors.any(axis=-1))
    assert len({(folder / "frames" / f"{n:05}.png").read_bytes() for n in range(4)}) == 4


def test_what_is_there_of_the_same_field_and_way_is_kept(tmp_path: Path) -> None:
    run = trained_run(tmp_path / "run")
    render(run)
    folder = run / "renders" / "orbit"
    before, bytes_before = signatures(folder), (folder / "frames/00001.png").read_bytes()
    (folder / "frames" / "00001.png").unlink()
    (folder / "frames" / ".00001.png.1-1.tmp").write_bytes(b"half a pict")
    made, done = render(run)
    assert (made["kept"], done) == (3, [3, 4])
    after = signatures(folder)
    assert {name for name in before if before[name] != after[name]} == {
        "frames/00001.png", "depth/00001.png", "depth_colors/00001.png",
    }  # fmt: skip
    assert (folder / "frames/00001.png").read_bytes() == bytes_before
    assert not list(folder.rglob("*.tmp"))

    # As an animation of the frames that are there.
    gif, _ = render(run, RenderRequest("orbit", 4, (24, 16), format="gif"))
    assert gif["kept"] == 4 and Path(gif["result"]) == folder / "orbit.gif"
    # Another way, and another field, begin anew.
    assert render(run, RenderRequest("orbit", 3, (24, 16), format="png"))[0]["kept"] == 0
    names = sorted(path.name for path in (folder / "frames").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png"]
    assert not (folder / "depth").exists()
    render(run)
    trained_run(run, seed=5)
    assert render(run)[0]["kept"] == 0
    assert (folder / "frames/00001.png").read_bytes() != bytes_before


def test_files_of_others_are_not_touched(tmp_path: Path) -> None:
    run = trained_run(tmp_path / "run")
    dear = tmp_path / "dear"
    dear.mkdir()
    (dear / "frames").write_text("mine")
    with pytest.raises(PipelineError, match="dear holds other files"):
        render(run, RenderRequest("orbit", 1, (8, 8), format="png", out=dear))
    assert (dear / "frames").read_text() == "mine"


@pytest.mark.parametrize("path", ["spiral", "cameras"])
def test_ways_and_the_size_of_the_photographs(tmp_path: Path, path: str) -> None:
    run = trained_run(tmp_path / "run")
    made, _ = render(run, RenderRequest(path, frames=2, format="png"))
    assert (made["width"], made["height"]) == (20, 16)
    assert not (run / "renders" / path / "depth").exists()


def test_the_checkpoint_of_a_training_that_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with Workspace(root, VERSION) as workspace:  # held, as by an engine at work
        with pytest.raises(PipelineError, match="neither a trained field nor a checkpoint"):
            render(root)
        arrays = {f"model/{name}": array for name, array in field_arrays().items()}
        for step in (30, 60):
            data: dict[str, Any] = {"stage": {"step": step}}
            workspace.save_checkpoint("radiance", {**arrays, "random": np.zeros(3)}, data)
        assert render(root)[0]["step"] == 60
    trained_run(root)
    assert render(root)[0]["step"] is None


def save_checkpoint(workspace: Workspace, step: int, version: int = 1) -> None:
    arrays = {f"model/{name}": array for name, array in field_arrays(seed=step).items()}
    data: dict[str, Any] = {"stage": {"step": step}, "version": version}
    workspace.save_checkpoint("radiance", arrays, data)


def test_a_training_after_the_trained_field_is_newer(tmp_path: Path) -> None:
    root = tmp_path / "run"
    then, now = RunConfig(), RunConfig(radiance=RadianceConfig(steps=900))
    section = then.radiance.model_dump(mode="json")
    with Workspace(root, VERSION) as workspace:
        entry = StageEntry(Ingredients("radiance", 1, section, {}, {}), 1.0, {})
        field = RadianceField(field_arrays(), (), 20)
        workspace.save(entry, {"radiance": field, "refined": RefinedCameras(None, "")})
        workspace.write_config(settings_as_toml(now))
        assert render(root)[0]["step"] is None  # it has not come to a checkpoint yet
        save_checkpoint(workspace, 60)
        assert render(root)[0]["step"] == 60
        workspace.write_config(settings_as_toml(then))  # back to what the field was trained for
        assert render(root)[0]["step"] is None
        save_checkpoint(workspace, 70, version=2)
        assert render(root)[0]["step"] == 70
        path = root / "stages/radiance/checkpoint.arrays"
        path.write_bytes(path.read_bytes()[:100])
        assert render(root)[0]["step"] is None
        workspace.forget("radiance")
        with pytest.raises(PipelineError, match=r"checkpoint\.arrays is damaged"):
            render(root)


def test_fields_that_cannot_be_rendered_are_told(tmp_path: Path) -> None:
    run = run_with(tmp_path / "none", NoField("no photograph has a camera"))
    with pytest.raises(PipelineError, match="no photograph has a camera"):
        render(run)
    run = trained_run(tmp_path / "run")
    file = run / "radiance" / "field.arrays"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PipelineError, match=r"field\.arrays|radiance"):
        render(run)
    arrays = dict(field_arrays())
    arrays["background_logits"] = np.full(3, np.nan, np.float32)
    run = run_with(run, RadianceField(arrays, (), 20))
    with pytest.raises(PipelineError, match="background_logits"):
        render(run)
    with pytest.raises(PipelineError, match=r"manifest\.json"):
        read_newest_field(tmp_path)


def test_a_kill_leaves_whole_files_and_the_same_command_goes_on(tmp_path: Path) -> None:
    run = trained_run(tmp_path / "run")
    options = ("--frames", "30", "--size", "24x20", "--format", "png", "--json")
    command = [sys.executable, "-m", "tui.cli", "render", str(run), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    frames = run / "renders" / "orbit" / "frames"
    last = time.monotonic() + MOST_SECONDS
    while not (frames / "00002.png").exists() and time.monotonic() < last:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    there = sorted(frames.glob("*.png"))
    assert 3 <= len(there) < 30
    before = {path.name: path.read_bytes() for path in there}
    assert all(read_png(path).shape == (20, 24, 3) for path in there)

    request = RenderRequest("orbit", 30, (24, 20), format="png")
    made, _ = render(run, request)
    assert made["kept"] == len(there)
    for name, content in before.items():
        assert (frames / name).read_bytes() == content
    again, _ = render(run, replace(request, out=tmp_path / "b"))
    assert again["kept"] == 0
    for path in sorted(frames.glob("*.png")):  # as if it had never been killed
        assert (tmp_path / "b" / "frames" / path.name).read_bytes() == path.read_bytes()


def test_a_field_file_is_what_its_arrays_are(tmp_path: Path) -> None:
    run = trained_run(tmp_path / "run")
    first = read_newest_field(run)
    assert first.fingerprint == read_newest_field(run).fingerprint
    other = trained_run(tmp_path / "other", seed=9)
    assert first.fingerprint != read_newest_field(other).fingerprint
    assert encode_arrays(first.arrays)
