"""How a browser on the user's machine reaches the viewer, which listens on 127.0.0.1 alone."""

from __future__ import annotations

import getpass
import shlex
import socket
from collections.abc import Mapping

from tui.dashboard.model import ViewerAddress

SSH_PORT = "22"


def tunnel_command(viewer: ViewerAddress, environment: Mapping[str, str]) -> str:
    """The `ssh -L` line to type on the user's machine; "" where there is no viewer.

    The host is the address that the user's own connection came to, where there is one.
    """
    if viewer.port is None:
        return ""
    fields = environment.get("SSH_CONNECTION", "").split()
    host, port = (fields[2], fields[3]) if len(fields) == 4 else (socket.gethostname(), SSH_PORT)
    extra = "" if port == SSH_PORT else f" -p {shlex.quote(port)}"
    target = shlex.quote(f"{_user(environment)}@{host}")
    return f"ssh{extra} -L {viewer.port}:127.0.0.1:{viewer.port} {target}"


def viewer_url(viewer: ViewerAddress) -> str:
    """The address to open in a browser, with the token that lets in; "" where there is none."""
    return "" if viewer.port is None else f"http://127.0.0.1:{viewer.port}/?token={viewer.token}"


def _user(environment: Mapping[str, str]) -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return environment.get("USER", "user")
