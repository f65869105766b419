"""A loss of power at any moment: what was not synced is gone, and the same command goes on."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import commands, control
from pipeline.events import Record, StageChanged
from pipeline.item_store import DiskStore
from pipeline.request import GivenPaths, RunRequest
from pipeline.run_directory import MANIFEST, read_manifest, read_request
from pipeline.settings import load_settings
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.engine import fake_worker, lossy_run
from tests.engine.power_loss import Disk, Luck
from tests.engine_runs import FAKE_BARFIELD, engine_of, own_host, until
from tests.run_files import database_digest, model_files, torn_files
from tui.client import EngineClient

DESK = Path(__file__).resolve().parents[2] / "sample_scenes" / "desk" / "images"
STEPS = 30
PARAMETER = "mapping.max_reprojection_error_px"
IMAGES, REAL_IMAGES = 60, 6
SMALL = ("features.max_size_px=400", "matching.preview_keypoints=512")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on the real disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def run(photos: Path, out: Path, *assignments: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The report of a run in this process, and how each stage ended."""
    ends: dict[str, str] = {}

    def listen(stage: str, record: Record) -> None:
        if isinstance(record, StageChanged):
            ends[stage] = record.state

    paths = GivenPaths(photos=photos)
    settings = load_settings(None, assignments)
    request = RunRequest(paths=paths, out=out, config=settings, until="mapping")
    return commands.run(request, [listen], threading.Event()), ends


def fake_photos(folder: Path) -> Path:
    """Four files that the fake stages take for photographs."""
    photos = folder / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (photos / name).write_text(name)
    return photos


class Losses:
    """Takes images of a run at some of its syncs: every third one of the worst luck."""

    def __init__(self, disk: Disk, folder: Path, moments: set[int]) -> None:
        self.taken: list[Path] = []
        self.moment = 0
        self._disk = disk
        self._folder = folder
        self._moments = moments

    def at_sync(self) -> None:
        """Take an image if its moment has come."""
        if self.moment in self._moments:
            target = self._folder / f"image-{self.moment}"
            dice = random.Random(self.moment) if len(self.taken) % 3 else None
            self._disk.leave(target, Luck(dice))
            self.taken.append(target)
        self.moment += 1


class Scene:
    """Photographs, and runs of them that never lost anything, one for each of some settings."""

    def __init__(self, photos: Path, folder: Path, *settings: tuple[str, ...]) -> None:
        self.photos = photos
        self._folder = folder
        self._settings = settings
        self._undisturbed = [folder / f"undisturbed-{n}" for n in range(len(settings))]
        self._reports = [
            run(photos, out, *given)[0]
            for out, given in zip(self._undisturbed, settings, strict=True)
        ]

    def images(self, count: int) -> list[Path]:
        """What so many losses of power leave of a run with the last settings, in the directory of a
        run with those before them."""
        moments = self._with_losses("counted", set()).moment
        return self._with_losses("lossy", set(random.Random(0).sample(range(moments), count))).taken

    def check(self, image: Path, number: int = -1) -> None:
        """Go on with an image and some of the settings: no error, nothing that was done is done
        again, the same result."""
        undisturbed = self._undisturbed[number]
        expected = read_manifest(undisturbed).stages
        known = read_manifest(image).stages if (image / MANIFEST).exists() else {}
        report, ends = run(self.photos, image, *self._settings[number])
        for stage, entry in known.items():
            if entry.ingredients == expected[stage].ingredients:
                assert ends[stage] == "skipped", f"{image.name}: {stage} was done"
        assert model_files(image) == model_files(undisturbed), image.name
        assert database_digest(image) == database_digest(undisturbed), image.name
        assert report["models"] == self._reports[number]["models"]
        assert torn_files(image) == []
        shutil.rmtree(image)

    def _with_losses(self, name: str, moments: set[int]) -> Losses:
        root = self._folder / name
        disk = Disk(root, self._folder / f"notes-{name}")
        for given in self._settings[:-1]:
            run(self.photos, root, *given)
            disk.settle()
        losses = Losses(disk, self._folder, moments)
        with disk.recording(losses.at_sync):
            run(self.photos, root, *self._settings[-1])
        return losses


