"""Small runs for the browser to look at: of the desk, planar, and with fake stages."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from PIL import Image

from pipeline.engine.runtime import EngineFile, find_engine
from tests.engine_runs import CHECKOUT, Host, until

PHOTOGRAPHS = 8
WIDTH = 480
_MOST_SECONDS = 270
_DESK = CHECKOUT / "sample_scenes" / "desk" / "images"
# As little as gives a model of all photographs, and a field that one can tell from fog.
_SETTINGS = (
    "features.max_keypoints=1000",
    "radiance.preset=barf-cpu",
    "radiance.size_px=60",
    "radiance.steps=20",
    "radiance.rays=256",
    "radiance.samples=16",
    "radiance.holdout=0",
)
_PLANAR = (
    "planar.size_px=64", "planar.patch_px=24", "planar.patches=2", "planar.pixels=128",
    "planar.steps=3", 'planar.methods=["smooth-grid", "barf"]',
)  # fmt: skip


def make_desk_run(host: Host, folder: Path) -> Path:
    """A finished run of the first photographs of the desk, made small."""
    photographs = folder / "photographs"
    photographs.mkdir()
    for path in sorted(_DESK.glob("*.jpg"))[:PHOTOGRAPHS]:
        with Image.open(path) as image:
            size = (WIDTH, round(WIDTH * image.height / image.width))
            small = image.resize(size, Image.Resampling.LANCZOS)
            small.save(photographs / path.name, quality=92, exif=image.getexif())
    root = folder / "run"
    _finish(host, "run", photographs, root, _SETTINGS, "--headless")
    return root


def make_planar_run(host: Host, folder: Path) -> Path:
    """A finished run of the planar demonstration."""
    root = folder / "flat"
    _finish(host, "planar", _DESK / "desk_001.jpg", root, _PLANAR)
    return root


def _finish(
    host: Host, command: str, of: Path, root: Path, settings: tuple[str, ...], *more: str
) -> None:
    assignments = [word for setting in settings for word in ("--set", setting)]
    process = host.start(
        command, str(of), "--out", str(root), "--no-detach", *more, *assignments,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    out, _ = process.communicate(timeout=_MOST_SECONDS)
    assert process.returncode == 0, out


def viewed(host: Host, root: Path) -> EngineFile:
    """`barfield view` of a run at rest."""
    process = host.start("view", str(root), stderr=subprocess.PIPE)

    def begun() -> EngineFile | None:
        assert process.poll() is None, process.stderr and process.stderr.read()
        engine = find_engine(root)
        return engine if engine is not None and engine.port else None

    return until(begun)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
