"""The peer of `bench_viewer`: shows a cloud with viser until it is killed.

usage: python viser_peer.py CLOUD.npz PORT

Runs in an environment of its own, since viser and the dashboard want other versions of rich.
CLOUD.npz: xyz (N, 3) float32, rgb (N, 3) uint8.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np

POINT_SIZE = 0.01
LOOKS_FROM = (3.0, 3.0, 3.0)


def main(path: str, port: int) -> None:
    """Serve, and say so on stdout once the cloud is there."""
    import viser

    cloud = np.load(path)
    server = viser.ViserServer(host="127.0.0.1", port=port)
    server.scene.add_point_cloud("/cloud", cloud["xyz"], cloud["rgb"], point_size=POINT_SIZE)
    server.on_client_connect(_look)
    print("ready", flush=True)
    threading.Event().wait()


def _look(client: Any) -> None:
    client.camera.position = LOOKS_FROM
    client.camera.look_at = (0.0, 0.0, 0.0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
