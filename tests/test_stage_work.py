"""A stage at work: live changes, checkpoints and what they are good for, when to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import control as control_module
from pipeline.config import MappingConfig
from pipeline.config_base import is_live
from pipeline.errors import Stopped
from pipeline.events import Checkpointed, ParameterChanged, Record, Warned
from pipeline.manifest import Ingredients
from pipeline.products import MemoryStore
from pipeline.runner import ForegroundControl
from pipeline.stage import Checkpoint
from pipeline.stage_work import FieldChange, StageWork
from pipeline.version import VERSION
from pipeline.workspace import Workspace

ERROR_PX = "max_reprojection_error_px"
POSITION = Checkpoint({"errors": np.array([1.0, np.pi])}, {"step": 3, "names": ["a", "b"]})
ASKED = Ingredients(
    "mapping", 2, MappingConfig().model_dump(mode="json"), {"features": "f1"}, {"poses": {"a": "h"}}
)


@dataclass
class Desk:
    """A workspace, and what was told."""

    workspace: Workspace
    told: list[Record] = field(default_factory=list)

    def work(
        self, changed: tuple[str, ...] = (), asked: Ingredients = ASKED, **fields: Any
    ) -> StageWork:
        """The stage at work, from the beginning."""
        section = MappingConfig(**fields)
        asked = replace(asked, config=section.model_dump(mode="json"))
        changes = [change(name, fields.get(name)) for name in changed]
        return StageWork(self.workspace, asked, section, changes, self.told.append)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk in a fresh run directory."""
    with Workspace(tmp_path / "run", VERSION) as workspace:
        yield Desk(workspace)


@pytest.fixture
def stop() -> threading.Event:
    """The wish to stop."""
    return threading.Event()


@pytest.fixture
def control(stop: threading.Event) -> Iterator[ForegroundControl]:
    """A control without a stage."""
    with ThreadPoolExecutor(1) as executor:
        yield ForegroundControl(MemoryStore(), executor, 1, stop)


def change(name: str, value: Any) -> FieldChange:
    """A change by somebody."""
    return FieldChange(name, value, "me", 5)


def test_a_live_change_takes_effect_when_the_stage_asks(desk: Desk) -> None:
    work = desk.work()
    before = work.section
    assert work.latest(0) is before
    work.change(change(ERROR_PX, 2))
    assert work.section is before
    after = work.latest(7)
    assert after == before.model_copy(update={ERROR_PX: 2.0}) and before == MappingConfig()
    assert work.latest(8) is after
    assert desk.told == [ParameterChanged(f"mapping.{ERROR_PX}", 4.0, 2.0, "me", 5, 7)]
    work.change(change(ERROR_PX, 3.0))
    work.change(change("loss", "huber"))
    work.latest(9)
    made = work.made_from()
    assert made.config[ERROR_PX] == 3.0 and made.config["loss"] == "huber"
    # The first value of each field stands before its changes: it decides the result, too.
    assert list(made.live) == [
        [0, ERROR_PX, 4.0], [7, ERROR_PX, 2.0], [9, ERROR_PX, 3.0], [0, "loss", "cauchy"],
        [9, "loss", "huber"],
    ]  # fmt: skip


def test_what_cannot_change_is_told_and_left(desk: Desk) -> None:
    work = desk.work()
    before = work.section
    assert is_live(before, ERROR_PX) and not is_live(before, "seed") and not is_live(before, "x")
    for name, value in ((ERROR_PX, -1), (ERROR_PX, "many"), ("seed", 3), ("x", 1)):
        work.change(change(name, value))
    assert work.latest(1) is before
    assert all(isinstance(record, Warned) for record in desk.told)
    subjects = [record.subject for record in desk.told if isinstance(record, Warned)]
    assert subjects == [f"mapping.{name}" for name in (ERROR_PX, ERROR_PX, "seed", "x")]
    work.change(change(ERROR_PX, 4))  # what it is already
    assert work.latest(2) is before and len(desk.told) == 4
    assert not work.made_from().live and work.made_from() == ASKED


def test_a_checkpoint_comes_back_as_it_was(desk: Desk) -> None:
    assert desk.work().load() is None
    work = desk.work()
    work.save(POSITION, 3)
    assert desk.told == [Checkpointed(3)]
    again = desk.work()
    loaded = again.load()
    assert loaded is not None and loaded.data == POSITION.data
    assert {name: array.tobytes() for name, array in loaded.arrays.items()} == {
        name: array.tobytes() for name, array in POSITION.arrays.items()
    }
    assert again.made_from() == ASKED


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (replace(ASKED, version=3), "another version of mapping"),
        (replace(ASKED, needs={"features": "f2"}), "other inputs"),
        (replace(ASKED, needs={}), "other inputs"),
        (replace(ASKED, given={"poses": {"a": "h", "b": "h"}}), "other inputs"),
    ],
)
def test_a_checkpoint_of_other_inputs_is_not_taken(
    desk: Desk, asked: Ingredients, why: str
) -> None:
    desk.work().save(POSITION, 3)
    assert desk.work((ERROR_PX,), asked).load() is None
    assert desk.told[1:] == [
        Warned(
            f"mapping begins anew: this checkpoint is of {why}",
            "stages/mapping/checkpoint.arrays",
        )
    ]
    assert desk.work((ERROR_PX,)).load() is not None
    assert len(desk.told) == 2


