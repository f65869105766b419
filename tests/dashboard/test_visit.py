"""A run in a terminal from its start to its end, by the keys alone; the terminal is that of tmux
where that is installed, else one of the test's own."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.engine import fake_worker
from tests.engine_runs import FAKE_BARFIELD, Host
from tests.tui.tmux import has_tmux, tmux_shell
from tests.tui.visit import visit
from tests.tui.watched import watched

SIZE = (80, 24)
LONG = "1200"  # steps of 5 ms: mapping goes on while its parameter is changed


def test_a_run_is_watched_changed_left_and_seen_to_its_end(
    host: Host,
    photographs: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv(fake_worker.STEPS, LONG)
    run = str(tmp_path / "run")
    sockets = tmp_path_factory.mktemp("t")  # the path of a socket has to be short
    shell: AbstractContextManager[Any] = (
        tmux_shell(sockets, SIZE, os.environ) if has_tmux() else watched(["sh"], SIZE, os.environ)
    )
    options = [str(photographs), "--out", run]
    with shell as terminal:
        took = visit(terminal, FAKE_BARFIELD, options, run, most_s=60.0, pauses=True)
    assert [name for name, _ in took][-1] == "q leaves what is done"
    host.wait_until_empty()
