"""The journal: what is told reaches log, state, metrics and clients, in order, whatever happens."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.event_log import EVENTS
from pipeline.engine.log_reader import LogReader
from pipeline.engine.messages import EventsAnswer
from pipeline.engine.state import (
    STATE,
    read_snapshot,
    read_view,
)
from pipeline.events import (
    Checkpointed,
    Metric,
    ParameterChanged,
    Progress,
    Report,
    RunChanged,
    StageChanged,
    Warned,
)
from tests.engine.journals import STARTED, STARTING, logged, open_journal


def kinds(answer: EventsAnswer) -> list[tuple[str, Any]]:
    """Kind, and what tells the record from others of its kind."""
    assert answer.view is None
    keys = ("done", "value", "message", "state", "step")
    return [(e["kind"], next((e[k] for k in keys if k in e), None)) for e in answer.events]


def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            journal.tell("mapping", STARTED)
            journal.tell("mapping", ParameterChanged("mapping.loss", 1, 2, "me", 3))
            journal.tell_many("mapping", [Progress(3, 9, "photos"), Metric("points", 7.0, 1, "")])
        first = read_view(tmp_path)
        assert first is not None
        assert (first.state, first.revision, first.stages[0].done) == ("starting", 3, 3)
        snapshot = read_snapshot(tmp_path)
        assert snapshot is not None
        assert snapshot.place.offset == (tmp_path / EVENTS).stat().st_size
        async with open_journal(tmp_path, "e2") as journal:
            view = journal.view()
            assert (view.engine, view.seq) == ("e2", first.seq)
            assert view.metrics == first.metrics
            assert view.stages[0].done == 3
            journal.tell("", STARTING)
            assert journal.view().seq == first.seq + 1
            assert journal.view().stages == ()
            answer = await journal.metric("mapping", "points", 10)
            assert [bucket.last for bucket in answer.buckets] == [7.0]
            with pytest.raises(KeyError):
                await journal.metric("mapping", "loss", 10)

    asyncio.run(main())
    reader = LogReader(tmp_path / EVENTS)
    assert [event.record for event in reader][-1] == STARTING
    assert reader.damages == []


def test_metrics_survive_the_loss_of_the_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell("mapping", Metric("loss", 2.0, 5, "px"))
        (tmp_path / STATE).unlink()
        async with open_journal(tmp_path) as journal:
            (metric,) = journal.view().metrics
            assert (metric.stage, metric.name, metric.value, metric.step, metric.unit) == (
                "mapping", "loss", 2.0, 5, "px",
            )  # fmt: skip

    asyncio.run(main())


def test_what_comes_often_is_told_before_what_ends_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            seq = journal.view().seq
            many = [Progress(done, 50, "photos") for done in range(50)]
            values = [Metric("loss", float(step), step) for step in range(50)]
            journal.tell_many("mapping", [STARTED, *many, *values, Warned("odd")])
            journal.tell("features", Progress(1, 2, "photos"))
            journal.tell("mapping", StageChanged("mapping", "done", 1.0))
            answer = await journal.events_since("e1", seq, 0.0)
            assert kinds(answer) == [
                ("stage", "started"),
                ("warning", "odd"),
                ("progress", 49),
                ("metric", 49.0),
                ("stage", "done"),
            ]
            journal.tell("", RunChanged("paused"))
            answer = await journal.events_since("e1", answer.seq, 0.0)
            assert kinds(answer) == [("progress", 1), ("run", "paused")]
            curve = await journal.metric("mapping", "loss", 100)
            assert [bucket.last for bucket in curve.buckets] == [float(n) for n in range(50)]

    asyncio.run(main())
    assert logged(tmp_path) == [
        STARTING,
        STARTED,
        Warned("odd"),
        Progress(49, 50, "photos"),
        StageChanged("mapping", "done", 1.0),
        Progress(1, 2, "photos"),
        RunChanged("paused"),
    ]


def test_what_comes_often_is_told_by_itself_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            place = journal.subscribe()
            journal.tell_many("mapping", [Progress(n, 9, "photos") for n in range(5)])
            journal.tell_many("mapping", [Report({"n": n}) for n in range(5)])
            batch = await place.next_batch()
            assert batch is not None
            assert [(e["kind"], e.get("done"), e.get("data")) for e in batch] == [
                ("progress", 4, None),
                ("report", None, {"n": 4}),
            ]

    asyncio.run(main())


def test_a_flood_of_warnings_is_thinned_and_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            journal.tell("mapping", STARTED)
            journal.tell_many("mapping", [Warned(f"odd {n}") for n in range(500)])
            journal.tell_many("features", [Warned(f"other {n}") for n in range(20)])
            journal.tell("mapping", StageChanged("mapping", "done"))
            journal.tell("", Warned("x" * 100_000))

    asyncio.run(main())
    told = [record.message for record in logged(tmp_path) if isinstance(record, Warned)]
    mapping = [message for message in told if message.startswith("odd")]
    assert mapping == [f"odd {n}" for n in range(20)]
    assert sum(message.startswith("other") for message in told) == 20
    assert "and 480 more warnings" in told
    assert 1000 < len(told[-1]) < 3000


def test_held_warnings_are_told_while_the_stage_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell_many("mapping", [Warned(f"odd {n}") for n in range(50)])
            seq = journal.view().seq
            answer = await journal.events_since("e1", seq, 20.0)
            assert kinds(answer) == [("warning", "and 30 more warnings")]

    asyncio.run(main())


def test_damage_is_told_when_the_run_starts(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            journal.tell("mapping", Metric("loss", 1.0))
        (tmp_path / STATE).unlink()
        log = tmp_path / EVENTS
        log.write_bytes(b"rubbish\n" + log.read_bytes())
        (metric,) = (tmp_path / "metrics").iterdir()
        metric.write_bytes(b"rubbish")
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            first, second = journal.view().warnings
            assert f"{EVENTS}: line 1 " in first
            assert metric.name in second
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            assert journal.view().warnings == ()  # once is enough

    asyncio.run(main())


def test_a_late_or_foreign_client_gets_the_whole_state(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell("", STARTING)
            for engine, seq in (("", 0), ("e0", 1), ("e1", 0 - 1), ("e1", 2)):
                answer = await journal.events_since(engine, seq, 20.0)
                assert answer.view is not None and answer.events == ()
                assert (answer.engine, answer.seq) == ("e1", answer.view.seq)
        async with open_journal(tmp_path, "e2") as journal:
            answer = await journal.events_since("e2", 0, 20.0)
            assert answer.view is not None  # events of the last engine are not at hand

    asyncio.run(main())


def test_a_poll_waits_for_the_first_event(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            seq = journal.view().seq
            answer = await journal.events_since("e1", seq, 0.01)
            assert (answer.events, answer.view, answer.seq) == ((), None, seq)
            polls = [asyncio.create_task(journal.events_since("e1", seq, 20.0)) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert not any(poll.done() for poll in polls)
            journal.tell("", STARTING)
            for answer in await asyncio.gather(*polls):
                assert kinds(answer) == [("run", "starting")]
                assert answer.seq == seq + 1

    asyncio.run(main())


def test_numbers_that_are_none_reach_no_client(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            journal.tell_many("a", [Metric("loss", math.nan), Metric("n", None)])  # type: ignore[arg-type]
            journal.tell("a", Report({"mean": math.inf, "name": "\udcff"}))
            journal.tell("a", Checkpointed(1))
            answer = await journal.events_since("e1", 0, 0.0)
            assert [e.get("value", e.get("data")) for e in answer.events] == [
                None, None, {"mean": None, "name": "\\udcff"}, None,
            ]  # fmt: skip
            answer.model_dump_json()
            assert [metric.value for metric in journal.view().metrics] == [None, None]
            journal.view().model_dump_json()

    asyncio.run(main())


def test_snapshots_follow_long_talk(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path) as journal:
            for stage in range(120):
                journal.tell_many(f"stage {stage}", [Warned(f"{n}") for n in range(20)])
            await journal.durable()
            snapshot = read_snapshot(tmp_path)
            assert snapshot is not None
            assert 1000 <= snapshot.state.seq <= 2400

    asyncio.run(main())


def test_the_journal_needs_none_of_the_heavy_libraries() -> None:
    heavy = ("numpy", "numba", "cv2", "torch", "open3d", "scipy", "textual", "rich", "aiohttp")
    code = (
        "import sys, pipeline.engine.journal\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
