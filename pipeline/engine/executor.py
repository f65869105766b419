"""The one `Executor` that a stage's items go through: threads, spawned processes, or a cluster.

A stage says by its `fan_out` what its items can stand. Whatever carries them out, results come back
to the process that runs the stage, and only that one writes the run directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from pipeline.config import ClusterConfig
from pipeline.engine.parcels import is_read_there, pack, parcel_of, prepare_process, run_parcel
from pipeline.errors import PipelineError, Stopped
from pipeline.item_refs import FileRef

if TYPE_CHECKING:
    from pipeline.stage import Stage

Kind = Literal["threads", "processes", "cluster"]


@dataclass(frozen=True)
class Resources:
    """What there is to compute with.

    root: of the run; items in its store are read from there. cores: of this machine. cluster: its
    configuration. address: of the Dask scheduler that the user named, or "".
    """

    root: Path
    cores: int
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    address: str = ""


@dataclass(frozen=True, eq=False)
class ItemExecutor:
    """An executor, how many items it works on at a time, and of which kind it is."""

    kind: Kind
    executor: Executor
    workers: int


def kind_for(stage: Stage, resources: Resources) -> Kind:
    """Where the items of a stage are carried out."""
    fan_out: Kind | None = getattr(stage, "fan_out", None)
    if fan_out is not None and (resources.address or resources.cluster.workers):
        return "cluster"
    return fan_out or "threads"


@contextmanager
def open_executor(kind: Kind, resources: Resources) -> Iterator[ItemExecutor]:
    """An executor of a kind, until the end of the block; nothing that it began outlives it.

    Raises PipelineError where the cluster cannot be reached or started, has no workers, or runs
    other versions than this program.
    """
    if kind == "threads":
        with ThreadPoolExecutor(resources.cores, "item") as threads:
            yield ItemExecutor(kind, threads, resources.cores)
    elif kind == "processes":
        with SpawnedProcesses(resources.cores, resources.root) as processes:
            yield ItemExecutor(kind, processes, resources.cores)
    else:
        with _open_cluster(resources) as cluster:
            yield cluster


class Executors:
    """The executors of one process: each is made for the first stage that needs it, and kept."""

    def __init__(self, root: Path, cores: int, address: str = "") -> None:
        self._root = root
        self._cores = cores
        self._address = address
        self._open: dict[Kind, tuple[ItemExecutor, ExitStack]] = {}

    def __enter__(self) -> Executors:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for opened in list(self._open):
            self._close(opened)

    @contextmanager
    def of(self, stage: Stage, cluster: ClusterConfig) -> Iterator[ItemExecutor]:
        """The executor for a stage, while it runs. Raises PipelineError as `open_executor`."""
        resources = Resources(self._root, self._cores, cluster, self._address)
        kind = kind_for(stage, resources)
        if kind not in self._open:
            stack = ExitStack()
            self._open[kind] = stack.enter_context(open_executor(kind, resources)), stack
        try:
            yield self._open[kind][0]
        except Stopped:
            raise
        except BaseException:
            # The failure may be a broken pool or a lost cluster: the next try gets a new one.
            self._close(kind)
            raise

    def _close(self, kind: Kind) -> None:
        _, stack = self._open.pop(kind)
        stack.close()


class SpawnedProcesses(ProcessPoolExecutor):
    """Processes of this machine, one thread each; they end with this one, however it ends."""

    def __init__(self, count: int, root: Path) -> None:
        super().__init__(count, get_context("spawn"), prepare_process)
        self._root = root

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor's; items that the arguments name are read from the run directory."""
        call, refs = pack(fn, args, kwargs)
        contents = [
            None if isinstance(ref, FileRef) or is_read_there(ref, self._root) else ref.arrays()
            for ref in refs
        ]
        return super().submit(run_parcel, parcel_of(call, refs, self._root), *contents)


@contextmanager
def _open_cluster(resources: Resources) -> Iterator[ItemExecutor]:
    try:
        from pipeline.engine.cluster import open_cluster
    except ModuleNotFoundError as error:
        raise PipelineError(
            "No Dask",
            f"A cluster needs the package {error.name}, which is not installed.",
            "Install the extra: pip install -c constraints.txt -e '.[cluster]'",
        ) from error
    with open_cluster(resources.root, resources.cluster, resources.address) as executor:
        yield ItemExecutor("cluster", executor, executor.threads)
