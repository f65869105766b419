"""What `barfield demo` says in the end."""

from __future__ import annotations

import subprocess
import sys
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
    assert "server has stopped" in told
    program = demo._program()
    assert f"  in a browser         {program} view runs/desk\n" in told
    assert told.endswith(f"  your photographs     {program} run FOLDER_OF_PHOTOGRAPHS\n")
    assert all(len(line) <= 80 for line in told.splitlines() if program not in line)


def test_the_commands_can_be_typed_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a checkout" / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "barfield").touch(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path)
    assert demo._program() == "'a checkout/.venv/bin/barfield'"
    monkeypatch.chdir(tmp_path / "a checkout")
    assert demo._program() == ".venv/bin/barfield"
    monkeypatch.setenv("PATH", str(folder))
    assert demo._program() == "barfield"


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
