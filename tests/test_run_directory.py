"""Who may write a run directory, and what several processes of one run do to its manifest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.manifest import Ingredients, StageEntry
from pipeline.process_identity import ProcessIdentity
from pipeline.request import Change, GivenPaths, RunRequest
from pipeline.run_directory import DamagedManifest, RunDirectory, read_manifest, read_request
from pipeline.run_lock import LOCK, lock_owner
from pipeline.settings import load_settings

VERSION = "0.1.0"
HEAD = f"""
import subprocess, sys
from pathlib import Path
from pipeline.manifest import Ingredients, StageEntry
from pipeline.run_directory import RunDirectory
root, version = Path(sys.argv[1]), {VERSION!r}
def told(word):
    print(word, flush=True)
def entry(stage):
    return StageEntry(Ingredients(stage, 1, {{}}, {{}}, {{}}), 1.0, {{}})
"""
HOLDER = """
with RunDirectory(root, version):
    told("ready")
    sys.stdin.read()
"""
ENGINE = """
with RunDirectory(root, version) as directory:
    fd = directory.lock_fd
    worker = subprocess.Popen(
        [sys.executable, "-c", sys.argv[2], str(root), str(fd)], pass_fds=(fd,)
    )
    worker.wait()
"""
WORKER = """
with RunDirectory(root, version, lock=int(sys.argv[2])) as directory:
    directory.record(entry("pairs"))
    told("ready")
    sys.stdin.read()
    directory.record(entry("mapping"))
"""
RECORDER = """
directory = RunDirectory(root, version, lock=0)
for number in range(200):
    directory.record(entry(f"{sys.argv[2]}{number}"))
"""


@contextmanager
def running(code: str, root: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has said that it is ready; killed at the end if it is still there."""
    command = [sys.executable, "-c", HEAD + code, str(root), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def close_stdin(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()


def take(root: Path, wait_s: float = 0.0) -> None:
    """Take the directory and let it go."""
    with RunDirectory(root, VERSION, wait_s=wait_s):
        assert lock_owner(root) == ProcessIdentity.current()


def write_owner(root: Path, owner: ProcessIdentity) -> None:
    """Leave a lock file as its owner would."""
    take(root)
    (root / LOCK).write_text(owner.model_dump_json())


def test_another_process_has_it_until_it_ends(tmp_path: Path) -> None:
    with running(HOLDER, tmp_path) as holder:
        with pytest.raises(PipelineError, match="in use") as caught:
            take(tmp_path)
        assert f"Process {holder.pid} has been working" in caught.value.message
        assert "host" not in caught.value.message
        assert lock_owner(tmp_path) == ProcessIdentity.of(holder.pid)
        close_stdin(holder)
        assert holder.wait() == 0
    assert lock_owner(tmp_path) is None
    take(tmp_path)
    assert (tmp_path / LOCK).read_bytes() == b""


def test_a_killed_process_does_not_have_it(tmp_path: Path) -> None:
    with running(HOLDER, tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        take(tmp_path, wait_s=30)  # until the kernel has closed its files, reaped or not
        assert lock_owner(tmp_path) is None


def test_a_worker_that_outlives_its_engine_keeps_it_for_a_while(tmp_path: Path) -> None:
    with running(ENGINE, tmp_path, HEAD + WORKER) as engine:
        assert set(read_manifest(tmp_path).stages) == {"pairs"}
        engine.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, engine.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(PipelineError, match="in use") as caught:
            take(tmp_path)
        assert f"Process {engine.pid} has ended" in caught.value.message
        close_stdin(engine)  # which the worker has inherited
        with RunDirectory(tmp_path, VERSION, wait_s=30) as directory:
            assert set(directory.manifest.stages) == {"pairs", "mapping"}


def test_an_owner_on_another_host_is_refused_unless_it_ended_well(tmp_path: Path) -> None:
    us = ProcessIdentity.current()
    write_owner(tmp_path, us.model_copy(update={"host": "far-away", "boot_id": "another"}))
    with pytest.raises(PipelineError, match="in use") as caught:
        take(tmp_path)
    assert f"Process {us.pid} on another host, far-away," in caught.value.message
    assert str(tmp_path / LOCK) in caught.value.hint
    with pytest.raises(PipelineError, match="far-away"):
        take(tmp_path)
    (tmp_path / LOCK).unlink()
    take(tmp_path)
    take(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"start_time": 1},
        {"boot_id": "before the last boot"},
        {"host": "container"},
    ],
)
def test_an_owner_that_cannot_be_there_any_more_is_no_obstacle(
    tmp_path: Path, changed: dict[str, str | int]
) -> None:
    """The container's host name is another, but on this kernel its flock would have held."""
    write_owner(tmp_path, ProcessIdentity.current().model_copy(update=changed))
    take(tmp_path)


@pytest.mark.parametrize("content", ["", "4711\n", "{", '{"host": "far-away"}'])
def test_other_lock_files_say_nothing(tmp_path: Path, content: str) -> None:
    take(tmp_path)
    (tmp_path / LOCK).write_text(content)
    assert lock_owner(tmp_path) is None
    take(tmp_path)


def test_a_living_owner_is_believed_where_the_flock_does_not_work(tmp_path: Path) -> None:
    take(tmp_path)
    with running("told('ready'); sys.stdin.read()", tmp_path) as other:
        owner = ProcessIdentity.of(other.pid)
        assert owner is not None
        (tmp_path / LOCK).write_text(owner.model_dump_json())
        with pytest.raises(PipelineError, match=f"Process {other.pid}") as caught:
            take(tmp_path)
        assert "another host" not in caught.value.message
    take(tmp_path)


def test_a_copy_of_a_run_that_goes_on_is_free(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    with running(HOLDER, run) as holder:
        shutil.copytree(run, copy)
        assert lock_owner(run) == ProcessIdentity.of(holder.pid)
        assert lock_owner(copy) is None
        take(copy)


def test_a_folder_that_is_no_run_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(PipelineError, match="Not a run directory"):
        take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_only_the_owner_of_the_lock_cleans_up(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, VERSION) as owner:
        half = tmp_path / ".a.txt.1-0.tmp"
        half.write_text("half")
        with RunDirectory(tmp_path, VERSION, lock=owner.lock_fd) as worker:
            assert worker.lock_fd == owner.lock_fd
            assert half.exists()
        assert lock_owner(tmp_path) == ProcessIdentity.current()
        os.fstat(owner.lock_fd)
    take(tmp_path)
    assert not half.exists()


def test_no_update_of_several_processes_is_lost(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, VERSION) as directory:
        assert directory.manifest.stages == {}
        command = [sys.executable, "-c", HEAD + RECORDER, str(tmp_path)]
        with subprocess.Popen([*command, "a"]) as a, subprocess.Popen([*command, "b"]) as b:
            assert (a.wait(), b.wait()) == (0, 0)
        directory.forget("a7")
        expected = {f"{letter}{number}" for letter in "ab" for number in range(200)} - {"a7"}
        assert set(directory.manifest.stages) == expected
        assert directory.manifest is directory.manifest


def test_live_changes_are_part_of_the_fingerprint_but_no_difference(tmp_path: Path) -> None:
    plain = Ingredients("mapping", 1, {"loss": "huber"}, {}, {})
    changed = Ingredients("mapping", 1, {"loss": "huber"}, {}, {}, live=[[3, "loss", "huber"]])
    assert plain.fingerprint != changed.fingerprint
    assert "live" not in plain.to_json()
    with RunDirectory(tmp_path, VERSION) as directory:
        directory.record(StageEntry(changed, 1.0, {}))
        assert directory.changes(plain) == []
    entry = read_manifest(tmp_path).stages["mapping"]
    assert entry.ingredients.fingerprint == changed.fingerprint
    assert [list(change) for change in entry.ingredients.live] == [[3, "loss", "huber"]]


def test_a_request_comes_back_as_it_was(tmp_path: Path) -> None:
    request = RunRequest(
        paths=GivenPaths(photos=Path(os.fsdecode(b"/x/\xff \xc3\xbc")), files=(Path("/x/a.jpg"),)),
        out=tmp_path,
        config=load_settings(None, ["matching.ratio=0.7"]),
        changes=(
            Change(parameter="mapping.loss", old="none", new="huber", by="me", revision=1, time=2),
        ),
        until="mapping",
    )
    with RunDirectory(tmp_path, VERSION) as directory:
        assert directory.read_request() is None
        directory.write_request(request)
        assert directory.read_request() == request
    assert read_request(tmp_path) == request


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "Expecting"),
        (b"\xff", "decode"),
        (b"[]", "valid dictionary"),
        (b'{"format": 2}', "format: Input should be 1"),
        (b'{"format": 1, "out": "/o", "paths": {}}', "paths.photos: Field required"),
    ],
)
def test_a_damaged_request_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "request.json").write_bytes(content)
    with pytest.raises(PipelineError, match="Damaged request") as caught:
        read_request(tmp_path)
    assert str(tmp_path / "request.json") in caught.value.message
    assert words in caught.value.message


