"""`barfield view` as a process: a run at rest, one that goes on, and what it leaves untouched."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from pipeline.engine.messages import FIRST_PORT, FilmView
from pipeline.engine.runtime import EngineFile, find_engine
from pipeline.formats.bundle import unpack
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import NoField, RefinedCameras
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.engine import viewing_worker
from tests.engine_runs import Host, own_host, until
from tests.fake_engine_process import WORKER
from tests.radiance.test_films import trained_run
from tests.viewer.run_to_browse import write_run_to_browse
from tui.client import EngineClient

FAKE = (sys.executable, "-m", "tests.fake_cli")
MOST_SECONDS = 60.0
LOOK = {
    "seq": 1,
    "width": 64,
    "height": 32,
    "cam_from_world": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]],
    "fov_y_deg": 50,
}
FILM: dict[str, Any] = {
    "op": "render-path",
    "name": "mine",
    "keyframes": [{"position": [n, -4, 0], "look_at": [0, 0, 0], "up": [0, 0, 1]} for n in (0, 1)],
    "frames": 3,
    "width": 24,
    "height": 16,
}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv(WORKER, "tests.engine.viewing_worker")
    with own_host(FAKE) as host:
        yield host


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run with a trained field, which nobody works on."""
    root = tmp_path / "garden"
    write_run_to_browse(root)
    with Workspace(root, VERSION) as place:
        entry = StageEntry(Ingredients("radiance", 1, {}, {}, {}), 1.0, {})
        place.save(entry, {"radiance": NoField("none"), "refined": RefinedCameras(None, "")})
    return root


