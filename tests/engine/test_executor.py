"""The same products whatever carries out the items, and what happens when that breaks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import dask
import numpy as np
import pytest

from pipeline.config import ClusterConfig, FeaturesConfig, RunConfig, StageConfig
from pipeline.engine import cluster as clusters
from pipeline.engine.executor import (
    Executors,
    ItemExecutor,
    Kind,
    Resources,
    kind_for,
    open_executor,
)
from pipeline.engine.parcels import pack, parcel_of, run_parcel
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Progress, Record
from pipeline.geometry_tables import geometries_as_arrays
from pipeline.item_refs import FileRef, ItemRef
from pipeline.item_store import DiskStore, LostItem
from pipeline.photos.source import PhotoSource
from pipeline.products import ItemStore, MemoryStore
from pipeline.runner import ForegroundControl
from pipeline.stage import Control, FanOut, Inputs, Products, RemoteExecutor, Stage, run_items
from pipeline.stages import METHOD, plan
from tests.contracts.conftest import write_pictures
from tests.engine import item_work
from tests.engine.item_work import Nap, Sum, add, nap

ROOT = Path(__file__).resolve().parents[2]
LARGE = 20_000  # values of an item that does not travel inside a task
REMOTE = [kind for kind in get_args(Kind) if kind != "threads"]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a Dask scheduler with two worker processes."""
    with clusters.local_cluster(2) as cluster:
        yield cluster.scheduler_address


@dataclass(frozen=True)
class Opened:
    """Executors that are open for several tests, and the run directory that they know."""

    root: Path
    of_kind: dict[Kind, ItemExecutor]


@pytest.fixture(scope="module")
def executors(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """One executor of each kind."""
    root = tmp_path_factory.mktemp("run")
    with ExitStack() as stack:
        yield Opened(
            root,
            {
                kind: stack.enter_context(open_executor(kind, resources_for(kind, root, scheduler)))
                for kind in get_args(Kind)
            },
        )


def control_of(
    opened: ItemExecutor, store: ItemStore | None = None, stop: threading.Event | None = None
) -> ForegroundControl:
    return ForegroundControl(
        store or MemoryStore(), opened.executor, opened.workers, stop or threading.Event()
    )


def resources_for(kind: Kind, root: Path, scheduler: str, shared: str = "auto") -> Resources:
    cluster = ClusterConfig.model_validate({"shared_files": shared})
    return Resources(root, 2, cluster, scheduler if kind == "cluster" else "")


def stage_products(
    pictures: Path, resources: Resources, kind: Kind, until: str = "verification"
) -> dict[str, Any]:
    """Products of the stages up to one; stages that do not fan out run here, as in a run."""
    store = DiskStore(resources.root)
    products: dict[str, Any] = {"source": PhotoSource(pictures)}
    with open_executor("threads", resources) as here, open_executor(kind, resources) as there:
        for entry in plan(until=until):
            stage = entry.load()
            opened = there if hasattr(stage, "fan_out") else here
            inputs = {name: products[name] for name in stage.needs}
            work = stage.run(inputs, getattr(RunConfig(), stage.name), control_of(opened, store))
            products.update(finish(work))
        store.flush()
    return products


def finish(work: Any) -> dict[str, Any]:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return dict(end.value)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, 5)
    return folder


@pytest.fixture(scope="module")
def by_threads(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The products as local threads make them, and the files of the store."""
    root = tmp_path_factory.mktemp("threads")
    products = stage_products(pictures, Resources(root, 2), "threads")
    assert len(products["geometries"].of_pair) == 10
    assert products["matches"].counts.min() > 30
    return {**products, "files": item_files(root)}


def item_files(root: Path) -> dict[str, bytes]:
    """Content of all items but those of ingest, which hold file times."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("features", "matches")
        for path in sorted((root / folder).rglob("*.arrays"))
    }


@pytest.mark.parametrize("shared", ["auto", "no"])
def test_on_a_cluster_the_products_are_the_same_bit_by_bit(
    shared: str, scheduler: str, pictures: Path, by_threads: dict[str, Any], tmp_path: Path
) -> None:
    resources = resources_for("cluster", tmp_path, scheduler, shared)
    products = stage_products(pictures, resources, "cluster")
    files = item_files(tmp_path)
    assert files == by_threads["files"]
    assert len(files) >= 5 + 10 + 2
    assert products["features"].keys == by_threads["features"].keys
    assert products["matches"].keys == by_threads["matches"].keys
    expected = geometries_as_arrays(by_threads["geometries"])
    found = geometries_as_arrays(products["geometries"])
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_in_processes_the_features_are_the_same_bit_by_bit(
    pictures: Path, by_threads: dict[str, Any], tmp_path: Path
) -> None:
    stage_products(pictures, Resources(tmp_path, 2), "processes", until="features")
    expected = {n: data for n, data in by_threads["files"].items() if n.startswith("features")}
    assert item_files(tmp_path) == expected
    assert len(expected) == 5


