"""Features, matches and geometries on threads and on a Dask cluster: the same files, how soon.

``python -m tests.bench.bench_cluster [SCENE] [--workers N]`` reads the scene (default castle-P19)
from the folder named in BARFIELD_SCENES. One of the runs on the cluster loses a worker process in
the middle of features, and one in the middle of matching.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distributed

from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine.cluster import local_cluster
from pipeline.engine.executor import ItemExecutor, Kind, Resources, open_executor
from pipeline.events import Progress, Record
from pipeline.item_store import DiskStore
from pipeline.photos.source import PhotoSource
from pipeline.runner import ForegroundControl
from pipeline.stages import plan

Watch = Callable[[str, Record], None]


@dataclass(frozen=True)
class Outcome:
    """One way through the stages. seconds: of each stage. files: content of all items."""

    way: str
    seconds: dict[str, float]
    files: dict[str, bytes]

    def line(self, reference: Outcome) -> str:
        """A row of the table."""
        times = "".join(f"{seconds:>14.2f}" for seconds in self.seconds.values())
        same = "identical" if self.files == reference.files else "DIFFERENT"
        return f"{self.way:<28}{times}{len(self.files):>8}  {same}"


class Killer:
    """Kills one worker of a cluster in the middle of each of the named stages."""

    def __init__(self, address: str, stages: set[str]) -> None:
        self._address = address
        self._stages = stages
        self.killed: list[str] = []

    def __call__(self, stage: str, record: Record) -> None:
        """Look at a stage's record."""
        if not isinstance(record, Progress) or stage not in self._stages:
            return
        if record.total and record.done >= record.total / 2:
            self._stages.discard(stage)
            with distributed.Client(self._address, set_as_default=False) as client:
                victim = min(client.run(os.getpid).values())
            os.kill(victim, signal.SIGKILL)
            self.killed.append(stage)


def main() -> int:
    """Print the table; exit code 1 where files differ or nobody was killed, 2 without scenes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scene", nargs="?", default="castle-P19")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    root = os.environ.get("BARFIELD_SCENES")
    if not root:
        print("BARFIELD_SCENES is not set: it names the folder of the scenes", file=sys.stderr)
        return 2
    photos = Path(root) / arguments.scene
    with tempfile.TemporaryDirectory() as folder:
        outcomes, killed = _all_ways(photos, Path(folder), arguments.workers)
    names = "".join(f"{name + ' s':>14}" for name in outcomes[0].seconds)
    print(f"{photos.name}, {arguments.workers} threads or worker processes")
    print(f"{'way':<28}{names}{'items':>8}")
    for outcome in outcomes:
        print(outcome.line(outcomes[0]))
    same = all(outcome.files == outcomes[0].files for outcome in outcomes)
    return 0 if same and killed == ["features", "matching"] else 1


def _all_ways(photos: Path, folder: Path, workers: int) -> tuple[list[Outcome], list[str]]:
    outcomes = [_run("threads", photos, "threads", Resources(folder / "threads", workers))]
    with local_cluster(workers) as cluster:
        address = cluster.scheduler_address
        killer = Killer(address, {"features", "matching"})
        for way, shared, watch in (
            ("cluster, new", "yes", None),
            ("cluster, shared files", "yes", None),
            ("cluster, handed", "no", None),
            ("cluster, workers killed", "yes", killer),
        ):
            config = ClusterConfig.model_validate({"shared_files": shared})
            resources = Resources(folder / way, workers, config, address)
            outcomes.append(_run(way, photos, "cluster", resources, watch))
    return outcomes, killer.killed


def _run(
    way: str, photos: Path, kind: Kind, resources: Resources, watch: Watch | None = None
) -> Outcome:
    resources.root.mkdir()
    store = DiskStore(resources.root)
    products: dict[str, Any] = {"source": PhotoSource(photos)}
    seconds: dict[str, float] = {}
    with open_executor("threads", resources) as here, open_executor(kind, resources) as there:
        for entry in plan(until="verification"):
            stage = entry.load()
            spread = hasattr(stage, "fan_out")
            control = _control(there if spread else here, store)
            inputs = {name: products[name] for name in stage.needs}
            begin = time.perf_counter()
            work = stage.run(inputs, getattr(RunConfig(), stage.name), control)
            products.update(_finish(work, stage.name, watch))
            if spread:
                seconds[stage.name] = time.perf_counter() - begin
        store.flush()
    files = {
        path.relative_to(resources.root).as_posix(): path.read_bytes()
        for kind_of_item in ("features", "matches")
        for path in (resources.root / kind_of_item).rglob("*.arrays")
    }
    return Outcome(way, seconds, files)


def _control(opened: ItemExecutor, store: DiskStore) -> ForegroundControl:
    return ForegroundControl(store, opened.executor, opened.workers, threading.Event())


def _finish(work: Any, stage: str, watch: Watch | None) -> Any:
    try:
        while True:
            record = next(work)
            if watch is not None:
                watch(stage, record)
    except StopIteration as end:
        return end.value


if __name__ == "__main__":
    sys.exit(main())