DAMAGED = [b"", b"[]", b"\xff{", b"{", b'{"format": 1}', b'{"format": 1, "program": 5}']


@pytest.mark.parametrize("content", [*DAMAGED, None])
def test_a_damaged_manifest_is_put_aside_and_begun_anew(
    tmp_path: Path, content: bytes | None
) -> None:
    path, stages = tmp_path / "manifest.json", ("pairs", "mapping")
    with RunDirectory(tmp_path, VERSION) as directory:
        assert directory.damages == []
        directory.claim(Path("/scene"), {"a.jpg": "1"})
        for stage in stages:
            directory.record(StageEntry(Ingredients(stage, 1, {}, {}, {}), 1.0, {}))
    whole = path.read_bytes()
    content = whole.replace(b'"config": {}', b'"config": 7', 1) if content is None else content
    path.write_bytes(content)
    with pytest.raises(DamagedManifest) as caught:
        read_manifest(tmp_path)
    assert str(path) in caught.value.message and "Error" not in caught.value.message
    assert f"--out {tmp_path}" in caught.value.hint
    assert path.read_bytes() == content  # who only reads changes nothing
    with RunDirectory(tmp_path, VERSION) as directory:
        (damage,) = directory.damages
        assert "manifest.json.damaged" in damage
        assert not directory.manifest.stages
        directory.claim(Path("/scene"), {"a.jpg": "1"})
    assert (tmp_path / "manifest.json.damaged").read_bytes() == content
    with RunDirectory(tmp_path, VERSION) as directory:
        assert directory.damages == [] and directory.manifest.scene == "/scene"


def test_the_manifest_of_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    with pytest.raises(PipelineError, match="Not a run directory"):
        take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    assert (tmp_path / "manifest.json").read_text() == '{"name": "a web page"}'
