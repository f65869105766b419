"""An engine without a run, behind a real socket: says what the test lets it say.

As a process (`python -m tests.tui.fake_engine`) it is started like the real one and plays the run
that the variable `FAKE_RUN` describes.
"""

from __future__ import annotations

import argparse
import json
import os
import socketserver
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pipeline.engine import runtime
from pipeline.engine.event_log import EVENTS, EventLog
from pipeline.engine.fold import RunState
from pipeline.engine.log_reader import START
from pipeline.engine.messages import Answer, EventsAnswer
from pipeline.engine.runtime import EngineFile
from pipeline.engine.state import JournalIdentity, run_view, write_snapshot
from pipeline.events import Progress, Record, RunChanged, StageChanged, Warned
from pipeline.process_identity import ProcessIdentity
from pipeline.request import RunRequest
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION

RUN_VARIABLE = "FAKE_RUN"


class FakeEngine:
    """Serves the messages of an engine on a unix socket, from a thread.

    commands: those it got, in order. answers: what it answers to some of them, by `op`. replies:
    raw status and body for a path, instead of a true answer.
    """

    def __init__(self, socket: Path, root: Path, engine: str = "fake", log: Path | None = None):
        self.identity = JournalIdentity(engine, root.name, "here", os.getpid(), time.time())
        self.root = root
        self.state = RunState()
        self.events: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.answers: dict[str, Answer] = {}
        self.replies: dict[str, tuple[int, bytes]] = {}
        self._log = EventLog(log or root / EVENTS)
        self._changed = threading.Condition()
        self._server = _Server(self, socket)
        self._heard = time.monotonic()

    def __enter__(self) -> FakeEngine:
        self._log.open(START)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._log.close()

    def tell(self, stage: str, record: Record) -> None:
        """Let something happen."""
        with self._changed:
            entry = self._log.enter(stage, record)
            self.events.append(entry.data)
            self.state.apply(entry.event)
            self._changed.notify_all()

    def tell_stage(self, name: str, state: Any, why: str = "") -> None:
        """Change a stage."""
        self.tell(name, StageChanged(name, state, 0.5 if state == "done" else 0.0, why))

    def tell_run(self, state: Any, why: str = "", hint: str = "") -> None:
        """Change the run."""
        self.tell("", RunChanged(state, why, hint))

    def keep_state(self) -> None:
        """Write `state.json`, as an engine does at every change of state."""
        write_snapshot(self.root, self.identity, START, self.state.model_dump(mode="json"))

    def sync(self) -> None:
        """Return when `events.jsonl` holds all that happened."""
        self._log.after(lambda place: None).result()

    def quiet_s(self) -> float:
        """Seconds since the last question."""
        return time.monotonic() - self._heard

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        """Status and content for a question."""
        self._heard = time.monotonic()
        if path in self.replies:
            return self.replies[path]
        if path == "/api/state":
            return 200, self._view()
        if path == "/api/events":
            return 200, self._events_since(query)
        if path == "/api/command" and method == "POST":
            command = json.loads(body)
            self.commands.append(command)
            answer = self.answers.get(command["op"], Answer(ok=True, message="Done so."))
            if command.get("confirm"):
                answer = answer.model_copy(update={"ok": True, "message": "Confirmed."})
            return (200 if answer.ok else 409), answer.model_dump(mode="json")
        return 404, {"error": {"title": "Nothing here", "message": path, "hint": ""}}

    def _view(self) -> dict[str, Any]:
        with self._changed:
            view = run_view(self.root, self.identity, self.state, time.monotonic())
        return view.model_dump(mode="json")

    def _events_since(self, query: dict[str, str]) -> dict[str, Any]:
        since = int(query["since"])
        with self._changed:
            self._changed.wait_for(lambda: self.state.seq > since, float(query["wait"]))
            new = [event for event in self.events if event["seq"] > since]
            answer = EventsAnswer(
                engine=self.identity.engine, seq=self.state.seq, events=tuple(new)
            )
        return answer.model_dump(mode="json")


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, engine: FakeEngine, socket: Path) -> None:
        socket.unlink(missing_ok=True)
        super().__init__(str(socket), _Handler)
        self.engine = engine


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        target = urlsplit(self.path)
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        status, content = self.server.engine.answer(self.command, target.path, query, body)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        with suppress(BrokenPipeError):  # who asked may have lost patience
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is for the tests."""


def publish(engine: FakeEngine, identity: ProcessIdentity | None = None) -> EngineFile:
    """Let clients find a fake engine, as if it were that process (by default: this one)."""
    file = EngineFile(
        identity=identity or ProcessIdentity.current(),
        engine=engine.identity.engine,
        run=engine.root.name,
        root=engine.root.resolve(),
        socket=runtime.socket_path(engine.root),
        port=None,
        token="t" * 43,
        view_token="v" * 43,
        version=VERSION,
        started=time.time(),
    )
    runtime.publish(file)
    return file


@dataclass(frozen=True)
class Play:
    """What the process plays: so many steps of one stage, then an end.

    stop_s: how long it takes to stop; quiet_s: how long it stays when nobody asks any more. say:
    words on stderr before anything else. refuse: an error told instead of a start.
    """

    steps: int = 20
    step_s: float = 0.02
    end: Literal["done", "failed", "no model", "exit", "kill"] = "done"
    stop_s: float = 0.1
    quiet_s: float = 0.3
    say: str = ""
    refuse: dict[str, Any] | None = None
    warnings: int = 0
    warning: str = "careful"

    def as_variable(self) -> dict[str, str]:
        """The environment that makes the process play this."""
        return {RUN_VARIABLE: json.dumps(asdict(self))}


def main() -> None:
    """Play a run as an engine process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--tied", type=int)
    arguments = parser.parse_args()
    play = Play(**json.loads(os.environ.get(RUN_VARIABLE, "{}")))
    request = RunRequest.model_validate(json.load(sys.stdin))
    if play.say:
        sys.exit(play.say)
    if play.refuse is not None:
        _tell_ready(arguments.ready_fd, {"error": play.refuse})
        return
    with ExitStack() as stack:
        directory = stack.enter_context(RunDirectory(request.out, VERSION))
        directory.write_request(request)
        runtime.remember(request.out)
        socket = runtime.socket_path(request.out)
        engine = stack.enter_context(FakeEngine(socket, directory.root, f"fake{os.getpid()}"))
        file = publish(engine)
        stack.callback(runtime.withdraw, file)
        _tell_ready(arguments.ready_fd, {"ok": True, "socket": str(socket)})
        _play(engine, directory, play)


