"""Real engines with fake stages, for a dashboard to follow."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_host import host as host
from tests.fake_host import write_photographs

PHOTOGRAPHS = 6


@pytest.fixture(scope="package", autouse=True)
def collected_rarely() -> Iterator[None]:
    """A fifth of these tests' time went to Python's collector, which looked at all that was
    imported whenever a screen was taken apart."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*before[:2], 100)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of files that pass for photographs where the stages are fakes."""
    return write_photographs(tmp_path / "photos", PHOTOGRAPHS)
