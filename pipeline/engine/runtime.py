"""Where the engines of this host are to be found, and which runs this user has here.

The runtime folder belongs to this user alone. Each run has a folder in it, with the engine's socket
and `engine.json`. The list of runs is a small file for each, kept beyond the engine's end.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import pwd
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.errors import PipelineError
from pipeline.process_identity import ProcessIdentity
from pipeline.run_lock import LOCK

_ENGINE_FILE = "engine.json"
_SOCKET = "socket"
_LONGEST_SOCKET_PATH_BYTES = 99  # sockaddr_un holds 107 on Linux, less on other systems
_LINGERING = Path("/var/lib/systemd/linger")
_counter = itertools.count()


class EngineFile(BaseModel):
    """Which engine works on a run, and how to reach it.

    engine: its identity in messages. run: the run's name; root: its directory. port: of the server
    on 127.0.0.1, None where it has none. token: lets a client in and steer, view_token only in.
    started: seconds since the epoch. only_view: it shows a run at rest, and runs nothing. Fields of
    a later version are passed over.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    identity: ProcessIdentity
    engine: str
    run: str
    root: Path
    socket: Path
    port: int | None
    token: str
    view_token: str
    version: str
    started: float
    only_view: bool = False

    @property
    def path(self) -> Path:
        """Where it is published."""
        return self.socket.parent / _ENGINE_FILE


class KnownRun(BaseModel):
    """A run that was started on this host. started: its last start, seconds since the epoch."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    host: str
    root: Path
    name: str
    started: float


def socket_path(root: Path) -> Path:
    """Where the engine of a run is to listen; the folder is made, for this user alone.

    Raises PipelineError where the folder is not this user's or the path gets too long.
    """
    return _own_folder(_engine_folder(_own_folder(_places()[0]), root)) / _SOCKET


def publish(engine: EngineFile) -> None:
    """Let clients find an engine; again now and then, because some systems clear old files.

    Raises PipelineError where the runtime folder cannot be written.
    """
    folder = socket_path(engine.root).parent
    with _held(folder):
        _replace(folder / _ENGINE_FILE, engine)


def withdraw(engine: EngineFile) -> None:
    """Remove what `publish` left, unless another engine has taken its place.

    Before the engine lets go of the run directory: the next engine uses the same folder.
    """
    folder = engine.socket.parent
    try:
        with _held(folder):
            try:
                published = _read_engine_file(folder / _ENGINE_FILE)
            except PipelineError:
                published = engine  # nobody can be found by a damaged file
            if published is None or published.engine != engine.engine:
                return
            for name in (_ENGINE_FILE, _SOCKET):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
    except OSError:
        return  # the folder went away with the user's session, or holds what is not ours


def find_engine(root: Path) -> EngineFile | None:
    """The engine that works on a run on this host, or None; files of dead engines are removed.

    Raises PipelineError where the runtime folder is not this user's, or where its file cannot be
    read although somebody is at work on the run.
    """
    for place in filter(_is_ours, _places()):
        path = _engine_folder(_own_folder(place), root) / _ENGINE_FILE
        try:
            engine = _read_engine_file(path)
        except PipelineError:
            if _is_held(root):
                raise
            continue  # whose file it was is gone; the next engine replaces it
        if engine is None or engine.root.resolve() != root.resolve():
            continue
        alive = engine.identity.alive()
        if alive:
            return engine
        if alive is False:
            _remove_dead(path, engine)
    return None


def remember(root: Path) -> None:
    """Note that a run was started on this host. Raises PipelineError if that cannot be written."""
    root = root.resolve()
    run = KnownRun(host=socket.gethostname(), root=root, name=root.name, started=time.time())
    path = _known_folder() / f"{_unique_name(root, 100)}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    _replace(path, run)


def known_runs() -> list[KnownRun]:
    """The runs of this host whose directory is there, the last started first.

    Nothing is forgotten: a disk may only be away for a while, a note may be of another version, and
    the folder may be on a network file system, where other hosts note theirs.
    """
    found = []
    for path in _known_folder().glob("*.json"):
        try:
            run = KnownRun.model_validate(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue  # only a list of names; the run itself is elsewhere
        # Not Path.is_dir, which raises where a disk does not answer.
        if run.host == socket.gethostname() and os.path.isdir(run.root):  # noqa: PTH112
            found.append(run)
    return sorted(found, key=lambda run: run.started, reverse=True)


def _places() -> list[Path]:
    """Where runtime folders may be, the one for new engines first.

    `/run/user/UID` goes away when the user logs out, and a run is to outlive that: it only serves
    where the user's processes are set to linger.
    """
    user = os.getuid()
    session = Path(f"/run/user/{user}")
    places = [Path("/tmp") / f"barfield-{user}", session / "barfield"]
    given = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if given.is_absolute() and given.is_dir():
        lasting = given != session or _lingers(user)
        places.insert(0 if lasting else 1, given / "barfield")
    return list(dict.fromkeys(places))


def _lingers(user: int) -> bool:
    try:
        return (_LINGERING / pwd.getpwuid(user).pw_name).exists()
    except KeyError:
        return False  # a user without an entry, as in containers


def _is_ours(place: Path) -> bool:
    """Whether there is such a folder, and not merely somebody else's of that name."""
    try:
        return place.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _engine_folder(place: Path, root: Path) -> Path:
    room = _LONGEST_SOCKET_PATH_BYTES - len(os.fsencode(place)) - len(f"//{_SOCKET}")
    if room < len("-12345678"):
        raise PipelineError(
            "The path of the runtime folder is too long",
            f"{place} leaves no room for the name of a socket.",
            "Set XDG_RUNTIME_DIR to a folder with a shorter path.",
        )
    return place / _unique_name(root.resolve(), room)


