"""A process is known by more than its number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from pipeline.process_identity import ProcessIdentity


def test_this_process_is_alive_and_survives_json() -> None:
    us = ProcessIdentity.current()
    assert (us.pid, us.host) == (os.getpid(), socket.gethostname())
    assert us == ProcessIdentity.of(os.getpid())
    assert ProcessIdentity.model_validate_json(us.model_dump_json()).alive() is True


def test_the_number_alone_is_not_trusted() -> None:
    us = ProcessIdentity.current()
    assert us.model_copy(update={"start_time": us.start_time - 1}).alive() is False
    assert us.model_copy(update={"boot_id": "another"}).alive() is False
    assert us.model_copy(update={"host": "elsewhere"}).alive() is None


def test_a_killed_process_is_gone_before_anybody_reaps_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessIdentity.of(child.pid)
        assert identity is not None and identity.alive() is True
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert identity.alive() is False
        assert ProcessIdentity.of(child.pid) is None
    assert identity.alive() is False


def test_a_name_with_brackets_and_spaces_does_not_mislead() -> None:
    code = "open('/proc/self/comm', 'w').write(') R 1 2 ('); print('named', flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        before = ProcessIdentity.current()
        assert child.stdout is not None and child.stdout.readline() == b"named\n"
        identity = ProcessIdentity.of(child.pid)
        assert identity is not None and identity.alive() is True
        assert identity.start_time >= before.start_time
        child.kill()
