"""Where engines are found: folders that are safe, files of the dead, and the list of runs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.engine import runtime
from pipeline.engine.runtime import EngineFile, find_engine, known_runs, publish, remember, withdraw
from pipeline.errors import PipelineError
from pipeline.process_identity import ProcessIdentity
from pipeline.run_directory import RunDirectory
from pipeline.version import VERSION
from tests.tui.conftest import make_run


def engine_file(root: Path, engine: str = "one", **changes: object) -> EngineFile:
    """What an engine in this process would publish."""
    file = EngineFile(
        identity=ProcessIdentity.current(),
        engine=engine,
        run=root.name,
        root=root.resolve(),
        socket=runtime.socket_path(root),
        port=8080,
        token="secret" * 6,
        view_token="public" * 6,
        version="0.1",
        started=1.0,
    )
    return file.model_copy(update=changes)


def dead_process() -> ProcessIdentity:
    """A process of this host that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(process.pid)
    process.communicate(b"\n")
    assert identity is not None
    return identity


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_engine_is_found_until_it_withdraws(root: Path) -> None:
    file = engine_file(root)
    assert find_engine(root) is None
    publish(file)
    assert find_engine(root) == file
    published = file.socket.parent / "engine.json"
    assert (mode(published), mode(published.parent), mode(published.parent.parent)) == (
        0o600, 0o700, 0o700,
    )  # fmt: skip
    file.socket.touch()
    withdraw(file)
    assert find_engine(root) is None and not file.socket.parent.exists()


