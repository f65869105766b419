"""How a browser reaches the viewer of a run: what is printed for the user to open and to type."""

from __future__ import annotations

import getpass
import shlex
import socket
import sys
from collections.abc import Mapping

from pipeline.engine.runtime import EngineFile

FREE_PORT = 0
"""In the place of a port: the first free one."""

LOOPBACK = "127.0.0.1"
_SSH_PORT = "22"


def url_of(port: int, token: str, host: str = LOOPBACK) -> str:
    """The address to open in a browser, with the token that lets in."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={token}"


def tunnel_line(port: int, environment: Mapping[str, str]) -> str:
    """The `ssh -L` line to type on the user's machine.

    The host is the address that the user's own connection came to, where there is one.
    """
    fields = environment.get("SSH_CONNECTION", "").split()
    host, ssh_port = (
        (fields[2], fields[3]) if len(fields) == 4 else (socket.gethostname(), _SSH_PORT)
    )
    extra = "" if ssh_port == _SSH_PORT else f" -p {shlex.quote(ssh_port)}"
    target = shlex.quote(f"{_user(environment)}@{host}")
    return f"ssh{extra} -L {port}:{LOOPBACK}:{port} {target}"


def address_lines(engine: EngineFile, environment: Mapping[str, str]) -> list[str]:
    """What to print of an engine's viewer; nothing where it has no port.

    With the token only on a terminal: logs of batch systems are often open to others, and who has
    the token may steer.
    """
    if engine.port is None:
        return []
    if not sys.stdout.isatty():
        return [f"Viewer  http://{LOOPBACK}:{engine.port}/, its token is in {engine.path}"]
    lines = [f"Viewer  {url_of(engine.port, engine.token)}"]
    if environment.get("SSH_CONNECTION"):
        lines.append(f"        first, on your machine: {tunnel_line(engine.port, environment)}")
    else:
        lines.append(f"        from another machine first: {tunnel_line(engine.port, environment)}")
    return lines


def _user(environment: Mapping[str, str]) -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return environment.get("USER", "user")
