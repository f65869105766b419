"""Kill workers and engines at random moments, and compare what comes out with undisturbed runs.

``python -m tests.bench.bench_kill [KILLS]``: so many of each kind on eight photographs of the
sample scene, and a fifth as many in the mapping of all of them, which is long enough for
checkpoints.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.engine_runs import Host, own_host
from tests.kills.course import MOST_UNSAVED_S, Course
from tests.kills.plan import KINDS, MOMENTS, Kill, Outcome, Plan, undisturbed

DESK = Path(__file__).resolve().parents[2] / "sample_scenes" / "desk" / "images"
PHOTOS = 8
DEFAULT_KILLS = 50


def copy_photos(folder: Path, count: int = PHOTOS) -> Path:
    """The first photographs of the sample scene in a folder of their own."""
    photos = folder / f"photos-{count}"
    photos.mkdir()
    for photo in sorted(DESK.glob("*.jpg"))[:count]:
        shutil.copy(photo, photos)
    return photos


def tell(kill: Kill) -> None:
    """A line for each kill, for those who wait."""
    sys.stderr.write(f"{kill.kind} killed in {kill.at}\n")


def kill_runs(
    host: Host, folder: Path, of_each_kind: int, options: tuple[str, ...] = ()
) -> Outcome:
    """Kills over the whole of runs of eight photographs."""
    plan = Plan(copy_photos(folder), folder / "run", options)
    reference = undisturbed(host, replace(plan, run=folder / "undisturbed"))
    return Course(host, plan, reference, random.Random(0), tell).kill_often(of_each_kind)


def kill_mappings(host: Host, folder: Path, of_each_kind: int) -> Outcome:
    """Kills in the mapping of all photographs of the scene."""
    photos = copy_photos(folder, len(list(DESK.glob("*.jpg"))))
    prepared = folder / "prepared"
    host.call(*Plan(photos, prepared, ("--until", "verification")).command)
    reference = undisturbed(host, Plan(photos, folder / "undisturbed", prepared=prepared))
    plan = Plan(photos, folder / "run", moments=("mapping",), prepared=prepared)
    return Course(host, plan, reference, random.Random(0), tell).kill_often(of_each_kind)


def print_table(outcome: Outcome) -> None:
    """Kills by moment and kind; items that were counted as done, and what a kill cost at most."""
    print(f"{'killed in':<14}" + "".join(f"{kind:>8}" for kind in KINDS), end="")
    print(f"{'items done':>12}{'redone':>8}{'mapping lost':>14}{'orphan gone':>13}{'late':>6}")
    for moment in MOMENTS:
        kills = [kill for kill in outcome.kills if kill.at == moment]
        if kills:
            counts = "".join(f"{outcome.hits(kind)[moment]:>8}" for kind in KINDS)
            print(
                f"{moment:<14}{counts}{sum(kill.counted for kill in kills):>12}"
                f"{max(kill.redone for kill in kills):>8}"
                f"{max(kill.unsaved_s for kill in kills):>12.1f} s"
                f"{max(kill.orphan_s for kill in kills):>11.2f} s"
                f"{sum(kill.late for kill in kills):>6}"
            )
    print(
        f"{len(outcome.kills)} kills in {outcome.runs} runs; {outcome.resumed} attempts seen to go "
        f"on from a checkpoint; {outcome.reads} looks while they ran; {len(outcome.wrong)} wrong"
    )
    for what in outcome.wrong:
        print(f"  {what}")


def main() -> None:
    """Print what came of it; ends with 1 if anything was wrong."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_KILLS
    begin = time.monotonic()
    with own_host() as host, tempfile.TemporaryDirectory() as folder:
        outcome = kill_runs(host, Path(folder), kills)
        print_table(outcome)
    with own_host() as host, tempfile.TemporaryDirectory() as folder:
        print(f"\nmapping of all photographs; at most {MOST_UNSAVED_S:.0f} s may be lost")
        mapping = kill_mappings(host, Path(folder), max(1, kills // 5))
        print_table(mapping)
    missed = [
        m for m in MOMENTS for kind in KINDS if kills >= len(MOMENTS) and not outcome.hits(kind)[m]
    ]
    print(f"\n{time.monotonic() - begin:.0f} s; never hit: {missed or 'none'}")
    sys.exit(1 if outcome.wrong or mapping.wrong else 0)


if __name__ == "__main__":
    main()
