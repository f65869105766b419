"""Real engines with fake stages, for a dashboard to follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_host import host as host
from tests.fake_host import write_photographs

PHOTOGRAPHS = 6


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of files that pass for photographs where the stages are fakes."""
    return write_photographs(tmp_path / "photos", PHOTOGRAPHS)
