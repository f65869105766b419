"""What `barfield demo` says in the end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from tui.commands import demo


def test_it_names_the_results_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "desk"
    (run / "sparse" / "0").mkdir(parents=True)
    (run / "mesh").mkdir()
    (run / "mesh" / "mesh.ply").touch()
    demo._show_ways_on(run)
    told = capsys.readouterr().out
    assert "runs/desk/sparse/0" in told and "runs/desk/mesh/mesh.ply" in told
    assert "refined" not in told and "texture" not in told
    assert "barfield view runs/desk" in told and "barfield run FOLDER" in told


def test_a_truth_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = tmp_path / "sample_scenes" / "desk"
    (scene / "images").mkdir(parents=True)
    (scene / "images" / "a.jpg").touch()
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nOSError: no space left\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(PipelineError, match="no space left"):
        demo._make_truth(scene)
    (scene / "truth").mkdir()
    (scene / "truth" / "a_depth_m.npy").touch()
    demo._make_truth(scene)  # it is there
    assert "true geometry" in capsys.readouterr().out
