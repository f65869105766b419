"""The same products whatever carries out the items, and what happens when that breaks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import get_args

import dask
import pytest

from pipeline.config import ClusterConfig
from pipeline.engine import cluster as clusters
from pipeline.engine.executor import (
    ItemExecutor,
    Kind,
    Resources,
    open_executor,
)
from pipeline.errors import PipelineError, Stopped
from pipeline.item_store import DiskStore, LostItem
from pipeline.products import MemoryStore
from pipeline.stage import run_items
from tests.engine.fan_out import item_work
from tests.engine.fan_out.item_work import Nap, add, nap
from tests.engine.fan_out.opened import (
    LARGE,
    REMOTE,
    ROOT,
    Opened,
    control_of,
    is_running,
    sums,
    wait_until,
)


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


@pytest.mark.parametrize("kind", REMOTE)
def test_an_item_that_kills_its_process_is_named(kind: Kind, tmp_path: Path) -> None:
    # Time for the first to be told of as done.
    naps = [Nap("a.jpg"), Nap("b.jpg", seconds=0.5, deadly=True)]
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


@pytest.mark.parametrize("kind", REMOTE)
def test_other_processes_use_one_thread_for_each_library(kind: Kind, executors: Opened) -> None:
    executor = executors.of_kind[kind].executor
    # The first items import the library, the others find it there.
    futures = [executor.submit(item_work.threads_of_libraries, Nap("a")) for _ in range(8)]
    assert [future.result() for future in futures][-1] == (1, "1")


@pytest.mark.parametrize("kind", REMOTE)
def test_other_processes_end_with_their_parent(kind: Kind, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.engine.fan_out.item_work", kind, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert 1 <= len(children) <= 2
        assert all(Path(f"/proc/{child}").exists() for child in children)
        parent.kill()
    wait_until(lambda: not any(is_running(child) for child in children))