def test_one_directory_by_two_names_has_one_engine(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    publish(engine_file(root))
    assert find_engine(tmp_path / "alias") is not None
    assert find_engine(Path("runs/../runs/garden")) is not None
    assert find_engine(make_run(tmp_path / "other" / "garden")) is None


def test_an_old_engine_does_not_withdraw_a_new_one(root: Path) -> None:
    old, new = engine_file(root, "old"), engine_file(root, "new")
    publish(old)
    publish(new)
    withdraw(old)
    assert find_engine(root) == new


def test_the_file_of_a_dead_engine_is_removed(root: Path) -> None:
    publish(engine_file(root, identity=dead_process()))
    published = runtime.socket_path(root).parent / "engine.json"
    assert published.exists()
    assert find_engine(root) is None
    assert not published.exists()


def test_a_process_number_used_again_is_no_engine(root: Path) -> None:
    us = ProcessIdentity.current()
    publish(engine_file(root, identity=us.model_copy(update={"start_time": us.start_time - 1})))
    assert find_engine(root) is None


def test_an_engine_of_another_host_is_neither_ours_nor_removed(root: Path) -> None:
    elsewhere = ProcessIdentity.current().model_copy(update={"host": "elsewhere"})
    publish(engine_file(root, identity=elsewhere))
    assert find_engine(root) is None
    assert (runtime.socket_path(root).parent / "engine.json").exists()


def test_a_damaged_engine_file_is_said_to_be_so(root: Path) -> None:
    path = runtime.socket_path(root).parent / "engine.json"
    for content in ('{"engine": "one", "surprise": 1}', "{"):
        path.write_text(content)
        assert find_engine(root) is None, "nobody holds the run directory"
        with RunDirectory(root, VERSION):
            with pytest.raises(PipelineError, match="another version") as error:
                find_engine(root)
            assert str(path) in error.value.message


def test_an_engine_withdraws_though_its_file_is_damaged(root: Path) -> None:
    file = engine_file(root)
    publish(file)
    file.path.write_text("{")
    withdraw(file)
    assert not file.path.parent.exists()


def test_an_engine_of_a_later_version_is_found(root: Path) -> None:
    file = engine_file(root)
    publish(file)
    file.path.write_text(json.dumps({**json.loads(file.path.read_text()), "surprise": 1}))
    assert find_engine(root) == file


def test_a_folder_that_others_can_enter_is_refused(folders: Path, root: Path) -> None:
    (folders / "barfield").mkdir(mode=0o755, exist_ok=True)
    (folders / "barfield").chmod(0o755)
    for use in (runtime.socket_path, find_engine):
        with pytest.raises(PipelineError, match="open to other users") as error:
            use(root)
        assert str(folders / "barfield") in error.value.message
        assert "chmod 700" in error.value.hint


def test_a_folder_behind_a_link_is_refused(folders: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (folders / "barfield").symlink_to(tmp_path / "target")
    with pytest.raises(PipelineError, match="symbolic link"):
        runtime.socket_path(root)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused_and_never_trusted(folders: Path, root: Path) -> None:
    publish(engine_file(root))
    os.chown(folders / "barfield", 12345, 12345)
    with pytest.raises(PipelineError, match="another user"):
        runtime.socket_path(root)
    assert find_engine(root) is None


def test_the_path_of_a_socket_stays_short(folders: Path, tmp_path: Path) -> None:
    long_name = "grötzingen" * 20
    path = runtime.socket_path(tmp_path / long_name)
    assert len(os.fsencode(path)) < 100
    assert path.parent.name.startswith("grötzingen")
    assert runtime.socket_path(tmp_path / f"{long_name}2") != path


def test_a_runtime_folder_with_too_long_a_path_is_refused(
    folders: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    deep = folders / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(PipelineError, match="too long"):
        runtime.socket_path(root)


def test_a_session_s_folder_serves_only_where_it_outlives_the_session(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = os.getuid()
    session, lasting = Path(f"/run/user/{user}"), Path(f"/tmp/barfield-{user}")
    monkeypatch.setattr(Path, "is_dir", lambda self: True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    monkeypatch.setattr(runtime, "_LINGERING", tmp_path)
    assert runtime._places() == [lasting, session / "barfield"]
    monkeypatch.setattr(runtime, "_lingers", lambda user: True)
    assert runtime._places() == [session / "barfield", lasting]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert runtime._places() == [lasting, session / "barfield"]


def test_an_engine_is_found_from_another_kind_of_session(
    monkeypatch: pytest.MonkeyPatch, root: Path, tmp_path: Path
) -> None:
    """Started by a batch job without XDG_RUNTIME_DIR, attached to from a login with it."""
    monkeypatch.setattr(runtime, "Path", _Elsewhere(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    publish(engine_file(root))
    login = tmp_path / "login"
    login.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(login))
    assert find_engine(root) is not None
    assert not list(login.iterdir())


class _Elsewhere:
    """`Path`, with another folder for /tmp."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, text: str) -> Path:
        return self._folder if text == "/tmp" else Path(text)


def test_publishing_and_looking_at_once_never_shows_half_a_file(root: Path) -> None:
    files = [engine_file(root, name) for name in ("one", "two")]
    publish(files[0])
    found: list[EngineFile | None] = []

    def look() -> None:
        found.extend(find_engine(root) for _ in range(200))

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(100):
        publish(files[number % 2])
    watcher.join()
    assert len(found) == 200 and all(file in files for file in found)


def test_runs_are_known_newest_first_while_their_folder_is_there(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    assert [run.root for run in known_runs()] == [second, first]
    remember(first)
    assert [run.name for run in known_runs()] == ["a", "b"]
    first.rename(tmp_path / "unmounted")
    assert [run.name for run in known_runs()] == ["b"]
    (tmp_path / "unmounted").rename(first)
    assert [run.name for run in known_runs()] == ["a", "b"]


def test_runs_of_other_hosts_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        remember(tmp_path / "gone")
    assert known_runs() == []
    assert len(list((tmp_path / "state/barfield/runs").iterdir())) == 1


def test_a_name_that_is_no_text_is_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path / os.fsdecode(b"caf\xe9"))
    publish(engine_file(run))
    assert find_engine(run) is not None
    assert [known.root for known in known_runs()] == [run]


def test_a_list_that_cannot_be_written_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(PipelineError, match="Cannot write") as error:
        remember(tmp_path)
    assert "state/barfield" in error.value.message


def test_a_user_without_a_home_is_told_what_to_set(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    for ask in (known_runs, lambda: remember(root)):
        with pytest.raises(PipelineError, match="No home folder") as error:
            ask()
        assert "XDG_STATE_HOME" in error.value.hint