def test_any_loss_of_power_leaves_what_the_same_command_mends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so does the command of before, whose products are just being replaced."""
    monkeypatch.setattr(commands, "plan", fake_worker.fake_plan)
    monkeypatch.setattr(fake_worker, "STEP_SECONDS", 0.001)
    monkeypatch.setattr(control, "CHECKPOINT_SECONDS", 0.004)
    monkeypatch.setenv(fake_worker.STEPS, str(STEPS))
    photos = fake_photos(tmp_path)
    scene = Scene(photos, tmp_path, (), ("features.max_keypoints=1500",))
    for number, image in enumerate(scene.images(IMAGES)):
        scene.check(image, number % 2)


@pytest.mark.parametrize("kind", ["features", "fits"])
def test_an_item_is_durable_as_soon_as_it_is_written(tmp_path: Path, kind: str) -> None:
    root, image = tmp_path / "run", tmp_path / "image"
    root.mkdir()
    disk = Disk(root, tmp_path / "notes")
    with disk.recording():
        store = DiskStore(root)
        for key in ("a1", "a2", "b1"):
            store.put(kind, key, {"numbers": np.arange(3)})
            store.settle(kind, key)
    with disk.alone():
        disk.leave(image, Luck(None))
    for key in ("a1", "a2", "b1"):
        np.testing.assert_array_equal(DiskStore(image).get(kind, key)["numbers"], np.arange(3))


def test_real_stages_go_on_after_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CHECKPOINT_SECONDS", 0.2)
    photos = tmp_path / "photos"
    photos.mkdir()
    for photo in sorted(DESK.glob("*.jpg"))[:4]:
        shutil.copy(photo, photos)
    scene = Scene(photos, tmp_path, SMALL)
    for image in scene.images(REAL_IMAGES):
        scene.check(image)


def test_a_run_with_an_engine_keeps_what_it_has_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, root = fake_photos(tmp_path), tmp_path / "run"
    monkeypatch.setenv(fake_worker.STEPS, "1000000")
    monkeypatch.setenv(lossy_run.ROOT, str(root))
    monkeypatch.setenv(lossy_run.NOTES, str(tmp_path / "notes"))
    disk, dice = Disk(root, tmp_path / "notes"), random.Random(0)
    confirmed: list[tuple[Path, float, int]] = []
    with own_host((*lossy_run.COMMAND, "command")) as host:
        assert host.call("run", str(photos), "--out", str(root), "--detach").code == 0
        client = EngineClient(engine_of(root).socket)
        until(lambda: client.state().stages[-1].state == "started")
        for number in range(6):
            step, error_px = saved_step(client), 3.0 + number
            change = {PARAMETER: error_px}
            assert client.command({"op": "set", "changes": change}).ok
            assert client.command({"op": "checkpoint"}).ok
            until(partial(is_behind, client, step))
            saved = saved_step(client)
            time.sleep(dice.uniform(0, 0.1))
            with disk.alone():
                disk.leave(tmp_path / f"image-{number}", Luck(dice if number % 2 else None))
            confirmed.append((tmp_path / f"image-{number}", error_px, saved))
        assert client.state().state == "running"
    for image, error_px, step in confirmed:
        request = read_request(image)
        assert request is not None and request.changes[-1].new == error_px
        assert saved_in(image) > step
    with own_host(FAKE_BARFIELD) as host:
        for image, _, step in confirmed[-2:]:  # one of the worst luck
            steps = saved_in(image) + 20
            monkeypatch.setenv(fake_worker.STEPS, str(steps))
            called = host.call("run", str(photos), "--out", str(image), "--headless")
            assert called.code == 0, called
            assert torn_files(image) == []
            report = read_manifest(image).stages["mapping"].report
            assert (report["steps"], report["first"] > step) == (steps, True)


def saved_in(image: Path) -> int:
    """Where the checkpoint of an image goes on."""
    with Workspace(image, VERSION) as workspace:
        saved = workspace.load_checkpoint("mapping")
    assert saved is not None
    arrays, data = saved
    stage = data["stage"]
    assert isinstance(stage, dict) and stage["step"] == len(arrays["errors"])
    return len(arrays["errors"])


def is_behind(client: EngineClient, step: int) -> bool:
    """Whether a checkpoint of a later step is saved."""
    return saved_step(client) > step


def saved_step(client: EngineClient) -> int:
    """The step of the newest checkpoint that the engine has told of; -1 before the first."""
    step = client.state().stages[-1].checkpoint_step
    return -1 if step is None else step