def _tell_ready(descriptor: int, told: dict[str, Any]) -> None:
    with os.fdopen(descriptor, "w") as ready:
        ready.write(json.dumps(told) + "\n")


def _play(engine: FakeEngine, directory: RunDirectory, play: Play) -> None:
    engine.tell_run("starting")
    engine.tell_stage("features", "waiting")
    engine.tell_run("running")
    engine.tell_stage("features", "started")
    for _ in range(play.warnings):
        engine.tell("features", Warned(play.warning))
    for step in range(play.steps):
        time.sleep(play.step_s)
        engine.tell("features", Progress(step + 1, play.steps, "photos", f"{step}.jpg"))
        (directory.root / "steps").write_text(str(step + 1))
        if any(command["op"] == "stop" for command in engine.commands):
            engine.tell_run("stopping", "after the step at hand")
            time.sleep(play.stop_s)
            engine.tell_stage("features", "stopped")
            engine.tell_run("stopped")
            engine.keep_state()
            return
    if play.end == "exit":
        os._exit(3)
    if play.end == "kill":
        os.kill(os.getpid(), 9)
    if play.end == "failed":
        failed = StageChanged("features", "failed", 1.0, "boom", "try less", ("last words",))
        engine.tell("features", failed)
        engine.tell_run("failed", "features: boom", "try less")
    else:
        engine.tell_stage("features", "done")
        directory.write_report(_report(models=0 if play.end == "no model" else 1))
        engine.tell_run("done")
    engine.keep_state()
    while engine.quiet_s() < play.quiet_s:
        time.sleep(0.02)
        if any(command["op"] == "stop" for command in engine.commands):
            return


def _report(models: int) -> dict[str, Any]:
    return {
        "images": 5, "refused": 0, "registered": 5 * models, "models": models,
        "model_images": [5] * models, "points": 7, "observations": 21,
        "reprojection_error_px": 0.5, "seconds": {"features": 0.5, "mapping": 0.5},
        "peak_rss_mb": 100.0,
        "complete": True, "wall_s": 1.0,
        "stages": {"features": {"state": "done"}, "mapping": {"state": "done"}},
        "config": {"matching": {"preview_keypoints": 0}},
        "verdicts": [
            {"image": f"{i}.jpg", "registered": bool(models), "reason": "why", "model": None}
            for i in range(5)
        ],
    }  # fmt: skip


if __name__ == "__main__":
    main()
