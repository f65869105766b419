"""A real run on a disk that fills up: it pauses, says so, and goes on when there is room again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine import fake_worker
from tests.engine.conftest import PHOTOGRAPHS
from tests.engine.watched_loop import held
from tests.engine_runs import Host, progress_of, stage_of, until, view_in
from tests.fake_stages import DELAY_VARIABLE
from tests.run_files import model_files, torn_files
from tui.client import EngineClient

SIZE_MB, ROOM_MB = 8, 300


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "barfield-test", str(folder)]
    try:
        mounted = subprocess.run(mounting, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_pauses_the_run_and_room_lets_it_go_on_to_the_same_model(
    disk: Path, host: Host, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast, run, undisturbed = disk / "ballast", disk / "run", tmp_path / "undisturbed"
    monkeypatch.setenv(fake_worker.STEPS, "400")
    host.begin(photographs, undisturbed)  # beside the other
    monkeypatch.setenv(DELAY_VARIABLE, "0.1")
    engine = host.begin(photographs, run)
    client = EngineClient(engine.socket)

    until(lambda: progress_of(run, "features") > 2)
    fill(ballast)
    view = view_in(run, "paused")
    features = stage_of(view, "features")
    assert features.state == "stopped"
    assert str(run / "features") in view.why and "No space left" in view.why
    assert "Free some space" in view.hint
    refused = host.call_here("set", str(run), "mapping.loss=huber")
    assert (refused.code, refused.err.count("No space left on device")) == (1, 1)
    assert host.call_here("status", str(run)).code == 0
    ballast.unlink()
    assert client.command({"op": "resume"}).ok

    def maps() -> bool:
        if client.state().state == "paused":  # full once more, before the room was there
            client.command({"op": "resume"})
        return progress_of(run, "mapping") > 0

    until(maps)
    assert 2 < features.done < PHOTOGRAPHS, "it was full in the middle of the stage"
    fill(ballast)
    assert client.command({"op": "checkpoint"}).ok
    view = view_in(run, "paused")
    assert str(run / "stages/mapping/checkpoint") in view.why
    # Nobody says so: it goes on by itself, because there is much more room than when it stopped.
    subprocess.run(["mount", "-o", f"remount,size={ROOM_MB}m", str(disk)], check=True)
    view = view_in(run, "done")
    assert (view.pid, view.revision) == (engine.identity.pid, 0)

    host.wait_until_empty()
    assert model_files(run) == model_files(undisturbed)
    assert torn_files(run) == torn_files(undisturbed)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    states = [event["state"] for event in events if event["kind"] == "run"]
    assert states[:3] == ["starting", "running", "paused"] and states[-2:] == ["running", "done"]
    assert 2 <= states.count("paused") <= 4
    assert held(run / "engine.log") == []


def test_on_a_full_disk_no_run_begins(disk: Path, host: Host, photographs: Path) -> None:
    fill(disk / "ballast")
    begun = host.call("run", str(photographs), "--out", str(disk / "run"))
    assert (begun.code, "No space left" in begun.err) == (1, True)
    assert str(disk / "run") in begun.err and "Traceback" not in begun.err
    host.wait_until_empty()


def fill(ballast: Path) -> None:
    """Leave no room on a disk."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
