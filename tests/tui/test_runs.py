"""Which run is meant, how it stands, and the commands that look: ls, status, log."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from pipeline.engine import runtime
from pipeline.errors import PipelineError
from pipeline.events import Progress, Warned
from pipeline.process_identity import ProcessIdentity
from pipeline.run_directory import RunDirectory
from pipeline.run_lock import LOCK
from pipeline.version import VERSION
from tests.tui.conftest import Barfield, make_run
from tests.tui.fake_engine import FakeEngine, publish
from tests.tui.test_runtime import dead_process
from tui.log_tail import LogTail
from tui.runs import resolve_run, status_of


@pytest.fixture
def running(engine: FakeEngine) -> FakeEngine:
    """A fake engine in the middle of a run, to be found."""
    engine.tell_run("starting")
    for name in ("ingest", "features", "pairs", "matching"):
        engine.tell_stage(name, "waiting")
    engine.tell_run("running")
    engine.tell_stage("ingest", "started")
    engine.tell_stage("ingest", "done")
    engine.tell_stage("features", "started")
    engine.tell("features", Progress(5, 10, "photos", "b.jpg"))
    engine.tell("features", Warned("few keypoints", "a.jpg"))
    publish(engine)
    return engine


def test_a_run_is_a_folder_a_name_in_runs_or_a_name_on_this_host(
    root: Path, tmp_path: Path
) -> None:
    elsewhere = make_run(tmp_path / "far" / "away")
    for text in ("runs/garden", str(root), "garden", "runs/../runs/garden"):
        assert resolve_run(text) == root
    assert resolve_run("away") == elsewhere


def test_a_name_of_several_runs_is_refused_with_their_folders(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / place / "garden") for place in ("a", "b")]
    with pytest.raises(PipelineError, match="Which run") as error:
        resolve_run("garden")
    assert all(str(folder) in error.value.message for folder in folders)
    here = make_run(tmp_path / "runs" / "garden")
    assert resolve_run("garden") == here  # the one below the current folder is meant


def test_an_unknown_run_is_refused_with_the_nearest_name(root: Path) -> None:
    with pytest.raises(PipelineError, match="No such run") as error:
        resolve_run("gardn")
    assert "Did you mean garden?" in error.value.hint


def test_a_name_that_no_folder_can_have_is_refused_in_words(root: Path) -> None:
    with pytest.raises(PipelineError, match="File name too long"):
        resolve_run("x" * 300)


def test_without_a_name_the_newest_living_run_is_meant(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="No run was started"):
        resolve_run(None)
    old, new = make_run(tmp_path / "old"), make_run(tmp_path / "new")
    assert resolve_run(None) == new
    with FakeEngine(runtime.socket_path(old), old) as engine:
        publish(engine)
        assert resolve_run(None) == old


def test_a_living_run_stands_as_its_engine_says(running: FakeEngine) -> None:
    status = status_of(running.root)
    assert status.state == "running" and not status.elsewhere
    told = status.to_json()
    assert told["stage"] == "features" and told["progress"] == pytest.approx(1.5 / 4)
    assert told["engine"] is True and told["run"] == "garden"


def test_a_run_whose_engine_was_killed_is_interrupted(running: FakeEngine) -> None:
    publish(running, dead_process())
    running.sync()
    status = status_of(running.root)
    assert (status.state, status.engine) == ("interrupted", None)
    assert status.to_json()["stage"] == "features"


def test_a_run_whose_engine_cannot_be_found_is_not_taken_for_dead(
    running: FakeEngine, barfield: Barfield
) -> None:
    """As when old files were cleared out of the runtime folder, or it was another one."""
    running.sync()
    runtime.withdraw(publish(running))
    (running.root / LOCK).write_text(ProcessIdentity.current().model_dump_json())
    assert status_of(running.root).state == "silent"
    for command in ("pause", "resume", "attach"):
        code, _, err = barfield(command, "garden")
        assert code == 1 and "cannot be found" in err and "XDG_RUNTIME_DIR" in err
    running.tell_run("done")
    running.sync()
    assert status_of(running.root).state == "done"


def test_a_run_that_never_began_is_new(root: Path) -> None:
    assert status_of(root).state == "new"


def test_an_engine_that_does_not_answer_is_silent(
    running: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.runs._SECONDS_TO_ANSWER", 0.1)
    done = threading.Event()
    monkeypatch.setattr(running, "answer", lambda *_: (500, done.wait(10)))
    assert status_of(running.root).state == "silent"
    done.set()


def on_another_host(engine: FakeEngine) -> None:
    """What a run looks like on a shared file system when its engine is on another host."""
    engine.sync()
    owner = ProcessIdentity.current().model_copy(update={"host": "tower", "boot_id": "other"})
    (engine.root / LOCK).write_text(owner.model_dump_json())
    runtime.withdraw(publish(engine))


def test_an_engine_on_another_host_is_said_to_be_there(
    running: FakeEngine, barfield: Barfield
) -> None:
    on_another_host(running)
    status = status_of(running.root)
    assert (status.state, status.host, status.elsewhere) == ("running", "tower", True)
    for command in (("pause",), ("resume",), ("attach",), ("log",), ("set", "matching.ratio=1")):
        code, out, err = barfield(command[0], "garden", *command[1:])
        if command[0] != "log":
            assert (code, out) == (1, ""), command
            assert "tower" in err and "another host" in err, command
    code, out, _ = barfield("ls")
    assert code == 0 and f"tower:{running.root}" in out


def test_ls_tells_of_all_runs_of_the_host(
    running: FakeEngine, barfield: Barfield, tmp_path: Path
) -> None:
    make_run(tmp_path / "other")
    code, out, err = barfield("ls")
    head, first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert head.split() == ["run", "state", "stage", "progress", "started", "where"]
    assert first.split() == ["other", "new", "0%", str(tmp_path / "other")]
    assert second.split()[:4] == ["garden", "running", "features", "38%"]
    assert second.endswith(str(running.root)) and " s ago" in second
    code, out, _ = barfield("ls", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["run"] for row in rows] == ["other", "garden"]
    assert rows[1].keys() == {
        "run", "root", "state", "stage", "progress", "started", "host", "engine",
    }  # fmt: skip
    assert (rows[0]["state"], rows[1]["state"]) == ("new", "running")


def test_one_damaged_run_does_not_hide_the_others(
    running: FakeEngine, barfield: Barfield, tmp_path: Path
) -> None:
    damaged = make_run(tmp_path / "damaged")
    (runtime.socket_path(damaged).parent / "engine.json").write_text("{")
    with RunDirectory(damaged, VERSION):
        code, out, _ = barfield("ls", "--json")
        assert code == 0
        assert [(row["run"], row["state"]) for row in json.loads(out)] == [
            ("damaged", "unreadable"),
            ("garden", "running"),
        ]
        code, _, err = barfield("status", "damaged")
        assert code == 1 and "Unreadable engine file" in err
        code, out, _ = barfield("status")
        assert code == 0 and "garden: running" in out
    _, out, _ = barfield("ls", "--json")
    assert [row["state"] for row in json.loads(out)] == ["new", "running"]


def test_ls_without_runs(barfield: Barfield) -> None:
    assert barfield("ls")[0] == 0
    assert barfield("ls", "--json") == (0, "[]\n", "")


def test_status_tells_of_the_stages(running: FakeEngine, barfield: Barfield) -> None:
    code, out, err = barfield("status", "garden")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:2] == ["garden:", "running,"] and str(os.getpid()) in out
    assert ["ingest", "done", "0.5", "s"] in lines
    assert any(line[:2] == ["features", "started"] and "5/10" in line for line in lines)
    assert ["warning:", "a.jpg:", "few", "keypoints"] in lines
    code, out, _ = barfield("status", "--json")
    told = json.loads(out)
    assert code == 0 and told["state"] == "running" and told["view"]["stages"][1]["done"] == 5


def test_names_cannot_write_to_the_terminal(
    running: FakeEngine, barfield: Barfield, tmp_path: Path
) -> None:
    make_run(tmp_path / "x\x1b[31m\nboo")
    running.tell("features", Warned("a\x1b]0;title\x07b", "\x1b[2Jc"))
    for command in (("ls",), ("status", "garden")):
        out = barfield(*command)[1]
        assert "\x1b" not in out and "\x07" not in out
    assert len(barfield("ls")[1].splitlines()) == 3


def test_errors_are_json_where_json_was_asked_for(barfield: Barfield) -> None:
    for command in ("status", "pause", "report", "log"):
        code, out, err = barfield(command, "nothing", "--json")
        told = json.loads(out)["error"]
        assert (code, err, told["title"]) == (1, "", "No such run"), command
        assert set(told) == {"title", "message", "hint"}


def test_log_shows_the_stage_at_hand_or_the_one_that_was_named(
    running: FakeEngine, barfield: Barfield
) -> None:
    log = running.root / "stages" / "features" / "stdout.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(50)) + b"\x1b[31mred\x07\n")
    (running.root / "engine.log").write_text("an engine\n")
    assert barfield("log", "garden", "-n", "2") == (0, "line 49\nred\n", "")
    assert barfield("log", "garden", "engine") == (0, "an engine\n", "")
    code, out, _ = barfield("log", "garden", "features", "-n", "1", "--json")
    assert (code, json.loads(out)) == (0, {"stage": "features", "lines": ["red"]})
    code, out, err = barfield("log", "garden", "pairs")
    assert (code, out) == (0, "") and "not there yet" in err
    code, _, err = barfield("log", "garden", "parirs")
    assert code == 2 and "Did you mean pairs?" in err
    assert barfield("log", "garden", "--follow", "--json")[0] == 2


def test_following_a_log_ends_with_its_engine(running: FakeEngine, barfield: Barfield) -> None:
    log = running.root / "stages" / "features" / "stdout.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthr")
    publish(running, dead_process())
    assert barfield("log", "garden", "features", "--follow", "-n", "1") == (0, "two\n", "")


def test_the_tail_of_a_log_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = LogTail(path)
    assert tail.new_lines() == []
    path.write_text("one\ntw")
    assert tail.new_lines() == ["one"]
    assert tail.new_lines() == []
    with path.open("a") as file:
        file.write("o\nthree\n")
    assert tail.new_lines() == ["two", "three"]
    path.write_text("cut\n")
    assert tail.new_lines() == ["cut"]
    with path.open("a") as file:
        file.write("x" * 200_000 + "\nlast\n")
    assert tail.new_lines() == ["last"]
