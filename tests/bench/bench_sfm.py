"""Photographs to a sparse model, ours and pycolmap's, one after the other on the same machine.

usage: python -m tests.bench.bench_sfm [SCENE ...] [--ours-only] [--no-known] [--out FOLDER]

Scenes are folders of $BARFIELD_SCENES, and the sample scenes desk and facade. `ours` is the wall
time of the whole `barfield run` command; the peer's is the sum of its three calls, without its
start-up. Each of ours runs once before it is timed when --warm is given, so that compiled kernels
are on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.comparison import compare_files

SCENES = (
    "fountain-P11",
    "Herz-Jesus-P8",
    "castle-P19",
    "sceaux",
    "fox",
    "lund29",
    "sacre",
    "desk",
    "facade",
)
_AUTO_CAMERAS = ("sacre",)  # ten photographs by ten cameras
_SAMPLES = Path(__file__).resolve().parents[2] / "sample_scenes"
_ERRORS = ("position_mean", "position_mean_relative", "rotation_mean_deg")


@dataclass(frozen=True)
class Case:
    """One row: a scene, and whether its true intrinsics are given and held."""

    scene: str
    folder: Path
    known: bool

    @property
    def label(self) -> str:
        return f"{self.scene}{' (known K)' if self.known else ''}"

    @property
    def truth(self) -> Path | None:
        for name in ("ground_truth.json", "transforms_reference.json"):
            if (self.folder / name).exists():
                return self.folder / name
        return None


def cases(names: list[str], known: bool) -> list[Case]:
    """The rows that can run here; says which scenes are missing."""
    rows = []
    for name in names:
        folder = _SAMPLES / name
        if not folder.exists():
            root = os.environ.get("BARFIELD_SCENES", "")
            folder = Path(root) / name
            if not root or not folder.exists():
                print(f"{name}: skipped, not found through BARFIELD_SCENES={root!r}")
                continue
        rows.append(Case(name, folder, False))
        if known and (folder / "ground_truth.json").exists() and folder.parent != _SAMPLES:
            rows.append(Case(name, folder, True))
    return rows


def run_ours(case: Case, out: Path) -> dict[str, Any]:
    """Our command in a process of its own; its report, with wall seconds and peak memory."""
    command = [str(Path(sys.executable).with_name("barfield")), "run", str(case.folder)]
    command += ["--out", str(out), "--until", "mapping", "--headless"]
    if case.known:
        command += ["--intrinsics", str(case.truth), "--hold-intrinsics"]
    if case.scene not in _AUTO_CAMERAS:
        command += ["--cameras", "single"]
    wall = _timed(command)
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    # Of the worker that used the most: the command itself only watches them.
    report["wall_s"], report["peak_rss_mb"] = wall, round(report["peak_rss_mb"])
    return report | _errors(out / "sparse" / "0", case)


def run_peer(case: Case, out: Path) -> dict[str, Any]:
    """pycolmap in a process of its own."""
    out.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "tests.bench.peer_colmap",
        str(case.folder / "images"),
        str(out),
    ]
    if case.known:
        truth = json.loads((case.folder / "ground_truth.json").read_text())
        K = next(iter(truth.values()))["K"]
        command += ["--intrinsics", f"{K[0][0]},{K[1][1]},{K[0][2]},{K[1][2]}"]
    if case.scene in _AUTO_CAMERAS:
        command += ["--cameras", "auto"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["wall_s"] = sum(result["seconds"].values())
    return result | _errors(out / "model", case)


def _timed(command: list[str]) -> float:
    """Wall seconds of a command; raises CalledProcessError if it fails."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def _errors(model: Path, case: Case) -> dict[str, Any]:
    if case.truth is None or not model.exists():
        return {}
    comparison = compare_files(model, case.truth).to_json()
    return {name: comparison[name] for name in _ERRORS}


def row(name: str, result: dict[str, Any]) -> str:
    """One printed line."""
    seconds = " ".join(f"{stage} {value:.1f}" for stage, value in result["seconds"].items())
    errors = "  ".join(
        f"{label} {result[key]:.5f}"
        for label, key in (("pos", _ERRORS[0]), ("rel", _ERRORS[1]), ("rot deg", _ERRORS[2]))
        if result.get(key) is not None
    )
    return (
        f"  {name:5} {result['wall_s']:6.1f} s  registered {result.get('registered', 0):3}  "
        f"models {result['models']}  points {result.get('points', 0):6}  "
        f"obs {result.get('observations', 0):6}  "
        f"err {result.get('reprojection_error_px', float('nan')):.3f} px  "
        f"{result['peak_rss_mb']:5} MB  {errors}\n        [{seconds}]"
    )


def main() -> None:
    """Run the rows and print each as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--no-known", action="store_true")
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="bench_sfm_"))
    for case in cases(arguments.scenes or list(SCENES), not arguments.no_known):
        print(case.label, flush=True)
        folders = [out / f"{case.scene}-{int(case.known)}-{who}" for who in ("ours", "peer")]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        if arguments.warm:
            run_ours(case, folders[0])
            shutil.rmtree(folders[0])
        ours = run_ours(case, folders[0])
        print(row("ours", ours), flush=True)
        if not arguments.ours_only:
            peer = run_peer(case, folders[1])
            print(row("peer", peer))
            print(f"  peer / ours {peer['wall_s'] / ours['wall_s']:.2f}", flush=True)


if __name__ == "__main__":
    main()
