"""People are told that a stage compiles its functions, when and only when it does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numba
import pytest
from numba.core.event import trigger_event

from pipeline.compiling import COMPILING, StageTeller
from pipeline.config import PairsConfig, RunConfig
from pipeline.config_base import StageConfig
from pipeline.events import Metric, Progress, Record
from pipeline.runner import ForegroundControl, StageRunner
from pipeline.stage import Control, Inputs
from pipeline.stages import ENTRIES, FIELD_MESH, IMPORTED_POSES, UNPOSED_RADIANCE, StageEntry
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.fake_stages import Run

STARTED = Progress(0, 3, "pairs", "adding numbers")
WAITING = replace(STARTED, doing=COMPILING)


def added(first: int, second: int) -> int:
    return first + second


class Adding:
    """A stage with a compiled function, which is called on another thread first."""

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type[StageConfig]] = PairsConfig
    compiles: ClassVar[bool] = True

    def run(self, inputs: Inputs, config: PairsConfig, control: Control) -> Run:
        compiled = numba.njit(cache=True)(added)
        yield STARTED
        assert control.executor.submit(compiled, 1, 2).result() == 3
        assert compiled(2, 3) == 5
        yield Progress(3, 3, "pairs")
        return {}


class Silent(Adding):
    """The same, without a word about it."""

    compiles: ClassVar[bool] = False


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a fresh installation."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "compiled"))


def told_by(stage: type[Adding], folder: Path) -> list[Record]:
    """The records of a stage at work in a new workspace, without how it began."""
    entry = StageEntry("pairs", f"{__name__}:{stage.__name__}", (), (), "vision")
    told: list[Record] = []
    with Workspace(folder, VERSION) as workspace, ThreadPoolExecutor(1) as executor:
        control = ForegroundControl(workspace.store, executor, 1, threading.Event())
        runner = StageRunner(workspace, control, lambda _, record: told.append(record))
        runner.run(entry, RunConfig(), None)
    return told[1:]


@pytest.mark.usefixtures("empty_cache")
def test_only_the_first_run_on_a_machine_compiles_and_says_so(tmp_path: Path) -> None:
    end = Progress(3, 3, "pairs")
    assert told_by(Adding, tmp_path / "first") == [STARTED, WAITING, STARTED, end]
    assert told_by(Adding, tmp_path / "second") == [STARTED, end]


@pytest.mark.usefixtures("empty_cache")
def test_a_stage_that_compiles_nothing_is_not_listened_to(tmp_path: Path) -> None:
    assert told_by(Silent, tmp_path) == [STARTED, Progress(3, 3, "pairs")]


def test_what_is_told_meanwhile_does_not_hide_it() -> None:
    told: list[Record] = []
    teller = StageTeller(told.append)
    stage: Any = Adding()
    with teller.listening(stage), trigger_event("numba:compile"):
        with trigger_event("numba:compile"):  # of a function that is called by the other
            teller.tell(STARTED)
        teller.tell(Metric("points", 1.0))
    with trigger_event("numba:compile"):
        teller.tell(STARTED)  # nobody listens any more
    first = Progress(0, None, "", COMPILING)
    assert told == [first, WAITING, Metric("points", 1.0), STARTED, STARTED]


def test_every_stage_with_compiled_functions_says_so() -> None:
    entries = (*ENTRIES, IMPORTED_POSES, UNPOSED_RADIANCE, FIELD_MESH)
    found = {entry.name for entry in entries if getattr(entry.load(), "compiles", False)}
    assert found == {"matching", "verification", "mapping"}
    assert getattr(IMPORTED_POSES.load(), "compiles", False)