def sums(store: ItemStore, folder: Path, count: int, seconds: float = 0.0) -> list[Sum]:
    """Tasks on three items, the last of which is large, and a file of seven bytes."""
    file = folder / "seven"
    file.write_bytes(b"7654321")
    for number, size in enumerate((3, 5, LARGE)):
        store.put("numbers", f"n{number}", {"values": np.ones(size, np.int64)})
    return [
        Sum(f"sum {n}", ItemRef(store, "numbers", f"n{n % 3}"), FileRef(file), seconds)
        for n in range(count)
    ]


@pytest.mark.parametrize("kind", REMOTE)
def test_an_item_that_is_not_yet_on_disk_is_waited_for(
    kind: Kind, executors: Opened, tmp_path: Path
) -> None:
    opened = executors.of_kind[kind]
    tasks = sums(DiskStore(executors.root), tmp_path, 6)
    found = {done.index: done.result[0] for done in run_items(add, tasks, control_of(opened))}
    handed = opened.executor.submit(item_work.is_handed, tasks[2]).result()
    assert found == {n: (3, 5, LARGE)[n % 3] + 7 for n in range(6)}
    assert handed == (False, False)


@pytest.mark.parametrize("kind", REMOTE)
@pytest.mark.parametrize("place", ["memory", "another run"])
def test_an_item_that_no_other_process_looks_for_is_handed(
    kind: Kind, place: str, executors: Opened, tmp_path: Path
) -> None:
    tasks = sums(MemoryStore() if place == "memory" else DiskStore(tmp_path), tmp_path, 3)
    control = control_of(executors.of_kind[kind])
    done = list(run_items(item_work.is_handed, tasks, control))
    assert [each.result for each in done] == [(True, False)] * 3


def test_without_shared_files_items_and_photographs_are_handed(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "HELD_BYTES", 1)  # what is used again is sent again
    store = DiskStore(tmp_path)
    resources = resources_for("cluster", tmp_path, scheduler, "no")
    with open_executor("cluster", resources) as opened:
        tasks = sums(store, tmp_path, 12)
        found = {done.index: done.result[0] for done in run_items(add, tasks, control_of(opened))}
        handed = [opened.executor.submit(item_work.is_handed, task).result() for task in tasks[:3]]
    assert found == {n: (3, 5, LARGE)[n % 3] + 7 for n in range(12)}
    assert handed == [(True, True)] * 3


def test_a_worker_killed_in_the_middle_loses_nothing(scheduler: str, tmp_path: Path) -> None:
    """Also the large items that the dead worker held for the others."""
    store = DiskStore(tmp_path)
    found: dict[int, int] = {}
    with open_executor("cluster", resources_for("cluster", tmp_path, scheduler, "no")) as opened:
        assert opened.workers == 2
        tasks = sums(store, tmp_path, 40, seconds=0.05)
        for done in run_items(add, tasks, control_of(opened)):
            assert done.index not in found
            found[done.index], process = done.result
            if len(found) == 8:
                os.kill(process, signal.SIGKILL)
    assert found == {n: (3, 5, LARGE)[n % 3] + 7 for n in range(40)}


@pytest.mark.parametrize("kind", REMOTE)
def test_an_item_that_kills_its_process_is_named(kind: Kind, tmp_path: Path) -> None:
    naps = [Nap("a.jpg"), Nap("b.jpg", deadly=True)]
    resources = Resources(tmp_path, 1, ClusterConfig(workers=1))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(PipelineError) as caught,
        open_executor(kind, resources) as opened,
    ):
        list(run_items(nap, naps, control_of(opened)))
    assert "b.jpg" in caught.value.message and "died" in caught.value.title
    assert "emory" in caught.value.hint


@pytest.mark.parametrize("kind", REMOTE)
def test_errors_travel_whole(kind: Kind, executors: Opened) -> None:
    control = control_of(executors.of_kind[kind])
    with pytest.raises(PipelineError) as caught:
        list(run_items(item_work.fail_for_the_user, [Nap("a.jpg")], control))
    error = caught.value
    assert (error.title, error.message, error.hint) == ("A title", "about a.jpg", "a hint")
    with pytest.raises(LostItem, match=r"^a\.jpg is missing$"):
        list(run_items(item_work.fail_for_a_lost_item, [Nap("a.jpg")], control))
    with pytest.raises(ZeroDivisionError, match=r"a\.jpg"):
        list(run_items(item_work.fail_by_a_fault, [Nap("a.jpg")], control))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_when_stopped_what_had_begun_is_kept_and_nothing_goes_on(
    kind: Kind, executors: Opened
) -> None:
    opened = executors.of_kind[kind]
    found = naps_until(2, opened)
    assert len(found) == len(set(found)) < 10
    if isinstance(opened.executor, clusters.ClusterExecutor):
        client = opened.executor._client
        wait_until(lambda: not any(client.processing().values()))
    else:
        assert set(range(4)) <= set(found)


