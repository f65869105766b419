"""The `Control` of a stage in a worker: its orders come from the engine, through the mailbox."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from pipeline.control import StageControl
from pipeline.engine.orders import (
    ChangeField,
    CheckpointStage,
    End,
    Paused,
    PauseStage,
    ResumeStage,
    StopStage,
)
from pipeline.engine.post import EngineGone, Letter, Mailbox, Outbox
from pipeline.errors import Stopped
from pipeline.stage_work import FieldChange

if TYPE_CHECKING:
    from pipeline.products import ItemStore
    from pipeline.stage_work import StageWork


class WorkerControl(StageControl):
    """Serves orders whenever the stage polls, all of them on the stage's own thread.

    A pause begins with a checkpoint, where the stage makes any: nothing is lost while it lasts.
    heeded: is set when the end of the engine was noticed.
    """

    def __init__(
        self,
        store: ItemStore,
        executor: Executor,
        workers: int,
        mailbox: Mailbox,
        outbox: Outbox,
        heeded: threading.Event,
    ) -> None:
        super().__init__(store, executor, workers)
        self._mailbox = mailbox
        self._outbox = outbox
        self._heeded = heeded
        self._pausing = False
        self._stopping = False
        self._early: list[FieldChange] = []

    def start_over(self) -> None:
        """Forget what was ordered for the stage before."""
        self._stopping = self._pausing = False
        self._early.clear()

    def begin(self, work: StageWork | None) -> None:
        """A stage begins (or has ended: None)."""
        super().begin(work)
        if work is not None:
            for change in self._early:
                work.change(change)
            self._early.clear()

    def look(self) -> None:
        """Take note of all orders that have arrived."""
        while (letter := self._mailbox.take_now()) is not None:
            self._note(letter)

    def interrupting(self) -> bool:
        """Whether the stage is to stop or to pause."""
        return self._stopping or self._pausing

    def interrupt(self) -> None:
        """Raise Stopped, or wait until the pause is over."""
        if self._pausing and not self._stopping:
            self._rest()
        if self._stopping:
            raise Stopped

    def _rest(self) -> None:
        self._outbox.say(Paused(paused=True))
        begin = time.monotonic()
        while self._pausing and not self._stopping:
            self._note(self._mailbox.take())
            if self._checkpoint_asked and self._work is not None:
                self._work.confirm_saved()
                self._checkpoint_asked = False
        if self._work is not None:
            self._work.rested(time.monotonic() - begin)
        if not self._stopping:
            self._outbox.say(Paused(paused=False))

    def _note(self, letter: Letter) -> None:
        match letter:
            case PauseStage():
                self._pausing = True
            case ResumeStage():
                self._pausing = False
            case StopStage():
                self._stopping = True
            case CheckpointStage():
                self._checkpoint_asked = True
            case ChangeField():
                change = FieldChange(letter.field, letter.value, letter.by, letter.revision)
                if self._work is None:
                    self._early.append(change)
                else:
                    self._work.change(change)
            case EngineGone() | End():
                self._stopping = True
                self._mailbox.put_off(letter)
                if isinstance(letter, EngineGone):
                    self._heeded.set()
            case _:  # the next thing to do
                self._mailbox.put_off(letter)
