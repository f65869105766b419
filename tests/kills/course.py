"""Kills the processes of a run again and again, and looks at what becomes of it."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline.engine.messages import RunView, StageView
from pipeline.engine.runtime import EngineFile, find_engine
from pipeline.engine.state import read_view
from pipeline.errors import PipelineError
from pipeline.run_directory import read_manifest
from tests.engine_runs import MOST_SECONDS, Host, gone, kill, state_of, until, workers_of
from tests.kills.costs import (
    first_step_since,
    lost_items,
    most_in_flight,
    saved_step,
    told_of,
    unsaved_s,
)
from tests.kills.plan import (
    ENDING,
    KINDS,
    MOMENTS,
    STAGES,
    STARTING,
    Kill,
    Kind,
    Outcome,
    Plan,
    Reference,
    begin_with_prepared,
)
from tests.run_files import database_digest, model_files, read_plainly, torn_files
from tui.client import EngineClient, EngineGone, EngineSilent

SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_TO_SETTLE = 60.0
MOST_UNSAVED_S = 10.0
RETRY_SHARE = 0.5  # of the killed workers; the others: the same command again
AT_ONCE_SHARE = 0.25  # of the killed engines: started again while the worker is still there


class Watch:
    """Reads the state and the small files of a run all the time, as clients do."""

    def __init__(self, plan: Plan, outcome: Outcome) -> None:
        self.view: RunView | None = None
        self._run = plan.run
        self._outcome = outcome
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ending.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ending.wait(SECONDS_BETWEEN_LOOKS):
            try:
                self._ask()
            except (EngineGone, EngineSilent):
                pass  # it was just killed, or has too much to do
            except PipelineError as error:
                self._outcome.wrong.append(f"served torn: {error.message}")
            self._outcome.wrong += [f"while it ran: {fault}" for fault in read_plainly(self._run)]
            self._outcome.reads += 1

    def _ask(self) -> None:
        engine = find_engine(self._run)
        known = self.view
        if engine is None:
            return
        if known is not None and known.engine == engine.engine and known.state == "done":
            return  # it stays as long as somebody asks
        self.view = EngineClient(engine.socket).state()


class Course:
    """A command that is given again and again until its run is done, however often it is killed;
    then the run is compared with the reference, removed and begun anew."""

    def __init__(
        self,
        host: Host,
        plan: Plan,
        reference: Reference,
        dice: random.Random,
        tell: Callable[[Kill], None],
    ) -> None:
        """tell: is called after each kill."""
        self.outcome = Outcome()
        self._tell = tell
        self._host = host
        self._plan = plan
        self._run = plan.run
        self._reference = reference
        self._dice = dice
        self._client: subprocess.Popen[str] | None = None
        self._is_starting = False
        self._saved: tuple[int, float] | None = None  # step of the checkpoint, time of the kill

    def kill_often(self, of_each_kind: int) -> Outcome:
        """Kill so many workers and engines, in random order, each at a random moment."""
        watch = Watch(self._plan, self.outcome)
        try:
            while left := [k for k in KINDS if len(self.outcome.of(k)) < of_each_kind]:
                self._disturb(left, watch)
            if self._run.exists():
                self._finish()
        except TimeoutError as error:
            raise RuntimeError(f"nothing happens any more: {read_view(self._run)}") from error
        finally:
            watch.close()
        return self.outcome

    def _disturb(self, kinds: Sequence[Kind], watch: Watch) -> None:
        """Kill once, or let the run come to its end if the moments ahead have had their share."""
        if find_engine(self._run) is None and self._client is None:
            self._start()
        choices = [(kind, moment) for kind in kinds for moment in self._due(kind)]
        kind, moment = self._dice.choice(choices) if choices else ("", "")
        engine = self._reach(moment) if moment else None
        if engine is None:
            self._finish()
        elif kind == "worker":
            self._kill_worker(engine, watch)
        else:
            self._kill_engine(engine, watch)

    def _start(self) -> None:
        begin_with_prepared(self._plan)
        pipe = subprocess.PIPE
        self._client = self._host.start(*self._plan.command, stdout=pipe, stderr=pipe)
        self._is_starting = True

    def _due(self, kind: Kind) -> list[str]:
        """The moments ahead that were hit least; only early ones, so that the same run can be
        killed more often."""
        done, hits = self._done(), self.outcome.hits(kind)
        least = min(hits[moment] for moment in self._plan.moments)
        ahead = [
            moment
            for moment in self._plan.moments
            if hits[moment] == least
            and moment not in done
            and (moment != STARTING or (self._is_starting and STAGES[-1] not in done))
        ]
        return ahead[:2]

    def _reach(self, moment: str) -> EngineFile | None:
        """Wait until a moment has come, and then a random share of it; None if the run ended."""

        def engine_or_end() -> EngineFile | bool:
            client = self._client
            return find_engine(self._run) or client is None or client.poll() is not None

        engine = until(engine_or_end)
        if not isinstance(engine, EngineFile):
            return None
        pid, place = engine.identity.pid, MOMENTS.index(moment)
        until(lambda: MOMENTS.index(self._at_hand(pid)) >= place or gone(pid), every_s=0.01)
        self._is_starting = False
        time.sleep(self._dice.uniform(0, self._reference.usual_s[moment]))
        return None if gone(pid) else engine

    def _at_hand(self, engine_pid: int) -> str:
        stages = [stage for stage in workers_of(engine_pid).values() if stage]
        if stages:
            return stages[0]
        return ENDING if STAGES[-1] in self._done() else STARTING

    def _done(self) -> set[str]:
        try:
            return set(read_manifest(self._run).stages)
        except PipelineError:
            return set()  # there is no run yet

    def _kill_worker(self, engine: EngineFile, watch: Watch) -> None:
        """The stage fails, the engine lives until `retry`, or the same command again."""
        pid = engine.identity.pid
        workers = until(lambda: workers_of(pid) or gone(pid))
        if not isinstance(workers, dict):
            return  # the run has ended meanwhile
        victim, stage = max(workers.items(), key=lambda worker: worker[1])
        at, told = stage or self._at_hand(pid), told_of(watch.view, stage)
        kill(victim)
        killed_at = time.time()
        view = self._settled(pid, victim, stage)
        if view is None or view.state != "failed":
            self._note(Kill("worker", at, late=True))
            return
        if not ("kill" in view.why and view.hint):
            self._wrong(f"no words for the death of a worker: {view.why!r}, {view.hint!r}")
        if gone(pid):
            self._wrong(f"the engine died with its worker in {at}")
        self._hear_client(1, "kill")
        self._account(Kill("worker", at), told, killed_at)
        self._look_through(quiet=False)
        if self._dice.random() < RETRY_SHARE:
            called = self._host.call("retry", str(self._run), "--detach")
            if called.code != 0:
                self._wrong(f"retry after a kill in {at}: {called.out}{called.err}")
        else:
            self._start()
        until(lambda: self._goes_on(view))

    def _settled(self, engine_pid: int, victim: int, stage: str) -> RunView | None:
        """The run's state after the kill of a worker: failed, or going on without it because it had
        done its part. None: the engine has ended."""

        def look() -> RunView | bool:
            view = state_of(self._run)
            if view is None:
                return gone(engine_pid)
            superfluous = not stage or stage in self._done()
            others = (at for pid, at in workers_of(engine_pid).items() if pid != victim)
            at_work = superfluous and any(others)
            return view if view.state in ("failed", "done") or at_work else False

        view = until(look, SECONDS_TO_SETTLE)
        return view if isinstance(view, RunView) else None

    def _goes_on(self, failed: RunView) -> bool:
        """Whether a failed run was taken up again, or the command to do so has ended."""
        view, client = state_of(self._run), self._client
        if view is None:
            return client is not None and client.poll() is not None
        return view.engine != failed.engine or view.state != "failed"

    def _kill_engine(self, engine: EngineFile, watch: Watch) -> None:
        """Its worker ends by itself; then, or at once, the same command again."""
        pid = engine.identity.pid
        at, workers = self._at_hand(pid), list(workers_of(pid))
        told = told_of(watch.view, at)
        kill(pid)
        begin = time.monotonic()
        until(lambda: gone(pid))
        # It may have written its last word before the signal came.
        view = read_view(self._run)
        late = view is not None and view.engine == engine.engine and view.state == "done"
        at_once = self._dice.random() < AT_ONCE_SHARE
        if at_once:
            self._start()
        until(lambda: all(map(gone, workers)), SECONDS_TO_SETTLE)
        killed = Kill("engine", at, orphan_s=time.monotonic() - begin, late=late)
        if at_once:
            self._note(killed)
            return
        ended_at = time.time()
        self._hear_client(0 if late else 1, "registered" if late else "The engine died")
        # Also a worker that was just being started, which `workers` does not name.
        with suppress(TimeoutError):
            until(lambda: not self._host.processes(), SECONDS_TO_SETTLE)
        if left := self._host.processes():
            self._wrong(f"left behind after a kill of the engine in {at}: {left}")
        self._account(killed, told, ended_at)
        self._look_through(quiet=True)

    def _account(self, kill: Kill, told: StageView | None, ended_at: float) -> None:
        """Note a kill with its costs."""
        self._check_step()
        redone, unsaved = lost_items(self._run, told), 0.0
        counted = 0 if told is None else told.done
        if kill.at == "mapping":
            unsaved = unsaved_s(self._run, ended_at)
            step = saved_step(self._run)
            self._saved = None if step is None else (step, time.time())
        self._note(replace(kill, counted=counted, redone=redone, unsaved_s=unsaved))
        photos = sum(1 for _ in self._plan.photos.iterdir())
        if redone > most_in_flight(kill.at, photos):
            self._wrong(f"{redone} items of {kill.at} were lost: {told}")
        if unsaved > MOST_UNSAVED_S:
            self._wrong(f"{unsaved:.1f} s of mapping were lost")

    def _note(self, kill: Kill) -> None:
        self.outcome.kills.append(kill)
        self._tell(kill)

    def _check_step(self) -> None:
        """See where mapping began after the kill before, if it has told anything since."""
        if self._saved is not None:
            saved, self._saved = self._saved, None
            step = first_step_since(self._run, saved[1])
            if step is not None:
                self.outcome.resumed += 1
                if step < saved[0]:
                    self._wrong(f"mapping began at step {step}, saved was {saved[0]}")

    def _look_through(self, *, quiet: bool) -> None:
        self.outcome.wrong += [f"torn: {name}" for name in torn_files(self._run, quiet=quiet)]

    def _finish(self) -> None:
        """Let the run come to its end, compare it and remove it."""
        if self._client is None and find_engine(self._run) is None:
            self._start()
        self._hear_client(0, "registered")
        until(lambda: find_engine(self._run) is None)
        view = read_view(self._run)
        if view is None or view.state != "done":
            self._wrong(f"the run ended as {view}")
        self._check_step()
        self._look_through(quiet=True)
        model = model_files(self._run)
        if model != self._reference.model:
            names = model.keys() ^ self._reference.model.keys()
            names |= {n for n, data in model.items() if self._reference.model.get(n) != data}
            self._wrong(f"the model differs in {sorted(names)}")
        if database_digest(self._run) != self._reference.database:
            self._wrong("the database differs")
        shutil.rmtree(self._run)
        self.outcome.runs += 1

    def _hear_client(self, code: int, words: str) -> None:
        """Wait for the end of the command that follows the run, if there is one."""
        if self._client is not None:
            client, self._client = self._client, None
            out, err = client.communicate(timeout=MOST_SECONDS)
            if client.returncode != code or words not in out + err:
                self._wrong(f"the command ended with {client.returncode}:\n{out}{err}")

    def _wrong(self, what: str) -> None:
        self.outcome.wrong.append(what)
