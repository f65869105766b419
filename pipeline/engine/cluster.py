"""Items on a Dask cluster: one that the user names by its scheduler, or one of this machine.

What a task refers to is read by the workers where they see the same files, which is tried and not
assumed; else it goes through the scheduler, larger items once for all tasks. Results come back
through the scheduler.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dask
import distributed

from pipeline.atomic_files import temporary_beside
from pipeline.config import ClusterConfig
from pipeline.engine.parcels import Content, Ref, is_read_there, pack, parcel_of, run_parcel
from pipeline.errors import PipelineError
from pipeline.item_refs import FileRef, ItemRef
from pipeline.stage import item_name

CONNECT_S = 20.0
FIRST_WORKER_S = 60.0
NO_WORKERS_S = 300.0  # a queue of batch jobs may take and give back all workers in between
SECONDS_BETWEEN_COUNTS = 3.0
ITEMS_PER_THREAD = 4  # more than for local threads: a result takes its time to come back
HELD_BYTES = 2**30
SMALL_BYTES = 2**16
_KEPT = "What was finished is kept."
_MUST_AGREE = (
    "barfield", "dask", "distributed", "numpy", "scipy", "numba", "opencv-python-headless", "torch",
)  # fmt: skip
_SETTINGS = {
    "distributed.admin.large-graph-warning-threshold": "1GB",  # photographs travel in tasks
    "distributed.comm.timeouts.connect": f"{CONNECT_S}s",
}


@contextmanager
def open_cluster(root: Path, config: ClusterConfig, address: str) -> Iterator[ClusterExecutor]:
    """The cluster at an address, or else one of `config.workers` processes of this machine.

    Raises PipelineError where it cannot be reached or started, has no workers, or where versions
    differ; the results of other versions would not be the same.
    """
    with dask.config.set(_SETTINGS), _scheduler(config, address) as scheduler:
        words = f"the cluster at {address}" if address else "the cluster of this machine"
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
        try:
            _wait_for_a_worker(client, words)
            _check_versions(client)
            shared = _sees_run(client, root, config)
            yield ClusterExecutor(client, words, root if shared else None)
        finally:
            client.close(timeout=CONNECT_S)


@contextmanager
def _scheduler(config: ClusterConfig, address: str) -> Iterator[Any]:
    """What a client connects to."""
    if address:
        _require_answer(address)
        yield address
        return
    try:
        cluster = local_cluster(config.workers)
    except (OSError, RuntimeError) as error:
        raise PipelineError(
            "The cluster did not start",
            f"cluster.workers = {config.workers}: {error}.",
            "Try fewer workers, or 0 for threads.",
        ) from error
    with cluster:
        yield cluster


def _require_answer(address: str) -> None:
    """Raise PipelineError unless a scheduler answers.

    A client is only made for one that does. A client that fails to connect leaves its half behind
    to the garbage collector, which may end it in a thread that has just begun, while another client
    waits for that thread with the lock that ending takes: both then wait forever.
    """

    async def call() -> None:
        # Its own timeout does not cover a server that accepts and then says nothing.
        async with asyncio.timeout(CONNECT_S + 1.0):
            comm = await distributed.comm.connect(
                address, timeout=CONNECT_S, **distributed.Security().get_connection_args("client")
            )
            await comm.close()

    try:
        asyncio.run(call())
    # TypeError: tls:// without certificates. MemoryError: a greeting of another kind of server,
    # read as the length of a message.
    except (OSError, ValueError, TypeError, MemoryError) as error:
        told = "" if isinstance(error, MemoryError) else str(error)
        words = told or "something accepts there, but does not speak as a scheduler does"
        raise PipelineError(
            "No cluster",
            f"No scheduler answers at {address}: {words}.",
            "Check --cluster; `dask scheduler` prints its address when it starts.",
        ) from error


def local_cluster(workers: int) -> Any:
    """A Dask cluster of processes of this machine, which no other machine reaches."""
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        # Without a dashboard there is a port for it all the same: any free one.
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    )


class ClusterExecutor(Executor):
    """An executor over a Dask client; also a `RemoteExecutor`.

    words: what messages call the cluster. root: run directory that all workers read, or None.
    """

    def __init__(self, client: Any, words: str, root: Path | None) -> None:
        self._client = client
        self._words = words
        self._root = root
        self._luggage = _Luggage(client, root)
        self._threads = 0
        self._counted = -SECONDS_BETWEEN_COUNTS
        self._last_seen = time.monotonic()

    @property
    def in_flight(self) -> int:
        """Items that keep all present workers busy.

        Raises PipelineError when the cluster is gone or had no workers for some minutes.
        """
        return max(1, ITEMS_PER_THREAD * self.threads)

    @property
    def threads(self) -> int:
        """Threads of all workers, asked every few seconds. Raises as `in_flight`."""
        now = time.monotonic()
        if now - self._counted < SECONDS_BETWEEN_COUNTS:
            return self._threads
        self._require_connection()
        try:
            self._threads = sum(self._client.nthreads().values())
        except OSError as error:
            raise self._gone() from error
        self._counted = now
        if self._threads:
            self._last_seen = now
        elif now - self._last_seen > NO_WORKERS_S:
            raise _no_workers(self._words, NO_WORKERS_S)
        return self._threads

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor's. The future fails with PipelineError when the cluster is gone, or where
        worker after worker died of the item."""
        self._require_connection()
        call, refs = pack(fn, args, kwargs)
        contents = [self._luggage.content(ref) for ref in refs]
        parcel = parcel_of(call, refs, self._root)
        key = f"{getattr(fn, '__name__', 'item')}-{uuid.uuid4().hex}"
        remote = self._client.submit(run_parcel, parcel, *contents, key=key, pure=False)
        outcome: Future[Any] = Future()
        name = item_name(args[0]) if args else "an item"
        remote.add_done_callback(partial(self._deliver, outcome, name))
        # Not `cancel`, which asks the scheduler and waits: what nobody wants is dropped there.
        outcome.add_done_callback(lambda _: remote.release())
        return outcome

    def _deliver(self, outcome: Future[Any], name: str, remote: Any) -> None:
        """Hand over what became of an item; runs in a thread of the client."""
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            outcome.set_result(remote.result())
        except distributed.KilledWorker as error:
            outcome.set_exception(_deadly(name, error))
        # Not by us: then `outcome` would be cancelled too. Or lost before the client knows of it.
        except (CancelledError, distributed.comm.CommClosedError):
            outcome.set_exception(self._gone())
        except OSError as error:
            outcome.set_exception(self._gone() if self._is_lost() else error)
        except BaseException as error:  # whoever waits for the item gets it
            outcome.set_exception(error)

    def _is_lost(self) -> bool:
        return bool(self._client.status != "running")

    def _require_connection(self) -> None:
        if self._is_lost():
            raise self._gone()

    def _gone(self) -> PipelineError:
        return PipelineError(
            "The cluster is gone",
            f"The connection to {self._words} was lost, or it was restarted.",
            f"{_KEPT} Start the cluster, then try again.",
        )


