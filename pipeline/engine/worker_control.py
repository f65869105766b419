"""The `Control` of a stage in a worker: its orders come from the engine, through the mailbox."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from pipeline.control import StageControl
from pipeline.engine.orders import (
    AcknowledgeView,
    ChangeField,
    CheckpointStage,
    End,
    LeaveView,
    Paused,
    PauseStage,
    RenderView,
    ResumeStage,
    StopStage,
)
from pipeline.engine.post import EngineGone, Letter, Mailbox, Outbox
from pipeline.engine.view_post import note_view
from pipeline.errors import Stopped
from pipeline.stage_work import FieldChange
from pipeline.view_desk import LiveDesk

if TYPE_CHECKING:
    from pipeline.products import ItemStore
    from pipeline.stage_work import StageWork


class WorkerControl(StageControl):
    """Serves orders whenever the stage polls, all of them on the stage's own thread.

    A pause begins with a checkpoint, where the stage makes any: nothing is lost while it lasts.
    heeded: is set when the end of the engine was noticed. desk: knows who looks at the scene.
    """

    def __init__(
        self,
        store: ItemStore,
        executor: Executor,
        workers: int,
        mailbox: Mailbox,
        outbox: Outbox,
        heeded: threading.Event,
        desk: LiveDesk,
    ) -> None:
        super().__init__(store, executor, workers)
        self._mailbox = mailbox
        self._outbox = outbox
        self._heeded = heeded
        self.views = self._desk = desk
        desk.look_with(self.look)
        self._pausing = False
        self._stopping = False
        self._early: list[FieldChange] = []
        self._noted = 0

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
            self._serve_or_wait()
            if self._checkpoint_asked:
                self._confirm_saved()
        if self._work is not None:
            self._work.rested(time.monotonic() - begin)
        if not self._stopping:
            self._outbox.say(Paused(paused=False))

    def serve_until_stopped(self) -> None:
        """Render for those who look at the scene, and nothing else."""
        while not self._stopping:
            self._serve_or_wait()

    def _serve_or_wait(self) -> None:
        """Render a little; where there is nothing to render, wait for an order."""
        before = self._noted
        # Who renders looks for orders itself: one that came then may be what was waited for.
        if not self._desk.serve_resting() and self._noted == before:
            self._note(self._mailbox.take())

    def _note(self, letter: Letter) -> None:
        self._noted += 1
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
            case RenderView() | AcknowledgeView() | LeaveView():
                note_view(letter, self._desk)
            case EngineGone() | End():
                self._stopping = True
                self._mailbox.put_off(letter)
                if isinstance(letter, EngineGone):
                    self._heeded.set()
            case _:  # the next thing to do
                self._mailbox.put_off(letter)
