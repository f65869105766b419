"""How a browser on the user's machine reaches the viewer, which listens on 127.0.0.1 alone."""

from __future__ import annotations

from collections.abc import Mapping

from tui.address import tunnel_line, url_of
from tui.dashboard.model import ViewerAddress


def tunnel_command(viewer: ViewerAddress, environment: Mapping[str, str]) -> str:
    """The `ssh -L` line to type on the user's machine; "" where there is no viewer."""
    return "" if viewer.port is None else tunnel_line(viewer.port, environment)


def viewer_url(viewer: ViewerAddress) -> str:
    """The address to open in a browser, with the token that lets in; "" where there is none."""
    return "" if viewer.port is None else url_of(viewer.port, viewer.token)
