"""A Dask cluster and executors of every kind, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import get_args

import pytest

from pipeline.engine import cluster as clusters
from pipeline.engine.executor import (
    Kind,
    open_executor,
)
from tests.engine.fan_out.opened import Opened, resources_for


@pytest.fixture(scope="package")
def scheduler() -> Iterator[str]:
    """Address of a Dask scheduler with two worker processes."""
    with clusters.local_cluster(2) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="package")
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
