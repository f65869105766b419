"""Kill a run at random moments, start it again, and compare its model with an undisturbed run's.

``python -m tests.bench.bench_kill [KILLS]`` on eight photographs of the sample scene.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DESK = ROOT / "sample_scenes" / "desk" / "images"
PHOTOS = 8
DEFAULT_KILLS = 50


@dataclass(frozen=True)
class KillOutcome:
    """What a run that was killed came to.

    kills: how many there were. restarts: how often one kind of moment was hit, by the newest stage
    that had begun. identical: the model's files equal those of the undisturbed run, byte for byte.
    """

    kills: int
    restarts: dict[str, int]
    identical: bool


def kill_and_compare(photos: Path, folder: Path, kills: int, seed: int = 0) -> KillOutcome:
    """Run undisturbed, then with kills until there were so many, each at a random moment.

    A run that ends before its moment has come is removed and begun anew; every finished one is
    compared. Raises RuntimeError with the output if a run fails other than by a kill.
    """
    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    begin = time.monotonic()
    _finish(photos, undisturbed)
    whole_s = time.monotonic() - begin
    expected = model_bytes(undisturbed)
    dice = random.Random(seed)
    done, identical = 0, True
    restarts: dict[str, int] = {}
    while done < kills:
        if _killed(photos, disturbed, dice.uniform(0.05, 0.6) * whole_s):
            done += 1
            stage = _newest_stage(disturbed)
            restarts[stage] = restarts.get(stage, 0) + 1
        else:
            identical &= model_bytes(disturbed) == expected
            shutil.rmtree(disturbed)
    _finish(photos, disturbed)
    identical &= model_bytes(disturbed) == expected
    return KillOutcome(done, restarts, identical)


def model_bytes(run: Path) -> dict[str, bytes]:
    """The files of a run's sparse models, by path."""
    sparse = run / "sparse"
    files = sorted(path for path in sparse.rglob("*") if path.is_file())
    return {path.relative_to(sparse).as_posix(): path.read_bytes() for path in files}


def copy_photos(folder: Path, count: int = PHOTOS) -> Path:
    """The first photographs of the sample scene in a folder of their own."""
    photos = folder / "photos"
    photos.mkdir()
    for photo in sorted(DESK.glob("*.jpg"))[:count]:
        shutil.copy(photo, photos)
    return photos


def _start(photos: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tui.cli", "run", str(photos), "--out", str(out), "--headless"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _finish(photos: Path, out: Path) -> None:
    process = _start(photos, out)
    output, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the run ended with {process.returncode}:\n{output}")


def _killed(photos: Path, out: Path, after_s: float) -> bool:
    """Whether the run was still going after some seconds, and so was killed."""
    process = _start(photos, out)
    try:
        output, _ = process.communicate(timeout=after_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    if process.returncode != 0:
        raise RuntimeError(f"the run ended with {process.returncode}:\n{output}")
    return False


def _newest_stage(run: Path) -> str:
    """The last stage that the killed run's events tell of."""
    try:
        lines = (run / "events.jsonl").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "none"
    stages = [line.split('"stage": "')[1].split('"')[0] for line in lines if '"stage": "' in line]
    return stages[-1] if stages else "none"


def main() -> None:
    """Print what came of it; ends with 1 if a model differs."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_KILLS
    with tempfile.TemporaryDirectory() as folder:
        outcome = kill_and_compare(copy_photos(Path(folder)), Path(folder), kills)
    for stage, count in sorted(outcome.restarts.items()):
        print(f"killed after the last event of {stage:<14}{count:>4}")
    print(f"{outcome.kills} kills; models {'identical' if outcome.identical else 'DIFFER'}")
    sys.exit(0 if outcome.identical else 1)


if __name__ == "__main__":
    main()
