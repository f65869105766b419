"""The connection of a dashboard to one run, from a thread of its own.

It asks the engine, and where there is none, looks at what the run has left behind; it comes back by
itself when an engine is there again. The run never waits for it. Whoever shows the run takes what
is new at a pace of their own: what comes in between is joined, and no queue grows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.engine.messages import (
    Answer,
    ConfigAnswer,
    EventsAnswer,
    MetricAnswer,
    RunView,
    StageView,
)
from pipeline.engine.runtime import EngineFile, find_engine
from pipeline.engine.state import read_view
from pipeline.errors import PipelineError
from pipeline.events import ENDED, Event, Preview
from pipeline.sketches import SKETCHES, SUFFIX, FeaturesSketch, Sketch
from tui.client import EngineClient, EngineGone, EngineSilent
from tui.dashboard.left_behind import (
    newest_sketch,
    past_events,
    past_metrics,
    picture_of,
    sketch_of,
    thumbnail_files,
    verdicts_of,
)
from tui.dashboard.model import Connection, Picture, Update, VerdictView, ViewerAddress

HISTORY_BUCKETS = 400
MOST_EVENTS = 4000
_NOT_YET_OR_ANEW = ("waiting", "stale", "started")


class Client(Protocol):
    """What the link asks of `tui.client.EngineClient`."""

    def state(self) -> RunView: ...

    def events(self, engine: str, since: int, wait_s: float) -> EventsAnswer: ...

    def metric(self, stage: str, name: str, buckets: int) -> MetricAnswer: ...

    def command(self, command: Mapping[str, Any]) -> Answer: ...

    def config(self) -> ConfigAnswer: ...


class Source(Protocol):
    """What a dashboard needs of a link: updates to fold, commands to give."""

    @property
    def root(self) -> Path: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    def take(self) -> Update | None: ...

    def command(self, command: Mapping[str, Any]) -> Answer: ...

    def config(self) -> ConfigAnswer: ...


@dataclass(frozen=True)
class Pace:
    """Seconds. between: questions to the engine. wait: for the first event. answer: for an answer,
    else the engine is silent. search: between looks for an engine. picture: between pictures."""

    between: float = 0.25
    wait: float = 1.0
    answer: float = 4.0
    search: float = 1.0
    picture: float = 5.0


@dataclass
class _News:
    """What has come since it was last taken."""

    events: list[Event] = field(default_factory=list)
    history: dict[tuple[str, str], MetricAnswer] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    sketches: dict[str, Sketch | None] = field(default_factory=dict)
    view: RunView | None = None
    viewer: ViewerAddress | None = None
    verdicts: tuple[VerdictView, ...] | None = None
    fresh: bool = False
    changed: bool = False


class Link:
    """Follows a run. clock: monotonic seconds, for the age of the data. find: the living engine of
    a run directory, or None. connect: a client of it."""

    def __init__(
        self,
        root: Path,
        *,
        pace: Pace = Pace(),
        pictures: bool = True,
        clock: Callable[[], float] = time.monotonic,
        find: Callable[[Path], EngineFile | None] = find_engine,
        connect: Callable[[Path, float], Client] = EngineClient,
    ) -> None:
        self.root = root
        self._pace = pace
        self._pictures = pictures
        self._clock = clock
        self._find = find
        self._connect = connect
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._news = _News()
        self._connection = Connection()
        self._at = clock()
        self._engine = ""  # whose data was told last
        self._seq = 0
        self._left: tuple[int, str] | None = None
        self._shown: dict[str, tuple[str, float]] = {}  # newest picture of a stage, and when
        self._captions: dict[str, tuple[str, str]] = {}  # that a stage told of last, and its words
        self._mapped = ""
        self._sketched: dict[str, tuple[str, str]] = {}  # state of a stage, and its newest sketch
        self._weakest = ""  # the photograph with the fewest keypoints
        self._thumbnails: dict[str, str] = {}

    def start(self) -> None:
        """Begin. The thread is a daemon: a dashboard that ends does not wait for an answer."""
        threading.Thread(target=self._work, name="link", daemon=True).start()

    def close(self) -> None:
        """End after the question at hand."""
        self._closed.set()

    def take(self) -> Update | None:
        """What is new since the last call, or None."""
        with self._lock:
            news = self._news
            if not news.changed:
                return None
            self._news = _News()
            return Update(
                connection=self._connection,
                at=self._at,
                view=news.view,
                events=tuple(news.events),
                history=tuple(news.history.values()),
                pictures=tuple(news.pictures.values()),
                sketches=news.sketches,
                verdicts=news.verdicts,
                viewer=news.viewer,
                fresh=news.fresh,
            )

    def command(self, command: Mapping[str, Any]) -> Answer:
        """Give a command to the living engine; blocks, so call it beside the event loop.

        Raises PipelineError where there is no engine, or none that answers.
        """
        return self._client().command(command)

    def config(self) -> ConfigAnswer:
        """The current configuration; as `command`."""
        return self._client().config()

    def _client(self) -> Client:
        engine = self._find(self.root)
        if engine is None:
            raise PipelineError(
                "The run does not go on",
                f"No engine works on {self.root.name}.",
                "Start it again with t, or with `barfield resume`.",
            )
        return self._connect(engine.socket, self._pace.answer)

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                self._look()
            except EngineSilent as error:
                self._say(Connection("silent", error.title, error.hint))
            except EngineGone as error:
                self._say(Connection("gone", error.title, "Looking for it again."))
            except PipelineError as error:
                self._say(Connection("refused", f"{error.title}: {error.message}", error.hint))
            except (OSError, ValueError) as error:
                self._say(Connection("refused", f"{type(error).__name__}: {error}"))
            self._closed.wait(self._pace.search)

    def _look(self) -> None:
        """Follow the engine that is there, or tell what is left of the run."""
        engine = self._find(self.root)
        if engine is not None:
            self._follow(engine)
            return
        view = read_view(self.root)
        if view is None:
            self._say(Connection("left", "Nothing is recorded of this run yet"))
            return
        words = (
            "No engine: this is what the run left behind"
            if view.state in ENDED
            else "The engine is gone: it was killed, or the machine ran out of memory"
        )
        hint = "" if view.state == "done" else "t starts it again where it was"
        if (view.seq, view.engine) != self._left:
            self._left = view.seq, view.engine
            self._begin(view, ViewerAddress(None), past_metrics(self.root, HISTORY_BUCKETS))
            self._engine = ""
        self._say(Connection("left", words, hint))

    def _follow(self, engine: EngineFile) -> None:
        """Ask an engine until it is gone."""
        client = self._connect(engine.socket, self._pace.answer)
        view = client.state()
        if engine.engine == self._engine and self._connection.state == "silent":
            seq = self._seq  # it only did not answer for a while
        else:
            seq = view.seq
            self._begin(view, ViewerAddress(engine.port, engine.token), _history(client, view))
            self._engine, self._left = engine.engine, None
        self._say(Connection("live"))
        while not self._closed.is_set():
            asked = time.monotonic()
            wait_s = 0.0 if view.state in ENDED else self._pace.wait
            answer = client.events(engine.engine, seq, wait_s)
            view = client.state()
            self._tell(answer, view)
            self._seq = seq = answer.seq
            self._closed.wait(max(0.0, asked + self._pace.between - time.monotonic()))

    def _begin(self, view: RunView, viewer: ViewerAddress, history: list[MetricAnswer]) -> None:
        """Tell all there is: what was told before is of another engine, or has gaps."""
        events = [event for event in past_events(self.root) if event.seq <= view.seq]
        self._shown.clear()
        self._sketched.clear()
        self._thumbnails.clear()
        self._mapped = self._weakest = ""
        with self._lock:
            self._news = _News(fresh=True, view=view, viewer=viewer, events=events[-MOST_EVENTS:])
            self._news.history = {(answer.stage, answer.name): answer for answer in history}
            self._change()
        self._look_at_products(view, events)

    def _tell(self, answer: EventsAnswer, view: RunView) -> None:
        events = []
        for data in answer.events:
            try:
                events.append(Event.from_json(data))
            except ValueError:
                continue  # of a later version: the state has what matters
        with self._lock:
            self._connection = Connection("live")
            news = self._news
            news.view = view
            news.events += events
            del news.events[:-MOST_EVENTS]
            self._change()
        self._look_at_products(view, events)

    def _say(self, connection: Connection) -> None:
        with self._lock:
            if connection != self._connection:
                self._connection = connection
                self._news.changed = True

    def _change(self) -> None:
        self._news.changed = True
        self._at = self._clock()

    def _look_at_products(self, view: RunView, events: list[Event]) -> None:
        """Read what events only name: sketches, now and then a picture, the verdicts when mapping
        is done."""
        for stage in view.stages:
            if stage.name in SKETCHES:
                self._look_for_sketch(stage)
        for event in events:
            if isinstance(event.record, Preview):
                self._captions[event.stage] = event.record.file, _caption(event.record)
        for stage in view.stages if self._pictures else ():
            file, caption = self._picture_of(stage)
            if not file:
                self._shown.pop(stage.name, None)  # a stage that runs anew may use a name again
                continue
            shown, since = self._shown.get(stage.name, ("", -self._pace.picture))
            if file == shown or time.monotonic() < since + self._pace.picture:
                continue
            self._shown[stage.name] = file, time.monotonic()
            picture = picture_of(self.root, stage.name, file, caption)
            with self._lock:
                self._news.pictures[stage.name] = picture
                self._news.changed = True
        mapping = next((stage for stage in view.stages if stage.name == "mapping"), None)
        told = "" if mapping is None else f"{view.engine} {mapping.state} {mapping.seconds}"
        if mapping is not None and mapping.state in ("done", "skipped") and told != self._mapped:
            self._mapped = told
            verdicts = verdicts_of(self.root)
            with self._lock:
                self._news.verdicts = verdicts
                self._news.changed = True

    def _look_for_sketch(self, stage: StageView) -> None:
        """Read the newest sketch of a stage; also the last one again when the stage ends, and where
        an earlier engine carried it out, what that has left."""
        file = stage.preview if stage.preview.endswith(SUFFIX) else ""
        told = stage.state, file
        if self._sketched.get(stage.name) == told:
            return
        self._sketched[stage.name] = told
        if not file and stage.state not in _NOT_YET_OR_ANEW:
            file = newest_sketch(self.root, stage.name)
        sketch = sketch_of(self.root, stage.name, file) if file else None
        if isinstance(sketch, FeaturesSketch):
            self._weakest = sketch.weakest[0][0] if sketch.weakest else ""
        if sketch is None and file:
            return  # one that was replaced meanwhile: the next one comes soon
        with self._lock:
            self._news.sketches[stage.name] = sketch
            self._news.changed = True

    def _picture_of(self, stage: StageView) -> tuple[str, str]:
        """The picture that a stage shows at present, and its caption: of features, the photograph
        at hand, or when all are done the weakest one."""
        if stage.name != "features":
            file, caption = self._captions.get(stage.name, ("", ""))
            shown = "" if stage.preview.endswith(SUFFIX) else stage.preview
            return shown, caption if file == shown else ""
        name = stage.doing if stage.state == "started" else self._weakest
        if name and not self._thumbnails:
            self._thumbnails = thumbnail_files(self.root)
        return self._thumbnails.get(name, ""), name


def _caption(told: Preview) -> str:
    """What a picture shows, and how near it comes where that is known."""
    return told.view if told.psnr is None else f"{told.view}, step {told.step}, {told.psnr:.1f} dB"


def _history(client: Client, view: RunView) -> list[MetricAnswer]:
    found = []
    for metric in view.metrics:
        try:
            found.append(client.metric(metric.stage, metric.name, HISTORY_BUCKETS))
        except (EngineGone, EngineSilent):
            raise
        except PipelineError:
            continue  # it has no such metric any more
    return found