def files_of(root: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder but the log of who renders, with the times of its changes."""
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.parent.name != "views"
    }


def begin(host: Host, root: Path, *more: str) -> tuple[subprocess.Popen[str], EngineFile]:
    """View a run, until its address is printed."""
    process = host.start("view", str(root), *more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    assert "garden" in lines[0] and "Ctrl-C" in lines[0], (lines, process.stderr)
    engine = find_engine(root)
    assert engine is not None
    return process, engine


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=MOST_SECONDS)
    return process.returncode, err


async def answers(engine: EngineFile, *paths: str) -> list[Any]:
    headers = {"Authorization": f"Bearer {engine.view_token}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{engine.port}", headers=headers) as session:
        found = []
        for path in paths:
            async with session.get(path) as answer:
                assert answer.status == 200, (path, await answer.text())
                found.append(await answer.json())
        return found


async def pictures(engine: EngineFile) -> list[tuple[int, float]]:
    """Step and brightness of the pictures that come for one look."""
    headers = {"Authorization": f"Bearer {engine.view_token}"}
    async with (
        asyncio.timeout(MOST_SECONDS),
        aiohttp.ClientSession(f"http://127.0.0.1:{engine.port}", headers=headers) as session,
        session.ws_connect("/api/frames") as socket,
    ):
        await socket.send_json({"look": LOOK})
        seen: list[tuple[int, float]] = []
        while True:
            header, parts = unpack(await socket.receive_bytes())
            assert header["error"] == ""
            await socket.send_json({"shown": True})
            with Image.open(io.BytesIO(bytes(parts["picture"]))) as image:
                seen.append((header["step"], float(np.array(image).mean())))
            if header["final"]:
                return seen


def test_a_run_at_rest_is_shown_and_nothing_of_it_changes(host: Host, root: Path) -> None:
    before = files_of(root)
    process, engine = begin(host, root)
    state, photographs, config = asyncio.run(
        answers(engine, "/api/state", "/api/photographs", "/api/config")
    )
    assert state["state"] == "stopped" and state["pid"] == engine.identity.pid
    assert "radiance" in [stage["name"] for stage in state["stages"]]
    assert len(photographs["photographs"]) == 7 and "matching.ratio" in config["parameters"]
    assert set(asyncio.run(pictures(engine))) == {(0, viewing_worker.SERVED)}
    refused = EngineClient(engine.socket).command({"op": "resume"})
    assert not refused.ok and "only shows" in refused.message
    assert end(process) == (0, "")
    host.wait_until_empty()
    assert files_of(root) == before
    assert find_engine(root) is None and not engine.path.parent.exists()


def test_a_training_that_was_stopped_is_looked_at_where_it_stands(
    host: Host, tmp_path: Path
) -> None:
    root = tmp_path / "garden"
    write_run_to_browse(root)
    with Workspace(root, VERSION) as place:
        arrays = {"model/x": np.zeros(3, np.float32)}
        place.save_checkpoint("radiance", arrays, {"version": 1, "stage": {"step": 60}})
    process, engine = begin(host, root)
    assert set(asyncio.run(pictures(engine))) == {(60, viewing_worker.SERVED)}
    assert end(process) == (0, "")


def test_a_film_of_a_run_at_rest(host: Host, tmp_path: Path) -> None:
    root = trained_run(tmp_path / "garden")
    process, engine = begin(host, root)
    client = EngineClient(engine.socket)
    answer = client.command(FILM)
    assert answer.ok, answer

    def ended() -> FilmView | None:
        film = client.state().film
        return film if film is not None and film.state != "rendering" else None

    film = until(ended)
    assert (film.state, film.name, film.done, film.total) == ("done", "mine", 3, 3), film
    (renders,) = asyncio.run(answers(engine, "/api/renders"))
    assert [one["name"] for one in renders["films"]] == [film.file]
    assert not client.command(FILM).ok
    assert end(process) == (0, "")
    host.wait_until_empty()


@pytest.mark.parametrize(
    ("options", "serves"), [((), True), (("--no-viewer",), False), (("--headless",), False)]
)
def test_a_run_has_a_viewer_unless_it_is_not_wanted(
    host: Host, tmp_path: Path, options: tuple[str, ...], serves: bool
) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.new("RGB", (64, 48)).save(photographs / "a.jpg")
    command = ("run", str(photographs), "--out", str(tmp_path / "garden"), "--detach", "--json")
    told = json.loads(host.call(*command, *options).out)
    assert (told["port"] is not None) is serves is (told["url"] is not None)
    if serves:
        assert told["port"] >= FIRST_PORT
    assert EngineClient(Path(told["socket"])).command({"op": "stop"}).ok
    host.wait_until_empty()


def test_it_ends_with_its_command_however_that_ends(host: Host, root: Path) -> None:
    process, engine = begin(host, root)
    process.kill()
    process.communicate()
    until(lambda: not engine.identity.alive())
    host.wait_until_empty()


def test_a_detached_one_stays_until_it_is_stopped(host: Host, root: Path) -> None:
    called = host.call("view", str(root), "--detach", "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    engine = find_engine(root)
    assert engine is not None and told["port"] == engine.port
    assert told["url"] == f"http://127.0.0.1:{engine.port}/?token={engine.token}"
    again = json.loads(host.call("view", str(root), "--detach", "--json").out)
    assert again == told
    assert host.call("stop", str(root)).code == 0
    host.wait_until_empty()


def test_a_run_that_is_started_takes_its_place(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKER, "tests.engine.fake_worker")
    photographs, run = tmp_path / "photographs", tmp_path / "garden"
    photographs.mkdir()
    for number in range(3):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(photographs / f"{number}.jpg")
    command = ("run", str(photographs), "--out", str(run), "--headless", "--until", "features")
    assert host.call(*command).code == 0
    process, engine = begin(host, run)
    assert EngineClient(engine.socket).state().state == "done"
    assert host.call(*command).code == 0
    _, err = process.communicate(timeout=MOST_SECONDS)
    assert "its engine has ended" in err
    host.wait_until_empty()


def test_the_engine_of_a_run_that_goes_on_is_asked_for_a_port(host: Host, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.new("RGB", (64, 48)).save(photographs / "a.jpg")
    engine = host.begin(photographs, tmp_path / "garden")  # its only stage takes ages
    assert engine.port is None
    process, found = begin(host, tmp_path / "garden")
    assert found.engine == engine.engine and found.port is not None
    (state,) = asyncio.run(answers(found, "/api/state"))
    assert state["state"] in ("starting", "running"), state
    refused = EngineClient(engine.socket).command(FILM)
    assert not refused.ok and "at work" in refused.message
    assert end(process) == (0, "")
    assert engine.identity.alive()
    assert EngineClient(engine.socket).command({"op": "stop"}).ok
    host.wait_until_empty()


def test_beyond_loopback_only_when_that_is_said_twice(host: Host, root: Path) -> None:
    refused = host.call("view", str(root), "--host", "0.0.0.0")
    assert refused.code == 2 and "--expose" in refused.err
    process = host.start(
        "view", str(root), "--host", "0.0.0.0", "--expose",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert "garden" in process.stdout.readline()
    code, err = end(process)
    assert code == 0 and "open to everybody" in err and "not encrypted" in err.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [(("nothing",), 1, "No such run"), (("--port", "0"), 2, "port"), ((), 2, "RUN")],
)
def test_what_cannot_be_viewed(
    host: Host, arguments: tuple[str, ...], code: int, words: str
) -> None:
    called = host.call("view", *arguments)
    assert called.code == code and words in called.err
