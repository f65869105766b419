"""A Dask cluster: what travels, who is refused, and what happens when parts of it are lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import pytest

from pipeline.config import ClusterConfig
from pipeline.engine import cluster as clusters
from pipeline.engine.executor import (
    Executors,
    Resources,
    open_executor,
)
from pipeline.engine.parcels import pack, parcel_of, run_parcel
from pipeline.errors import PipelineError
from pipeline.item_refs import ItemRef
from pipeline.item_store import DiskStore, LostItem
from pipeline.stage import run_items
from tests.engine.fan_out import item_work
from tests.engine.fan_out.item_work import Nap, add, nap
from tests.engine.fan_out.opened import (
    LARGE,
    ROOT,
    Spread,
    control_of,
    resources_for,
    sums,
    wait_until,
)


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
            wait_until(lambda: file.exists() and bool(file.read_text()))
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
    "address",
    ["tcp://127.0.0.1:9", "nonsense", "tcp://no-such-host.invalid:1", "tls://127.0.0.1:9"],
)
def test_no_scheduler_is_told_in_words(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "CONNECT_S", 0.3)
    resources = Resources(tmp_path, 1, address=address)
    with pytest.raises(PipelineError, match=address), open_executor("cluster", resources):
        pass


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2p1\r\n"])
def test_another_kind_of_server_is_told_in_words(
    greeting: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for the client to speak, and one that speaks first."""
    monkeypatch.setattr(clusters, "CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        connection = threads.submit(server.accept)
        connection.add_done_callback(lambda done: done.result()[0].sendall(greeting))
        resources = Resources(tmp_path, 1, address=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        with (
            pytest.raises(PipelineError, match="No scheduler answers"),
            open_executor("cluster", resources),
        ):
            pass
        connection.result()[0].close()


def test_no_half_a_client_is_left_to_the_garbage_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end at any time, in any thread: also in one that another client waits for."""
    monkeypatch.setattr(clusters, "CONNECT_S", 0.3)
    clients = []
    begin = distributed.Client.__init__
    monkeypatch.setattr(
        distributed.Client, "__init__", lambda self, *a, **k: clients.append(begin(self, *a, **k))
    )
    resources = Resources(tmp_path, 1, address="tcp://127.0.0.1:9")
    with pytest.raises(PipelineError), open_executor("cluster", resources):
        pass
    assert not clients


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


class FakeRemote:
    """The future of an item whose result did not arrive."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> Any:
        raise self._error


def test_a_connection_that_ends_before_the_client_knows_is_told_in_words() -> None:
    executor = clusters.ClusterExecutor(SimpleNamespace(status="running"), "the cluster", None)
    for error, kind in (
        (distributed.comm.CommClosedError("reset by peer"), PipelineError),
        (FileNotFoundError("of the item itself"), FileNotFoundError),
    ):
        outcome: Future[Any] = Future()
        executor._deliver(outcome, "a.jpg", FakeRemote(error))
        with pytest.raises(kind, match="gone" if kind is PipelineError else "itself"):
            outcome.result(0)


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
