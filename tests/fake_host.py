"""A host whose engines have fake stages, and files that pass for photographs there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fake_engine_process
from tests.engine import troubled_worker
from tests.engine_runs import CHECKOUT, FAKE_BARFIELD, Host, own_host
from tui import launch


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Host]:
    """A host whose engines have fake stages, which get into trouble as the file `trouble` says."""
    monkeypatch.setenv(fake_engine_process.WORKER, troubled_worker.MODULE)
    monkeypatch.setenv(troubled_worker.TROUBLE, str(tmp_path / "trouble"))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setattr(launch, "ENGINE_COMMAND", fake_engine_process.COMMAND)
    with own_host(FAKE_BARFIELD) as host:
        yield host


def write_photographs(folder: Path, count: int) -> Path:
    """Make the folder with so many files that pass for photographs where the stages are fakes."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.jpg").write_bytes(b"jpeg %d" % number)
    return folder
