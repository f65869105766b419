"""One stage after the other in a workspace that outlives their failures."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pipeline.config import PairsConfig, RunConfig
from pipeline.config_base import StageConfig
from pipeline.events import Report
from pipeline.runner import ForegroundControl, StageRunner
from pipeline.stage import Control, Inputs
from pipeline.stages import StageEntry
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.fake_stages import Run


class Putting:
    """A stage that needs and makes nothing, and puts an item."""

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type[StageConfig]] = PairsConfig

    def run(self, inputs: Inputs, config: PairsConfig, control: Control) -> Run:
        control.store.put("features", "wanted", {"n": np.zeros(1)})
        yield Report({})
        return {}


def test_a_write_that_failed_after_its_stage_does_not_fail_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def refuse(handle: int) -> None:
        tried.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    entry = StageEntry("pairs", f"{__name__}:Putting", (), (), "vision")
    with Workspace(tmp_path, VERSION) as workspace, ThreadPoolExecutor(1) as executor:
        control = ForegroundControl(workspace.store, executor, 1, threading.Event())
        runner = StageRunner(workspace, control, lambda stage, record: None)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            workspace.store.put("features", "late", {"n": np.zeros(1)})
            assert tried.wait(10)
        assert runner.run(entry, RunConfig(), None).state == "done"
        assert workspace.store.has("features", "wanted")
        assert not workspace.store.has("features", "late")
