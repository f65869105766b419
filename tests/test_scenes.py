"""Whole runs through the command line: the sample facade, and real photographs where there are
any.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCENES = os.environ.get("BARFIELD_SCENES", "")


def _run_and_compare(
    scene: Path, out: Path, *options: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report and comparison with the scene's ground truth."""
    program = [sys.executable, "-m", "tui.cli"]
    command = [*program, "run", str(scene), "--out", str(out), "--headless", *options]
    command += ["--until", "mapping"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    command = [*program, "compare", str(out), str(scene / "ground_truth.json"), "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads((out / "report.json").read_text()), json.loads(done.stdout)


def test_the_facade_does_not_fold(tmp_path: Path) -> None:
    """Its windows are copies: a mapper that believes every pair puts one part over another."""
    report, errors = _run_and_compare(ROOT / "sample_scenes" / "facade", tmp_path / "run")
    assert report["registered"] == 20 and report["models"] == 1
    assert 1e-5 < errors["position_mean_relative"] < 0.003
    assert 0.05 < report["reprojection_error_px"] < 0.5


@pytest.mark.skipif(not SCENES, reason="BARFIELD_SCENES names no folder of real photographs")
@pytest.mark.parametrize(
    ("scene", "photographs", "position_m", "rotation_deg", "points"),
    [("fountain-P11", 11, 0.0030, 0.15, 14000), ("Herz-Jesus-P8", 8, 0.0055, 0.25, 8000)],
)
def test_real_photographs(
    scene: str,
    photographs: int,
    position_m: float,
    rotation_deg: float,
    points: int,
    tmp_path: Path,
) -> None:
    """Position errors are those of published systems with known intrinsics, found without them."""
    report, errors = _run_and_compare(Path(SCENES) / scene, tmp_path / "run")
    assert report["registered"] == photographs and report["models"] == 1
    assert 0.0005 < errors["position_mean"] < position_m
    assert 0.01 < errors["rotation_mean_deg"] < rotation_deg
    assert points < report["points"] < 2 * points