class _Luggage:
    """What tasks need that the workers do not read by themselves.

    Items above SMALL_BYTES become tasks of their own, which give them to all tasks that name them:
    they travel once, and are made again where the worker that held them died. The most recent
    HELD_BYTES of them are kept on the cluster.
    """

    def __init__(self, client: Any, root: Path | None) -> None:
        self._client = client
        self._root = root
        self._run = uuid.uuid4().hex
        self._seen_folders: dict[Path, bool] = {}
        self._held: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._held_bytes = 0

    def content(self, ref: Ref) -> Content:
        """What goes with a task for a ref: nothing, its content, or the promise of it."""
        if isinstance(ref, FileRef):
            return None if self._is_seen(ref.path) else ref.read_bytes()
        if is_read_there(ref, self._root):
            return None
        arrays = ref.arrays()
        size = sum(array.nbytes for array in arrays.values())
        return arrays if size <= SMALL_BYTES else self._hold(ref, arrays, size)

    def _hold(self, ref: ItemRef, arrays: Content, size: int) -> Any:
        key = f"{ref.kind}-{ref.key}-{self._run}"
        if key not in self._held:
            self._held[key] = self._client.submit(_give, arrays, key=key, pure=False), size
            self._held_bytes += size
        self._held.move_to_end(key)
        promise = self._held[key][0]
        while self._held_bytes > HELD_BYTES and len(self._held) > 1:
            _, (oldest, freed) = self._held.popitem(last=False)
            self._held_bytes -= freed
            oldest.release()  # stays as long as a task that is under way needs it
        return promise

    def _is_seen(self, path: Path) -> bool:
        """Whether all workers see a file; those beside it are taken to be the same."""
        if path.parent not in self._seen_folders:
            self._seen_folders[path.parent] = self._root is not None and _is_seen_by_all(
                self._client, path
            )
        return self._seen_folders[path.parent]


def _give(content: Content) -> Content:
    return content


def _is_seen_by_all(client: Any, path: Path) -> bool:
    size = path.stat().st_size
    return set(client.run(_size_of, path, on_error="ignore").values()) == {size}


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _sees_run(client: Any, root: Path, config: ClusterConfig) -> bool:
    """Whether all workers read the run directory: a new file is written there for them to find."""
    if config.shared_files != "auto":
        return config.shared_files == "yes"
    token = uuid.uuid4().hex
    probe = temporary_beside(root / "shared")
    try:
        probe.write_text(token)
        found = client.run(_text_of, probe, on_error="ignore")
        return set(found.values()) == {token}
    finally:
        probe.unlink(missing_ok=True)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _wait_for_a_worker(client: Any, words: str) -> None:
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
    except TimeoutError:
        raise _no_workers(words, FIRST_WORKER_S) from None


def _no_workers(words: str, seconds: float) -> PipelineError:
    return PipelineError(
        "The cluster has no workers",
        f"No worker joined {words} for {seconds:.0f} s.",
        f"{_KEPT} Start workers (`dask worker ADDRESS`), then try again.",
    )


def _check_versions(client: Any) -> None:
    """Refuse a cluster whose results would differ, or which would not understand the tasks."""
    found = client.get_versions(packages=list(_MUST_AGREE))
    ours = _versions(found["client"])
    others = {"the scheduler": found["scheduler"], **found["workers"]}
    different = [
        f"{who} has {package} {theirs.get(package) or 'missing'} and not {version}"
        for who, theirs in ((who, _versions(facts)) for who, facts in others.items())
        for package, version in ours.items()
        if theirs.get(package) != version
    ]
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        raise PipelineError(
            "A cluster of other versions",
            f"{'; '.join(different[:3])}{more}.",
            "Install the same everywhere: pip install -c constraints.txt -e '.[cluster]'",
        )


def _versions(facts: Any) -> dict[str, str | None]:
    packages = facts["packages"]
    python = ".".join(packages["python"].split(".")[:2])
    return {"python": python, **{name: packages.get(name) for name in _MUST_AGREE}}


def _deadly(name: str, error: Any) -> PipelineError:
    return PipelineError(
        "Workers died",
        f"{error.allowed_failures + 1} workers died one after the other while they worked on "
        f"{name}, the last one at {error.last_worker.address}.",
        "Too little memory is the usual reason: give each worker more, or lower "
        f"features.max_size_px. The workers' logs say more. {_KEPT}",
    )
