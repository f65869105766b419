"""Follows a run until it has ended, as a client of its engine."""

from __future__ import annotations

import sys
import time

from pipeline.engine.messages import EventsAnswer, RunView
from pipeline.engine.runtime import EngineFile
from pipeline.engine.state import read_view
from pipeline.errors import PipelineError, Stopped
from pipeline.events import ENDED, Event, Record, StageChanged, Warned
from tui.client import EngineClient, EngineGone, EngineSilent
from tui.progress import Display, records_of
from tui.words import as_sentence

_SECONDS_FOR_NEWS = 0.5
_SECONDS_BETWEEN_QUESTIONS = 0.1
_SECONDS_TO_END = 30.0


def follow(engine: EngineFile, display: Display) -> RunView:
    """Show a run from what it is now to its end; its last state.

    Raises PipelineError where the engine died before the end of the run.
    """
    follower = _Follower(engine, display)
    while True:
        try:
            return follower.until_the_end()
        except EngineGone:
            if not _answers_again(engine):
                view = _last_state(engine)
                follower.catch_up(view)
                return view


def raise_unless_done(view: RunView) -> None:
    """Tell how a run ended that did not come to its end.

    Raises Stopped (after a word about it) or PipelineError with what failed and what to try.
    """
    if view.state == "stopped":
        sys.stderr.write("Stopped. What was finished is kept: the same command continues.\n")
        raise Stopped
    if view.state == "failed":
        again = f"`barfield retry {view.run}` tries it again, and so does the same command."
        hint = as_sentence(view.hint)
        if "barfield" not in hint:  # a hint that names a command says all there is to do
            hint = f"{hint} {again}".lstrip()
        raise PipelineError("The run failed", as_sentence(view.why), hint)


class _Follower:
    """Tells a display what it does not know yet."""

    def __init__(self, engine: EngineFile, display: Display) -> None:
        self._engine = engine
        self._client = EngineClient(engine.socket)
        self._display = display
        self._told: dict[str, tuple[str, str]] = {}  # state and reason of each stage

    def until_the_end(self) -> RunView:
        """Follow from what the run is now; its last state."""
        view = self._client.state()
        self.catch_up(view)
        seq, silent = view.seq, False
        while True:
            asked, ended = time.monotonic(), view.state in ENDED
            wait_s = 0.0 if ended else _SECONDS_FOR_NEWS
            try:
                answer = self._client.events(self._engine.engine, seq, wait_s)
                self._show(answer)
                seq = answer.seq
                if ended and not answer.events:
                    return view
                view = self._client.state()
                silent = False
            except EngineSilent as error:
                if not silent:
                    sys.stderr.write(f"{error.title}; waiting. {error.hint}\n")
                silent = True
            self._display.see(view)
            time.sleep(max(0.0, asked + _SECONDS_BETWEEN_QUESTIONS - time.monotonic()))

    def catch_up(self, view: RunView) -> None:
        """Show what of a view the display does not know; warnings only at first."""
        first = not self._told
        for stage, record in records_of(view):
            if isinstance(record, StageChanged):
                known = self._told.get(stage) == (record.state, record.why)
            else:
                known = isinstance(record, Warned) and not first
            if not known:
                self._tell(stage, record)
        self._display.see(view)

    def _show(self, answer: EventsAnswer) -> None:
        if answer.view is not None:  # more has happened than the engine remembers
            self.catch_up(answer.view)
        for data in answer.events:
            event = Event.from_json(data)
            self._tell(event.stage, event.record)

    def _tell(self, stage: str, record: Record) -> None:
        if isinstance(record, StageChanged):
            self._told[record.stage] = record.state, record.why
        self._display.tell(stage, record)


def _answers_again(engine: EngineFile) -> bool:
    """Whether the engine answers after all, or else is gone for good.

    Raises EngineGone if it neither answers nor ends.
    """
    last = time.monotonic() + _SECONDS_TO_END
    while engine.identity.alive():
        try:
            EngineClient(engine.socket).state()
            return True
        except EngineGone:
            if time.monotonic() > last:
                raise
            time.sleep(0.05)
    return False


def _last_state(engine: EngineFile) -> RunView:
    """The state that an engine left behind. Raises PipelineError if the run had not ended."""
    view = read_view(engine.root)
    if view is not None and view.engine == engine.engine and view.state in ENDED:
        return view
    raise PipelineError(
        "The engine died",
        f"Process {engine.identity.pid} ended in the middle of the run: it was killed, or the "
        "machine ran out of memory.",
        "Nothing that was finished is lost: the same command continues, and so does `barfield "
        f"resume {engine.run}`. {engine.root / 'engine.log'} may say more.",
    )
