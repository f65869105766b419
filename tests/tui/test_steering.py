"""The commands that steer a run, and changes that were made while it ran."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import JsonValue

from pipeline.config import RunConfig
from pipeline.engine.messages import Answer
from pipeline.engine.runtime import find_engine
from pipeline.request import Change, GivenPaths, RunRequest
from pipeline.run_directory import REQUEST, read_request
from pipeline.settings import SettingsError, changed_config
from tests.tui.conftest import Barfield
from tests.tui.fake_engine import FakeEngine, Play, publish
from tests.tui.terminals import terminal, until
from tui.kept_changes import Doubt, reconcile, with_assignments
from tui.session import Manner

RATIO, LOSS = "matching.ratio", "mapping.loss"


@pytest.fixture
def running(engine: FakeEngine) -> FakeEngine:
    """A fake engine in the middle of the run `garden`."""
    engine.tell_run("running")
    publish(engine)
    return engine


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("pause", "garden"), {"op": "pause"}),
        (("stop", "garden"), {"op": "stop"}),
        (("checkpoint", "garden"), {"op": "checkpoint"}),
        (("resume", "garden"), {"op": "resume"}),
        (("retry", "garden"), {"op": "retry"}),
        (
            ("retry", "garden", "--from", "mapping"),
            {"op": "retry", "stage": "mapping", "confirm": False},
        ),
        (("run-until", "garden", "matching"), {"op": "run-until", "stage": "matching"}),
        (("run-until", "garden", "all"), {"op": "run-until", "stage": None}),
        (
            ("set", "garden", "matching.ratio=0.7", "mapping.loss=huber", "matching.mutual=false"),
            {
                "op": "set",
                "changes": {RATIO: 0.7, LOSS: "huber", "matching.mutual": False},
                "confirm": False,
            },
        ),
    ],
)  # fmt: skip
def test_a_command_reaches_the_engine_and_its_answer_the_user(
    running: FakeEngine, barfield: Barfield, arguments: tuple[str, ...], command: dict[str, object]
) -> None:
    assert barfield(*arguments) == (0, "Done so.\n", "")
    assert running.commands == [command]
    code, out, _ = barfield(*arguments, "--json")
    assert code == 0 and json.loads(out)["ok"] is True
    refusal = Answer(ok=False, message="It cannot be.", hint="Do else.")
    running.answers[arguments[0]] = refusal
    code, out, err = barfield(*arguments)
    assert (code, out) == (1, "") and "It cannot be." in err and "Do else." in err
    code, out, err = barfield(*arguments, "--json")
    assert (code, err) == (1, "") and json.loads(out)["error"]["hint"] == "Do else."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run-until", "garden", "matchin"), "Did you mean matching?"),
        (("retry", "garden", "--from", "matchin"), "Did you mean matching?"),
        (("set", "garden", "matching.ratio"), "stage.field=value"),
        (("resume", "garden", "--set", "matching.ratio=0.7"), "barfield set garden"),
        (("resume", "garden", "--until", "matching"), "barfield run-until garden matching"),
        (("resume", "garden", "--until", "matchin"), "Did you mean matching?"),
        (("resume", "garden", "--port", "8124"), "barfield view garden --port 8124"),
        (("run-until", "garden", "all", "--port", "8124"), "barfield view garden --port 8124"),
        (("retry", "garden", "--port", "8124"), "barfield view garden --port 8124"),
        (
            ("retry", "garden", "--from", "mapping", "--port", "8124"),
            "barfield view garden --port 8124",
        ),
        (("resume", "garden", "--port", "8124", "--no-viewer"), "--no-viewer exclude each other"),
        (("resume", "garden", "--port", "8124", "--headless"), "--headless exclude each other"),
        (("set", "garden"), "Missing argument"),
    ],
)
def test_what_cannot_be_meant_never_reaches_the_engine(
    running: FakeEngine, barfield: Barfield, arguments: tuple[str, ...], words: str
) -> None:
    code, _, err = barfield(*arguments)
    assert code == 2 and words in err
    assert running.commands == []


def test_a_change_that_runs_stages_again_needs_a_yes(
    running: FakeEngine, barfield: Barfield
) -> None:
    question = Answer(
        ok=False, message="matching, mapping would run again.",
        reruns=("matching", "mapping"), revision=4,
    )  # fmt: skip
    running.answers["set"] = question
    change = ("set", "garden", "matching.ratio=0.7")
    code, out, err = barfield(*change)
    assert (code, out) == (2, "matching, mapping would run again.\n") and "--yes" in err
    code, out, _ = barfield(*change, "--json")
    assert code == 2 and json.loads(out)["reruns"] == ["matching", "mapping"]
    assert [command["confirm"] for command in running.commands] == [False, False]
    assert barfield(*change, "--yes") == (0, "Confirmed.\n", "")
    with terminal(*change) as shown:
        shown.read_until("Go on? [y/N]")
        shown.type("n\n")
        assert shown.end() == 2
    assert "Nothing was changed" in shown.shown
    assert [command["confirm"] for command in running.commands] == [False, False, True, False]
    with terminal(*change) as shown:
        shown.read_until("Go on? [y/N]")
        shown.type("y\n")
        assert shown.end() == 0
    assert running.commands[-1]["confirm"] and running.commands[-1]["base_revision"] == 4


@pytest.mark.parametrize("command", ["pause", "stop", "checkpoint", "set"])
def test_without_an_engine_the_user_is_told_how_to_go_on(
    engine: FakeEngine, barfield: Barfield, command: str
) -> None:
    engine.tell_run("done")
    engine.sync()
    more = ["matching.ratio=0.7"] if command == "set" else []
    code, _, err = barfield(command, "garden", *more)
    assert code == 1 and "it is done" in err and "barfield resume garden" in err
    assert "barfield run-until garden" in err
    assert not (engine.root / REQUEST).exists()


def test_a_stage_runs_again_with_a_yes(running: FakeEngine, barfield: Barfield) -> None:
    running.answers["retry"] = Answer(
        ok=False, message="pairs, mapping would run again.", reruns=("pairs", "mapping")
    )
    again = ("retry", "garden", "--from", "pairs")
    code, out, err = barfield(*again)
    assert (code, out) == (2, "pairs, mapping would run again.\n") and "--yes" in err
    with terminal(*again) as shown:
        shown.read_until("Go on? [y/N]")
        shown.type("y\n")
        assert shown.end() == 0
    assert barfield(*again, "--yes") == (0, "Confirmed.\n", "")
    assert [command["confirm"] for command in running.commands] == [False, False, True, True]


def test_wrong_usage_is_json_where_json_was_asked_for(
    running: FakeEngine, barfield: Barfield
) -> None:
    for command in (("pause",), ("pause", "garden", "--fast"), ("set", "garden", "matching.ratio")):
        code, out, err = barfield(*command, "--json")
        assert (code, err, list(json.loads(out))) == (2, "", ["error"]), command
    assert running.commands == []


def test_a_run_at_rest_goes_on_to_another_last_stage(
    photos_of_a_run: Path, barfield: Barfield
) -> None:
    root = photos_of_a_run
    assert barfield("run", "garden", "--headless", "--until", "features", play=QUICK)[0] == 0
    for quick in (QUICK, Play(steps=2, quiet_s=60)):
        code, out, _ = barfield("run-until", "garden", "matching", play=quick)
        asked = read_request(root)
        assert code == 0 and "5 of 5 photographs" in out
        assert asked is not None and asked.until == "matching"
    code, _, _ = barfield("run-until", "garden", "all", play=QUICK)
    asked = read_request(root)
    assert code == 0 and asked is not None and asked.until is None


def test_a_run_is_resumed_up_to_another_last_stage(
    photos_of_a_run: Path, barfield: Barfield
) -> None:
    root = photos_of_a_run
    options = ("--headless", "--until", "matching")
    assert barfield("run", "garden", *options, play=Play(steps=2, end="kill"))[0] == 1
    for last in ("features", "mapping"):  # also one that is done
        code, out, _ = barfield("resume", "garden", "--until", last, "--plain", play=QUICK)
        asked = read_request(root)
        assert code == 0 and "5 of 5 photographs" in out
        assert asked is not None and asked.until == last


@pytest.mark.parametrize(
    "command", [("resume", "garden"), ("retry", "garden"), ("run-until", "garden", "mapping")]
)
@pytest.mark.parametrize(
    ("options", "dashboard", "port"),
    [
        ((), True, 0),
        (("--no-pictures", "--no-viewer"), True, None),
        (("--plain", "--port", "8199"), False, 8199),
        (("--headless",), False, None),
    ],
)
def test_a_run_at_rest_is_followed_as_it_would_be_by_run(
    photos_of_a_run: Path,
    barfield: Barfield,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    options: tuple[str, ...],
    dashboard: bool,
    port: int | None,
) -> None:
    assert barfield("run", "garden", "--headless", play=Play(steps=2, end="kill"))[0] == 1
    manners: list[Manner] = []

    def run_session(request: RunRequest, manner: Manner) -> bool:
        manners.append(manner)
        return True

    monkeypatch.setattr("tui.session.run_session", run_session)
    monkeypatch.setattr("tui.dashboard.start.can_show", lambda: True)
    for again in (("run", "garden"), command):
        assert barfield(*again, *options)[0] == 0
    expected = Manner(dashboard=dashboard, port=port, pictures="--no-pictures" not in options)
    assert manners == [expected, expected]


def a_change(parameter: str, old: JsonValue, new: JsonValue, revision: int = 1) -> Change:
    """A change that eva made."""
    return Change(parameter=parameter, old=old, new=new, by="eva", revision=revision, time=1.0)


def a_request(*changes: Change, **values: JsonValue) -> RunRequest:
    """What was asked of a run, with some values and changes since."""
    config = changed_config(RunConfig(), {k.replace("__", "."): v for k, v in values.items()})
    return RunRequest(
        paths=GivenPaths(photos=Path("/p")), out=Path("/r"), config=config, changes=changes
    )


def test_the_same_command_keeps_what_was_changed_if_the_user_wants_it() -> None:
    changes = (
        a_change(RATIO, 0.8, 0.7),
        a_change(RATIO, 0.7, 0.6, 2),
        a_change(LOSS, "a", "huber"),
    )
    before = a_request(*changes)
    doubts: list[Doubt] = []

    def keep_all(doubt: Doubt) -> bool:
        doubts.append(doubt)
        return True

    assert reconcile(before.config, before, keep_all) == changes
    assert doubts == [Doubt(RATIO, 0.6, 0.8, "eva"), Doubt(LOSS, "huber", "cauchy", "eva")]
    kept = reconcile(before.config, before, lambda doubt: doubt.parameter == LOSS)
    assert kept == changes[2:]
    assert reconcile(before.config, None, keep_all) == ()


def test_a_command_that_says_something_new_wins_without_a_question() -> None:
    before = a_request(a_change(RATIO, 0.9, 0.7), matching__ratio=0.9)

    def refuse(doubt: Doubt) -> bool:
        raise AssertionError(doubt)

    new = changed_config(before.config, {RATIO: 0.85})
    assert reconcile(new, before, refuse) == ()
    same = a_request(a_change(RATIO, 0.8, 0.7), a_change(RATIO, 0.7, 0.8, 2))
    assert reconcile(same.config, same, refuse) == same.changes


def test_assignments_become_changes() -> None:
    before = a_request(a_change(RATIO, 0.8, 0.7, 3))
    after = with_assignments(before, ["matching.ratio=0.6", "mapping.loss=cauchy"])
    assert after.config == before.config and after.changes[:1] == before.changes
    (added,) = after.changes[1:]
    assert (added.parameter, added.old, added.new, added.revision) == (RATIO, 0.7, 0.6, 4)
    assert added.by.startswith("terminal of ")
    with pytest.raises(SettingsError, match="Unknown"):
        with_assignments(before, ["matching.rato=0.6"])


def test_a_user_without_an_entry_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    (change,) = with_assignments(a_request(), ["matching.ratio=0.6"]).changes
    assert change.by == f"terminal of user {os.getuid()}"


QUICK = Play(steps=2, quiet_s=0.0)


def change_while_it_ran(root: Path, *changes: Change) -> None:
    """As if these changes had been made."""
    request = read_request(root)
    assert request is not None
    changed = request.model_copy(update={"changes": changes})
    (root / REQUEST).write_text(changed.model_dump_json())


def changes_of(root: Path) -> tuple[Change, ...]:
    """What the last engine of a run was told of changes."""
    request = read_request(root)
    assert request is not None
    return request.changes


def test_the_same_command_again_asks_about_changes(
    photos_of_a_run: Path, barfield: Barfield
) -> None:
    root, run = photos_of_a_run, ("run", "garden", "--headless")
    assert barfield(*run, play=QUICK)[0] == 0
    changes = (a_change(RATIO, 0.8, 0.7),)
    change_while_it_ran(root, *changes)
    code, out, _ = barfield(*run, play=QUICK)
    assert code == 0 and "matching.ratio stays 0.7, set while it ran by eva" in out
    assert changes_of(root) == changes
    with terminal(*run, play=QUICK) as shown:
        shown.read_until("[Y/n]")
        shown.type("n\n")
        assert shown.end() == 0
    assert "keep 0.7" in shown.shown and "goes back to 0.8" in shown.shown
    assert changes_of(root) == ()
    change_while_it_ran(root, *changes)
    code, out, _ = barfield(*run, "--discard-changes", play=QUICK)
    assert code == 0 and "stays" not in out and changes_of(root) == ()
    (root / REQUEST).write_text("{")
    code, out, err = barfield(*run, play=QUICK)
    assert code == 0 and "are lost" in err and str(root / REQUEST) in err


def test_a_run_whose_engine_was_killed_is_resumed_as_it_was_asked_for(
    photos_of_a_run: Path, barfield: Barfield
) -> None:
    root = photos_of_a_run
    options = ("--until", "matching", "--set", "matching.ratio=0.9", "--headless")
    code, _, _ = barfield("run", "garden", *options, play=Play(steps=2, end="kill"))
    asked = read_request(root)
    assert code == 1 and asked is not None and asked.config.matching.ratio == 0.9
    moved = root.with_name("moved")
    root.rename(moved)
    code, out, _ = barfield("resume", str(moved), play=QUICK)
    assert code == 0 and "5 of 5 photographs" in out
    assert read_request(moved) == asked.model_copy(update={"out": moved})
    code, _, err = barfield("resume", str(moved), play=QUICK)
    assert code == 1 and "The run is done" in err
    code, _, err = barfield("resume", str(moved), "--set", "matching.rato=1", play=QUICK)
    assert code == 2 and "Did you mean matching.ratio?" in err
    code, out, _ = barfield("retry", str(moved), "--detach", play=QUICK)
    assert code == 1
    resume = ("resume", str(moved), "--detach", "--set", "matching.ratio=0.7")
    code, out, _ = barfield(*resume, play=QUICK)
    assert code == 0 and "barfield attach moved" in out
    assert [change.new for change in changes_of(moved)] == [0.7]
    until(lambda: find_engine(moved) is None)


def test_a_run_that_was_never_asked_for_cannot_be_resumed(
    engine: FakeEngine, barfield: Barfield
) -> None:
    engine.tell_run("running")
    engine.sync()
    code, _, err = barfield("resume", "garden")
    assert code == 1 and f"--out {engine.root}" in err


def test_a_command_on_a_run_of_another_user_s_socket_says_so(
    running: FakeEngine, barfield: Barfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refused)
    code, _, err = barfield("pause", "garden")
    assert code == 1 and "Not your run" in err


def test_an_engine_that_dies_meanwhile_is_said_to_be_gone(
    running: FakeEngine, barfield: Barfield
) -> None:
    running.replies["/api/command"] = 200, b""
    running._server.shutdown()
    running._server.server_close()
    code, _, err = barfield("pause", "garden")
    assert code == 1 and "The engine is gone" in err and "it continues" in err
