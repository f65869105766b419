"""The rows for a GPU, proven on the CPU at small size; and how bars are judged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bench.bars import Bar, Measured
from tests.bench.bench_radiance import compared, judge, main
from tests.bench.radiance_rows import GPU_ROWS, METHOD, PUBLIC_ROWS, Arm, Options, Row
from tests.radiance.test_datasets import write_blender

ROOT = Path(__file__).resolve().parents[2]
# What a machine with torch, numpy, scipy, OpenCV, Pillow and pydantic does not have.
ABSENT = ("aiohttp", "textual", "rich", "typer", "open3d", "numba", "av", "distributed")


def first_piece(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The script where libraries of the rest of the program are missing."""
    code = (
        "import sys, threading, torch; torch.set_num_threads(int(sys.argv[1]));"
        f"sys.modules.update(dict.fromkeys({ABSENT!r}));"
        "from tests.bench.bench_radiance import main;"
        "sys.exit(main(sys.argv[2:], threading.Event()))"
    )
    command = [sys.executable, "-c", code, str(torch.get_num_threads()), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_gpu_row_goes_on_piece_by_piece_without_the_rest_of_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_blender(tmp_path / "scenes" / "lego")
    arguments = (
        "--gpu", "lego-reference", "--scenes", str(tmp_path / "scenes"),
        "--out", str(tmp_path / "out"), "--fit-iterations", "1",
        *(f"--set={text}" for text in ("device=cpu", "steps=5", "size_px=16", "rays=16")),
        "--set=samples=4",
    )  # fmt: skip
    first = first_piece(*arguments, "--for-seconds", "0")
    assert first.returncode == 3, first.stderr
    result = tmp_path / "out" / "lego-reference" / "method-0" / "result.json"
    piece: dict[str, Any] = json.loads(result.read_bytes())
    assert (piece["step"], piece["steps"], piece["done"]) == (1, 5, False)
    assert main(arguments, threading.Event()) == 1  # five steps miss the bars
    whole: dict[str, Any] = json.loads(result.read_bytes())
    assert whole["done"] and whole["pieces"] == 2 and whole["preset"] == "barf"
    assert whole["seconds"] > piece["seconds"] > 0.0
    assert [entry["step"] for entry in whole["judged"]] == [1]
    printed = capsys.readouterr().out
    assert "must <= 0.1 missed" in printed and "psnr" in printed


def test_rows_have_names_of_their_own_and_a_method() -> None:
    rows = [*PUBLIC_ROWS, *GPU_ROWS]
    assert len({row.name for row in rows}) == len(rows) == 7
    for row in rows:
        names = [arm.name for arm in row.arms]
        assert names[0] == METHOD and {*row.beats, *row.fails} <= set(names)


def test_options_replace_what_a_row_says() -> None:
    options = Options(Path(), Path(), minutes=8.0, given=(("size_px", 50),))
    config = options.config(steps=7, size_px=100, preset="barf-cpu")
    assert (config.steps, config.minutes, config.size_px) == (None, 8.0, 50)
    config = Options(Path(), Path(), given=(("steps", 3),)).config(minutes=20.0)
    assert (config.steps, config.minutes, config.preset) == (3, 20.0, "auto")


def test_bars_are_judged_by_the_worst_seed(capsys: pytest.CaptureFixture[str]) -> None:
    bars = (Bar("rotation_deg", 3.0, 0.3), Bar("psnr", 20.0, 26.0, least=True))
    arms = (Arm(METHOD, lambda *_: None), Arm("full", lambda *_: None))
    row = Row("row", arms, bars, beats=("full",))
    good: Measured = {"rotation_deg": 0.2, "psnr": 27.0}
    bad: Measured = {"rotation_deg": 2.9, "psnr": 19.9}
    full: list[Measured] = [{"rotation_deg": 1.0}]
    assert judge(row, {METHOD: [good, good], "full": full}) == 0
    assert "missed" not in capsys.readouterr().out
    # Its PSNR, and the control is better than its worst seed.
    assert judge(row, {METHOD: [good, bad], "full": full}) == 2
    assert "19.9" in capsys.readouterr().out
    # Nothing measured, and a figure that one seed lacks: unknown is not met.
    assert judge(row, {METHOD: [], "full": []}) == 3
    lacking: Measured = {"rotation_deg": 0.2, "psnr": None}
    assert judge(row, {METHOD: [good, lacking], "full": full}) == 1


def test_controls_beaten_and_failing() -> None:
    arms = (Arm(METHOD, lambda *_: None), Arm("full", lambda *_: None))
    beats = Row("row", arms, (Bar("rotation_deg", 2.0),), beats=("full",))
    fails = Row("row", arms, (Bar("rotation_deg", 2.0),), fails=("full",))
    assert compared(beats, "full", [0.5, 0.9], [1.0]) == "met"
    assert compared(beats, "full", [0.5, 1.1], [1.0]) == "missed"
    assert compared(fails, "full", [0.5], [2.5]) == "met"
    assert compared(fails, "full", [0.5], [1.5]) == "missed"
    assert compared(fails, "full", [0.5], [None]) == "met"
    assert compared(beats, "full", [0.5, None], [1.0]) == "unknown"