def test_only_live_changes_by_hand_are_compatible_with_a_checkpoint(desk: Desk) -> None:
    desk.work().save(POSITION, 3)
    assert desk.work(seed=1).load() is None
    assert desk.work(("seed",), seed=1).load() is None  # not live
    assert desk.work(max_reprojection_error_px=2.0).load() is None  # another command, no change
    told = [record.message for record in desk.told if isinstance(record, Warned)]
    assert [words.partition("is of ")[2] for words in told] == [
        "another value of seed",
        "another value of seed",
        f"another value of {ERROR_PX}",
    ]
    work = desk.work((ERROR_PX,), max_reprojection_error_px=2.0)
    assert work.load() is not None
    assert work.section == MappingConfig()  # what held when the checkpoint was saved
    assert work.latest(4) == MappingConfig(max_reprojection_error_px=2.0)
    (changed,) = (record for record in desk.told if isinstance(record, ParameterChanged))
    assert (changed.old, changed.new, changed.step) == (4.0, 2.0, 4)
    assert (changed.by, changed.revision) == ("me", 5)
    assert list(work.made_from().live) == [[0, ERROR_PX, 4.0], [4, ERROR_PX, 2.0]]


def test_live_changes_are_in_the_checkpoint(desk: Desk) -> None:
    work = desk.work()
    work.change(change(ERROR_PX, 2.0))
    work.latest(1)
    work.save(POSITION, 3)
    assert desk.work().load() is None  # the configuration from before the change: another run
    again = desk.work(max_reprojection_error_px=2.0)
    assert again.load() is not None
    assert again.latest(4) == MappingConfig(max_reprojection_error_px=2.0)
    assert again.made_from() == replace(
        work.made_from(), live=tuple(map(list, work.made_from().live))
    )
    assert again.made_from().fingerprint == work.made_from().fingerprint
    # Changed back by hand while nothing ran.
    back = desk.work((ERROR_PX,))
    assert back.load() is not None and back.latest(4) == MappingConfig()
    assert back.made_from().config == ASKED.config
    assert back.made_from().fingerprint != ASKED.fingerprint


def test_seconds_count_all_attempts_and_no_pauses(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    work = desk.work()
    now += 10
    work.rested(4)
    assert (work.seconds, work.unsaved_s) == (6, 6)
    work.save(POSITION, 3)
    now += 5
    assert (work.seconds, work.unsaved_s) == (11, 5)
    again = desk.work()
    assert again.load() is not None
    now += 1
    assert (again.seconds, again.unsaved_s) == (7, 1)


def test_without_a_stage_there_are_no_checkpoints(
    control: ForegroundControl, stop: threading.Event
) -> None:
    config = MappingConfig()
    assert control.latest(config, 0) is config
    stop.set()
    assert not control.checkpoint_due(0) and control.load_checkpoint() is None
    with pytest.raises(RuntimeError):
        control.save_checkpoint(POSITION, 0)
    with pytest.raises(Stopped):
        control.poll()


def test_a_stop_waits_for_the_checkpoint_of_the_next_step(
    desk: Desk, control: ForegroundControl, stop: threading.Event
) -> None:
    control.begin(desk.work())
    assert not control.checkpoint_due(0)
    stop.set()  # too late for the checkpoint of this step
    control.poll()
    assert control.checkpoint_due(1)
    control.save_checkpoint(POSITION, 1)
    with pytest.raises(Stopped):
        control.poll()
    with pytest.raises(Stopped):
        control.poll()


def test_a_stage_without_checkpoints_stops_at_once(
    desk: Desk, control: ForegroundControl, stop: threading.Event
) -> None:
    control.begin(desk.work())
    assert not control.checkpoint_due(0)
    control.poll()
    stop.set()
    with pytest.raises(Stopped):
        control.poll()  # in a phase that does not ask


def test_a_checkpoint_is_due_every_few_seconds(
    desk: Desk, control: ForegroundControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert control_module.CHECKPOINT_SECONDS < 10
    control.begin(desk.work())
    assert not control.checkpoint_due(1)
    monkeypatch.setattr(control_module, "CHECKPOINT_SECONDS", 0.01)
    time.sleep(0.02)
    assert control.checkpoint_due(1) and control.checkpoint_due(1)
    monkeypatch.setattr(control_module, "CHECKPOINT_SECONDS", 1000)
    control.save_checkpoint(POSITION, 1)
    assert not control.checkpoint_due(2)


def test_a_checkpoint_of_the_step_at_hand_is_enough(
    desk: Desk,
    control: ForegroundControl,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control_module, "CHECKPOINT_SECONDS", 0.0)
    control.begin(desk.work())
    assert control.checkpoint_due(1)
    control.save_checkpoint(POSITION, 1)
    time.sleep(0.01)
    assert not control.checkpoint_due(1)
    stop.set()  # nothing is lost by it: it waits for no other step
    assert not control.checkpoint_due(1)
    with pytest.raises(Stopped):
        control.poll()
    assert control.checkpoint_due(2)


def test_a_checkpoint_is_due_after_a_live_change(desk: Desk, control: ForegroundControl) -> None:
    work = desk.work()
    control.begin(work)
    work.change(change(ERROR_PX, 2))
    assert not control.checkpoint_due(4)  # it has not taken effect yet
    control.latest(work.section, 4)
    assert control.checkpoint_due(4)
    control.save_checkpoint(POSITION, 4)
    assert not control.checkpoint_due(4)
    work.change(change(ERROR_PX, 3))
    control.latest(work.section, 4)
    assert control.checkpoint_due(4)  # although that step is saved: without this change


def test_a_damaged_checkpoint_is_told_as_soon_as_it_is_found(desk: Desk) -> None:
    desk.work().save(POSITION, 3)
    path = desk.workspace.stage_folder("mapping") / "checkpoint.arrays"
    path.write_bytes(path.read_bytes()[:-1])
    desk.told.clear()
    assert desk.work().load() is None
    (warned,) = desk.told
    assert isinstance(warned, Warned) and str(path) in warned.message