def _unique_name(root: Path, most_bytes: int) -> str:
    """The run's name, shortened, and what tells runs of the same name apart."""
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
    short = os.fsencode(root.name)[: most_bytes - len(digest) - 1].decode(errors="ignore")
    return f"{short}-{digest}"


def _own_folder(path: Path) -> Path:
    """A folder that only this user can enter, made if it is missing."""
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
    except OSError as error:
        raise _unwritable(path, error) from error
    if stat.S_ISLNK(status.st_mode):
        wrong = "is a symbolic link"
    elif not stat.S_ISDIR(status.st_mode):
        wrong = "is not a folder"
    elif status.st_uid != os.getuid():
        wrong = f"belongs to another user (number {status.st_uid})"
    elif status.st_mode & 0o077:
        wrong = f"is open to other users (mode {stat.S_IMODE(status.st_mode):04o})"
    else:
        return path
    raise PipelineError(
        "The runtime folder is not safe",
        f"{path} {wrong}: others could steer your runs.",
        f"Remove it, or `chmod 700 {path}`, or set XDG_RUNTIME_DIR to a folder of your own.",
    )


def _read_engine_file(path: Path) -> EngineFile | None:
    try:
        return EngineFile.model_validate(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise PipelineError(
            "Unreadable engine file",
            f"{path} is damaged, or of another version of barfield ({type(error).__name__}).",
            "Stop that run with the version that started it; if none runs, remove the file.",
        ) from error


def _is_held(root: Path) -> bool:
    """Whether a process of this host has the run directory."""
    try:
        lock = os.open(root / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _remove_dead(path: Path, engine: EngineFile) -> None:
    # Its socket stays: a new engine may listen there already, and replaces it anyway.
    with _held(path.parent):
        if _read_engine_file(path) == engine:
            path.unlink(missing_ok=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Alone with a folder: nobody else publishes or removes in the time of the block."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, content: BaseModel) -> None:
    """Write a file that only this user can read, whole or not at all."""
    # Not pydantic's own JSON: names of folders may hold lone surrogates.
    text = json.dumps(content.model_dump(mode="json"), indent=1)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_counter)}.tmp")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        temporary.write_text(text + "\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _known_folder() -> Path:
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise PipelineError(
            "No home folder",
            f"Neither HOME is set, nor has user {os.getuid()} an entry that names a home.",
            "Set XDG_STATE_HOME to a folder for the list of your runs.",
        ) from error
    return state / "barfield" / "runs"


def _unwritable(path: Path, error: OSError) -> PipelineError:
    return PipelineError(
        "Cannot write",
        f"{path}: {error.strerror}.",
        "Make room or mend the permissions; XDG_RUNTIME_DIR and XDG_STATE_HOME name other folders.",
    )
