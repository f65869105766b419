"""The machine in the system line, its GPU too; and what reaches the user's clipboard."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.dashboard.pilot import ThisPilot, drive, press, settle, shown, text_of, until_shown
from tests.dashboard.recorded import RecordedRun, app_of, in_mapping
from tui.dashboard.app import DashboardApp
from tui.dashboard.link import Source
from tui.dashboard.look import Look
from tui.dashboard.model import ViewerAddress
from tui.dashboard.system import SystemReader, SystemSample

GIB = 2**30


class NvmlError(Exception):
    """What the library raises."""


def nvml(share: int = 73, *, devices: int = 1, fails: bool = False) -> SimpleNamespace:
    """The library of a machine with GPUs. fails: they cannot be read any more."""

    def handle(number: int) -> int:
        if number >= devices:
            raise NvmlError("no such device")
        return number

    def memory(device: int) -> SimpleNamespace:
        if fails:
            raise NvmlError("fell off the bus")
        return SimpleNamespace(used=20 * GIB, total=141 * GIB)

    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetMemoryInfo=memory,
        nvmlDeviceGetUtilizationRates=lambda device: SimpleNamespace(gpu=share),
    )


def test_a_gpu_is_in_the_system_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    sample = SystemReader(tmp_path).read()
    assert (sample.gpu, sample.gpu_memory_used, sample.gpu_memory_total) == (
        0.73, 20 * GIB, 141 * GIB,
    )  # fmt: skip
    words = SystemSample(0.25, 4 * GIB, 16 * GIB, 90 * GIB, 0.73, 20 * GIB, 141 * GIB, 8)

    async def scenario() -> None:
        run = in_mapping(tmp_path)
        app = with_sampler(run, words)
        async with shown(app) as pilot:
            await press(pilot)
            line = "CPU 25% of 8  memory 4.0/16.0 GiB  GPU 73%  20.0/141 GiB  disk 90.0 GiB left"
            assert line in text_of(pilot), text_of(pilot)

    drive(scenario())


@pytest.mark.parametrize(
    "library",
    [None, nvml(devices=0), nvml(fails=True)],
    ids=["no library", "no device", "lost device"],
)
def test_without_a_gpu_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: SimpleNamespace | None
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library)  # None: it cannot be imported
    sample = SystemReader(tmp_path).read()
    assert sample.gpu is sample.gpu_memory_used is sample.gpu_memory_total is None
    assert sample.disk_left is not None and "GPU" not in " ".join(sample.in_words())


def with_sampler(run: Source, sample: SystemSample) -> DashboardApp:
    """A dashboard on a machine in this state."""
    sampler = SimpleNamespace(read=lambda: sample)
    return DashboardApp(run, look=Look(panel_s=0.0), clock=lambda: 100.0, sampler=sampler)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("y", "ssh -p 2222 -L 8123:127.0.0.1:8123 ada@10.0.0.9"),
        ("u", "http://127.0.0.1:8123/?token=secret"),
    ],
)
def test_copying_sends_osc_52(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, expected: str
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.9 2222")
    monkeypatch.setenv("LOGNAME", "ada")

    async def scenario() -> None:
        async with shown(app_of(in_mapping(tmp_path))) as pilot:
            written = written_by(pilot, monkeypatch)
            await press(pilot, key)
            code = base64.b64encode(expected.encode()).decode()
            assert [text for text in written if "]52" in text] == [f"\x1b]52;c;{code}\a"]
            assert "is in your clipboard" in text_of(pilot)

    drive(scenario())


def test_without_a_viewer_nothing_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        run: RecordedRun = in_mapping(tmp_path)
        run.add(viewer=ViewerAddress(None))
        async with shown(app_of(run)) as pilot:
            written = written_by(pilot, monkeypatch)
            await press(pilot, "y", "u")
            assert not any("]52" in text for text in written)
            assert "This run has no viewer." in text_of(pilot)

    drive(scenario())


def written_by(pilot: ThisPilot, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the app writes to the terminal from now on."""
    written: list[str] = []
    monkeypatch.setattr(pilot.app._driver, "write", written.append)
    return written


def test_light_and_dark_are_other_colours_on_every_screen(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "garden").mkdir()
        async with shown(app_of(in_mapping(tmp_path / "garden"))) as pilot:
            for keys in ((), ("l",), ("r",), ("p",), ("?",)):
                await press(pilot, *keys)
                dark = background(pilot)
                await press(pilot, "d")
                light, words = background(pilot), text_of(pilot)
                assert dark < 0.2 < 0.8 < light and pilot.app.theme == "textual-light"
                await press(pilot, "d")
                assert background(pilot) == dark and text_of(pilot) == words

    drive(scenario())


def background(pilot: ThisPilot) -> float:
    """How bright the middle of the screen is, from 0 to 1."""
    width, height = pilot.app.size
    color = pilot.app.screen.get_style_at(width - 8, height // 2).bgcolor
    assert color is not None and color.triplet is not None
    return sum(color.triplet) / 765


def test_a_look_that_fails_is_told_once(tmp_path: Path) -> None:
    looks = []

    def fail() -> SystemSample:
        looks.append(1)
        raise RuntimeError("an odd machine")

    async def scenario() -> None:
        app = DashboardApp(in_mapping(tmp_path), sampler=SimpleNamespace(read=fail))
        async with shown(app) as pilot:
            await until_shown(pilot, "A fault of the dashboard:", "an odd machine")
            app.sample()
            await settle(pilot)
            assert looks == [1] and not app.return_code

    drive(scenario())