def test_after_an_error_nothing_goes_on(executors: Opened) -> None:
    finished: list[str] = []

    def work(item: Nap) -> None:
        if item.name == "bad":
            raise ZeroDivisionError
        nap(item)
        finished.append(item.name)

    naps = [Nap("long", 0.3), Nap("bad"), *(Nap(str(n), 0.3) for n in range(20))]
    with pytest.raises(ZeroDivisionError):
        list(run_items(work, naps, control_of(executors.of_kind["threads"])))
    had_begun = finished.copy()
    assert "long" in had_begun and len(had_begun) <= 3
    time.sleep(0.5)
    assert finished == had_begun


def naps_until(count: int, opened: ItemExecutor) -> list[int]:
    """Numbers of the naps that were finished by a run that is stopped after so many."""
    stop = threading.Event()
    found: list[int] = []
    many = (Nap(str(n), 0.2) for n in range(100))
    try:
        for done in run_items(nap, many, control_of(opened, stop=stop)):
            found.append(done.index)
            if len(found) == count:
                stop.set()
    except Stopped:
        return found
    raise AssertionError("the run was not stopped")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def own_scheduler(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler process, and some worker processes."""
    file = folder / "scheduler.json"
    module, common = "distributed.cli.dask_", ["--host", "127.0.0.1", "--no-dashboard"]
    with (folder / "cluster.log").open("wb") as log:

        def start(name: str, *options: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", module + name, *options, *common]
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

        processes = [start("scheduler", "--port", "0", "--scheduler-file", str(file))]
        try:
            for _ in range(200):
                if file.exists() and file.read_text():
                    break
                time.sleep(0.1)
            address = json.loads(file.read_text())["address"]
            processes += [
                start("worker", address, "--nthreads", "1", "--no-nanny") for _ in range(workers)
            ]
            yield address, processes[0]
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_a_lost_scheduler_is_told_in_words(tmp_path: Path) -> None:
    found = []

    def work(executors: Executors, scheduler: subprocess.Popen[bytes]) -> None:
        with executors.of(Spread(), ClusterConfig()) as opened:
            many = (Nap(str(n), 0.05) for n in range(500))
            for done in run_items(nap, many, control_of(opened)):
                found.append(done.index)
                if len(found) == 3:
                    scheduler.kill()

    with (
        own_scheduler(tmp_path, workers=1) as (address, scheduler),
        Executors(tmp_path, 1, address) as executors,
        pytest.raises(PipelineError) as caught,
    ):
        work(executors, scheduler)
    assert caught.value.title == "The cluster is gone"
    assert address in caught.value.message
    assert 3 <= len(found) < 20


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "nonsense", "tcp://no-such-host.invalid:1"]
)
def test_no_scheduler_is_told_in_words(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "CONNECT_S", 0.3)
    resources = Resources(tmp_path, 1, address=address)
    with pytest.raises(PipelineError, match=address), open_executor("cluster", resources):
        pass


def test_a_scheduler_without_workers_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "FIRST_WORKER_S", 0.3)
    with own_scheduler(tmp_path, workers=0) as (address, _):
        resources = Resources(tmp_path, 1, address=address)
        with pytest.raises(PipelineError, match="no workers"), open_executor("cluster", resources):
            pass


class FakeClient:
    """A client of a cluster that answers as it is told."""

    def __init__(self, versions: dict[str, Any], found: dict[str, Any]) -> None:
        self._versions = versions
        self._found = found

    def get_versions(self, packages: list[str]) -> dict[str, Any]:
        return self._versions

    def run(self, function: Any, *args: Any, on_error: str) -> dict[str, Any]:
        return self._found


def test_other_versions_are_refused_by_name() -> None:
    ours = {"packages": {"python": "3.11.7.final.0", "barfield": "0.1.0", "numpy": "2.4.6"}}
    other = {"packages": {**ours["packages"], "python": "3.11.2.final.0", "numpy": "2.1.0"}}
    same = {"client": ours, "scheduler": ours, "workers": {"tcp://a:1": ours}}
    clusters._check_versions(FakeClient(same, {}))
    with pytest.raises(PipelineError) as caught:
        clusters._check_versions(FakeClient({**same, "workers": {"tcp://a:1": other}}, {}))
    assert caught.value.message == "tcp://a:1 has numpy 2.1.0 and not 2.4.6."


@pytest.mark.parametrize(("setting", "expected"), [("auto", False), ("yes", True), ("no", False)])
def test_a_cluster_that_sees_other_files_is_noticed(
    setting: str, expected: bool, tmp_path: Path
) -> None:
    client = FakeClient({}, {"tcp://a:1": None, "tcp://b:1": "an older probe"})
    config = ClusterConfig.model_validate({"shared_files": setting})
    assert clusters._sees_run(client, tmp_path, config) is expected
    assert not list(tmp_path.iterdir())


def test_a_parcel_is_refused_where_it_cannot_be_right(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    call, refs = pack(add, sums(store, tmp_path, 1), {})
    store.flush()
    parcel = parcel_of(call, refs, tmp_path)
    assert len(call) < 1000
    assert run_parcel(parcel, None, None)[0] == 3 + 7
    with pytest.raises(PipelineError, match=r"has barfield .*, the run 0\.0\.9"):
        run_parcel(replace(parcel, version="0.0.9"), None, None)
    with pytest.raises(PipelineError, match="cannot read /nowhere"):
        run_parcel(replace(parcel, root=Path("/nowhere")), None, None)
    lost = parcel_of(call, [ItemRef(store, "numbers", "lost"), refs[1]], tmp_path)
    with pytest.raises(LostItem, match="lost"):
        run_parcel(lost, None, None)


@pytest.mark.parametrize("kind", REMOTE)
def test_other_processes_use_one_thread_for_each_library(kind: Kind, executors: Opened) -> None:
    executor = executors.of_kind[kind].executor
    # The first items import the library, the others find it there.
    futures = [executor.submit(item_work.threads_of_libraries, Nap("a")) for _ in range(8)]
    assert [future.result() for future in futures][-1] == (1, "1")


@pytest.mark.parametrize("kind", REMOTE)
def test_other_processes_end_with_their_parent(kind: Kind, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.engine.item_work", kind, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert 1 <= len(children) <= 2
        assert all(Path(f"/proc/{child}").exists() for child in children)
        parent.kill()
    wait_until(lambda: not any(is_running(child) for child in children))


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class AtHome:
    """As much of a stage as decides where its items are carried out."""

    name: ClassVar[str] = "spread"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type[StageConfig]] = FeaturesConfig

    def run(
        self, inputs: Inputs, config: FeaturesConfig, control: Control
    ) -> Generator[Record, None, Products]:
        yield Progress(0, 0, "items")
        return {}


class Spread(AtHome):
    fan_out: ClassVar[FanOut] = "processes"


@pytest.mark.parametrize(
    ("stage", "address", "workers", "kind"),
    [
        (Spread(), "", 0, "processes"),
        (Spread(), "tcp://a:1", 0, "cluster"),
        (Spread(), "", 2, "cluster"),
        (AtHome(), "tcp://a:1", 2, "threads"),
        (METHOD[0].load(), "tcp://a:1", 0, "threads"),
        (METHOD[1].load(), "tcp://a:1", 0, "cluster"),
        (METHOD[1].load(), "", 0, "threads"),
        (METHOD[3].load(), "", 2, "cluster"),
        (METHOD[4].load(), "", 2, "cluster"),
    ],
)
def test_the_stage_and_the_settings_decide_where(
    stage: Stage, address: str, workers: int, kind: Kind
) -> None:
    resources = Resources(Path(), 1, ClusterConfig(workers=workers), address)
    assert kind_for(stage, resources) == kind


def test_executors_are_kept_from_stage_to_stage_and_made_anew_after_a_failure(
    tmp_path: Path,
) -> None:
    def process(executors: Executors, item: Nap) -> int:
        with executors.of(Spread(), ClusterConfig()) as opened:
            assert not isinstance(opened.executor, RemoteExecutor)
            (done,) = run_items(nap, [item], control_of(opened))
            return int(done.result[1])

    with Executors(tmp_path, 1) as executors:
        first = process(executors, Nap("a"))
        assert process(executors, Nap("b")) == first
        with pytest.raises(Stopped), executors.of(Spread(), ClusterConfig()):
            raise Stopped
        assert process(executors, Nap("c")) == first
        with pytest.raises(PipelineError, match="deadly"):
            process(executors, Nap("deadly", deadly=True))
        assert process(executors, Nap("d")) != first
    assert not is_running(first)
