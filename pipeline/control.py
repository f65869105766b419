"""What every `Control` does, whoever gives the orders: when to tell, when to save, when to stop."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from pipeline.stage import Checkpoint, ConfigT
from pipeline.view_desk import NobodyLooks, ViewDesk

if TYPE_CHECKING:
    from pipeline.products import ItemStore
    from pipeline.stage_work import StageWork

SECONDS_BETWEEN_RECORDS = 0.25
CHECKPOINT_SECONDS = 8.0  # with the step at hand, a kill loses ten seconds


class StageControl:
    """Base of the controls: subclasses say what is wanted, by the three methods below.

    Without a `StageWork` (`begin`) there are no checkpoints and no live changes.
    """

    def __init__(self, store: ItemStore, executor: Executor, workers: int) -> None:
        self.store = store
        self.executor = executor
        self.workers = workers
        self.views: ViewDesk = NobodyLooks()
        self._work: StageWork | None = None
        self._told = 0.0
        self._checkpoint_asked = False
        self._declined = False

    def look(self) -> None:
        """Take note of what has arrived; never waits."""
        raise NotImplementedError

    def interrupting(self) -> bool:
        """Whether the stage is to stop or to pause."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Raise Stopped, or return when the pause is over."""
        raise NotImplementedError

    def begin(self, work: StageWork | None) -> None:
        """A stage begins (or has ended: None)."""
        self._work = work
        self._checkpoint_asked = False
        self._declined = False
        if work is None:
            self.views.while_resting(None)

    def poll(self) -> None:
        """Heed a stop (raises Stopped) or a pause (returns after it)."""
        self.look()
        declined, self._declined = self._declined, False
        # Wanted only since the stage asked for checkpoints: it stops at the next step, with one.
        if self.interrupting() and not declined:
            self.interrupt()

    def due(self) -> bool:
        """True at most four times a second."""
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN_RECORDS:
            return False
        self._told = now
        return True

    def latest(self, config: ConfigT, step: int) -> ConfigT:
        """The configuration with the live changes that arrived since the last call."""
        if self._work is None:
            return config
        self.look()
        latest: ConfigT = self._work.latest(step)
        return latest

    def checkpoint_due(self, step: int) -> bool:
        """Whether to save a checkpoint of a step now. One that has it already is told again where
        somebody asks, and not written again."""
        if self._work is None:
            return False
        self.look()
        if self._work.is_saved(step):
            if self._checkpoint_asked:
                self._confirm_saved()
            self._declined = False  # nothing is left to save: a stop need not wait
            return False
        late = self._work.unsaved_s > CHECKPOINT_SECONDS
        changed = self._work.unsaved_change
        due = late or changed or self._checkpoint_asked or self.interrupting()
        self._declined = not due
        return due

    def save_checkpoint(self, checkpoint: Checkpoint, step: int) -> None:
        """Keep a checkpoint in place of the last one."""
        if self._work is None:
            raise RuntimeError("there is no run directory to keep a checkpoint in")
        self._work.save(checkpoint, step)
        self._checkpoint_asked = False

    def _confirm_saved(self) -> None:
        """Answer whoever asked for a checkpoint with the one that there is."""
        if self._work is not None:
            self._work.confirm_saved()
            self._checkpoint_asked = False

    def keep_preview(self, name: str, picture: bytes) -> str:
        """Keep a small picture; its path below the run directory."""
        return "" if self._work is None else self._work.keep_preview(name, picture)

    def load_checkpoint(self) -> Checkpoint | None:
        """The checkpoint of an earlier attempt, if it can be gone on from."""
        return None if self._work is None else self._work.load()
