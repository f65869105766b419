"""Servers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.viewer.run_to_browse import write_client, write_run_to_browse
from tests.viewer.server import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with its usual limits that the tests of a module share."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a run with everything that is browsed, with a built client."""
    folder = tmp_path_factory.mktemp("browsed")
    write_run_to_browse(folder / "run")
    write_client(folder / "client")
    with running(folder, root=folder / "run") as server:
        yield server
