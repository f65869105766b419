"""Experiments in pieces: stopped, killed, gone on, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.array_files import encode_arrays, read_arrays
from pipeline.errors import PipelineError
from pipeline.radiance.evaluation import Reference
from pipeline.radiance.experiment import MODEL, RESULT, Experiment, load_model, run_experiment
from pipeline.radiance.view_fitting import Fitting
from pipeline.radiance_config import RadianceConfig
from tests.radiance.blobs import BlobSpec, blob_problem

CONFIG = RadianceConfig(
    preset="barf-cpu", device="cpu", steps=24, rays=64, samples=8, pose_rate=1e-2
)


def blobs(seed: int = 0) -> Experiment:
    problem, true = blob_problem(BlobSpec(views=6, noise=0.05), held_out=2)
    return Experiment(
        "blobs",
        problem,
        Reference(tuple(true), problem.held_out, problem.held_out_poses, true=True),
        CONFIG.model_copy(update={"seed": seed}),
        Fitting(iterations=3, rays=16),
        judge_at=(0.5,),
    )


class After:
    """Asked after each step whether to stop; does so after some, or kills the process."""

    def __init__(self, steps: int, kill: bool = False) -> None:
        self._left = steps
        self._kill = kill

    def is_set(self) -> bool:
        self._left -= 1
        if self._left == 0 and self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._left <= 0


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    """A result less what differs from machine to machine and from piece to piece."""
    dropped = {"seconds", "cpu_seconds", "judging_seconds", "pieces"}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(entry) for name, entry in value.items() if name not in dropped}
        return [plain(entry) for entry in value] if isinstance(value, list) else value

    found: dict[str, Any] = plain(json.loads(json.dumps(result)))
    return found


def assert_equal_models(folder: Path, other: Path) -> None:
    models = [read_arrays(place / MODEL) for place in (folder, other)]
    assert models[0].keys() == models[1].keys()
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[0])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run_experiment(blobs(), folder)
    return folder


def test_the_result_tells_how_it_went(undisturbed: Path) -> None:
    result = json.loads((undisturbed / RESULT).read_bytes())
    assert result["done"] and result["step"] == result["steps"] == 24
    steps = [point["step"] for point in result["curve"]]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == 24
    start, end = result["start"], result["end"]
    assert 2.0 < start["rotation_deg"] < 8.0
    assert result["curve"][0] == start
    assert end["cameras"]["rotation_deg"] == result["curve"][-1]["rotation_deg"]
    assert end["cameras"]["rotation_deg"] != start["rotation_deg"]
    assert 5.0 < end["psnr"] < 40.0 and end["lpips"] is None and "weights" in end["lpips_reason"]
    assert [entry["step"] for entry in result["judged"]] == [12]
    assert sorted(path.name for path in (undisturbed / "views").iterdir()) == ["004.png", "005.png"]
    assert not (undisturbed / "checkpoint.arrays").exists()
    model = load_model(undisturbed, torch.device("cpu"))
    assert model.alpha == model.bands


def test_stopped_and_gone_on_equals_undisturbed(undisturbed: Path, tmp_path: Path) -> None:
    for steps in (1, 5, 9):
        piece = run_experiment(blobs(), tmp_path, halt=After(steps))
        assert not piece["done"] and piece["end"] is None
        assert json.loads((tmp_path / RESULT).read_bytes())["done"] is False
    assert piece["step"] == 15 and piece["pieces"] == 3
    result = run_experiment(blobs(), tmp_path, for_seconds=1000.0)
    assert result["done"] and result["pieces"] == 4
    assert result["seconds"] > piece["seconds"] > 0.0
    known = json.loads((undisturbed / RESULT).read_bytes())
    assert without_times(result) == without_times(known)
    assert_equal_models(tmp_path, undisturbed)


def test_killed_and_gone_on_equals_undisturbed(undisturbed: Path, tmp_path: Path) -> None:
    """The last checkpoint is the one after the judgement at half time; then it is killed."""
    code = (
        "import sys, torch; from pathlib import Path; torch.set_num_threads(int(sys.argv[2]));"
        "from tests.radiance.test_experiment import After, blobs, run_experiment;"
        "run_experiment(blobs(), Path(sys.argv[1]), halt=After(16, kill=True))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(torch.get_num_threads())]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert (tmp_path / "checkpoint.arrays").exists()
    (tmp_path / ".result.json.1-0.tmp").write_bytes(b"half of it")
    result = run_experiment(blobs(), tmp_path)
    known = json.loads((undisturbed / RESULT).read_bytes())
    assert without_times(result) == without_times(known)
    assert_equal_models(tmp_path, undisturbed)
    assert not (tmp_path / ".result.json.1-0.tmp").exists()


def test_a_finished_experiment_is_only_read(undisturbed: Path) -> None:
    before = (undisturbed / RESULT).stat().st_mtime_ns
    assert run_experiment(blobs(), undisturbed)["done"]
    assert (undisturbed / RESULT).stat().st_mtime_ns == before


def test_another_experiment_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="Another experiment"):
        run_experiment(blobs(seed=1), undisturbed)
    run_experiment(blobs(), tmp_path, halt=After(1))
    (tmp_path / RESULT).unlink()
    with pytest.raises(PipelineError, match="Another experiment"):
        run_experiment(blobs(seed=1), tmp_path)


def test_a_checkpoint_that_does_not_fit_is_named(tmp_path: Path) -> None:
    run_experiment(blobs(), tmp_path, halt=After(1))
    path = tmp_path / "checkpoint.arrays"
    arrays = read_arrays(path)
    data = json.loads(arrays["data.json"].tobytes())
    data["trainer"]["format"] = 1
    arrays["data.json"] = np.frombuffer(json.dumps(data).encode(), np.uint8)
    path.write_bytes(b"".join(encode_arrays(arrays)))
    with pytest.raises(PipelineError, match=r"checkpoint\.arrays: .*format 1") as told:
        run_experiment(blobs(), tmp_path)
    assert "Remove the folder" in told.value.hint


def test_damage_is_said(undisturbed: Path, tmp_path: Path) -> None:
    run_experiment(blobs(), tmp_path, halt=After(1))
    path = tmp_path / "checkpoint.arrays"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PipelineError, match="checkpoint"):
        run_experiment(blobs(), tmp_path)
    (tmp_path / RESULT).write_text("{")
    with pytest.raises(PipelineError, match=r"result\.json"):
        run_experiment(blobs(), tmp_path)
    (tmp_path / MODEL).write_bytes((undisturbed / MODEL).read_bytes()[:500])
    with pytest.raises(PipelineError, match="model"):
        load_model(tmp_path, torch.device("cpu"))
