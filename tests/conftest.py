"""What all tests have in common."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def signals_that_are_heard() -> None:
    """Undo what a shell does to a job in the background: it and all that it starts would ignore
    Ctrl-C, and under nohup the end of their terminal."""
    for number, default in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


@pytest.fixture(scope="session", autouse=True)
def folders_of_the_user() -> Iterator[None]:
    """Runtime and state folders of the tests' own: their runs are not among the user's."""
    names = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME")
    before = {name: os.environ.get(name) for name in names}
    # Short, because the path of a socket has to be.
    with tempfile.TemporaryDirectory(prefix="bf-") as folder:
        os.environ.update(dict.fromkeys(names, folder))
        yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
