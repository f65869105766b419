"""What the user gives is found and hashed, and every change of it is noticed."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from pipeline import inputs
from pipeline.errors import PipelineError, Stopped
from pipeline.inputs import GivenInputs, find_files, read_inputs
from pipeline.request import GivenPaths
from pipeline.run_directory import RunDirectory
from pipeline.settings import load_settings


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two real pictures and a mask of the first."""
    folder = tmp_path / "photos"
    (folder / "masks").mkdir(parents=True)
    for name in ("a.png", "b.png", "masks/a.png.png"):
        Image.new("L", (64, 48), 99).save(folder / name)
    return folder


def gather(paths: GivenPaths, *assignments: str) -> GivenInputs:
    """Everything that a run would gather."""
    root = paths.photos.parent / "run"
    found = find_files(paths, load_settings(None, assignments), root)
    with RunDirectory(root, "0.1.0") as directory, ThreadPoolExecutor(2) as executor:
        return read_inputs(paths, found, directory, executor)


def test_hashes_are_of_the_content_and_remembered(photos: Path) -> None:
    paths = GivenPaths(photos=photos)
    first = gather(paths, "ingest.masks=masks")
    assert list(first.photos) == ["a.png", "b.png"]
    assert first.photos["a.png"] == first.photos["b.png"]
    assert "masks/a.png.png" in first.hashes["source"]
    assert gather(paths, "ingest.masks=masks").hashes == first.hashes
    content = bytearray((photos / "a.png").read_bytes())
    content[-1] ^= 1
    (photos / "a.png").write_bytes(content)
    os.utime(photos / "a.png", ns=(0, 0))
    again = gather(paths, "ingest.masks=masks")
    assert again.photos["a.png"] != first.photos["a.png"]
    assert again.photos["b.png"] == first.photos["b.png"]


def test_a_damaged_cache_of_hashes_only_costs_time(photos: Path) -> None:
    first = gather(GivenPaths(photos=photos))
    (photos.parent / "run/photos/hashes.json").write_text("{")
    assert gather(GivenPaths(photos=photos)).hashes == first.hashes


def test_hashes_are_saved_while_others_are_made(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "SECONDS_BETWEEN_SAVES", 0.0)
    paths = GivenPaths(photos=photos)
    root = photos.parent / "run"
    found = find_files(paths, load_settings(), root)
    saved: list[int] = []
    with RunDirectory(root, "0.1.0") as directory, ThreadPoolExecutor(2) as executor:

        def told(done: int, total: int) -> None:
            saved.append(len(directory.read_hash_cache()))

        read_inputs(paths, found, directory, executor, told)
    assert saved == [1, 2, 3]


def test_an_interrupted_reading_goes_on_where_it_was(photos: Path) -> None:
    paths = GivenPaths(photos=photos)
    root = photos.parent / "run"
    found = find_files(paths, load_settings(), root)
    told: list[tuple[int, int]] = []

    def stop_after_one(done: int, total: int) -> None:
        told.append((done, total))
        raise Stopped

    with RunDirectory(root, "0.1.0") as directory, ThreadPoolExecutor(2) as executor:
        with pytest.raises(Stopped):
            read_inputs(paths, found, directory, executor, stop_after_one)
        for _ in range(2):
            read_inputs(paths, found, directory, executor, lambda *now: told.append(now))
    assert told == [(1, 3), (1, 2), (2, 2)]


def test_a_file_that_goes_away_meanwhile_is_read_when_it_is_back(photos: Path) -> None:
    paths = GivenPaths(photos=photos)
    root = photos.parent / "run"
    found = find_files(paths, load_settings(), root)
    content = (photos / "b.png").read_bytes()
    (photos / "b.png").unlink()
    with RunDirectory(root, "0.1.0") as directory, ThreadPoolExecutor(2) as executor:
        first = read_inputs(paths, found, directory, executor)
        (photos / "b.png").write_bytes(content)
        again = read_inputs(paths, found, directory, executor)
    assert first.photos["b.png"].startswith("unreadable")
    assert again.photos["b.png"] == again.photos["a.png"] == first.photos["a.png"]


def test_given_intrinsics_are_fitted_to_the_photographs(photos: Path, tmp_path: Path) -> None:
    camera = {"model": "SIMPLE_PINHOLE", "params": [200, 64, 48], "width": 128, "height": 96}
    file = tmp_path / "camera.json"
    file.write_text(json.dumps(camera))
    given = gather(GivenPaths(photos=photos, intrinsics=file), "ingest.masks=masks")
    cameras = given.products["source"].intrinsics
    assert set(cameras) == {"a.png", "b.png"}
    assert cameras["a.png"].params.tolist() == [100.0, 32.0, 24.0]
    assert "intrinsics camera.json" in given.hashes["source"]


def test_a_missing_reference_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="nothing"):
        gather(GivenPaths(photos=photos, poses=tmp_path / "nothing.json"))


def test_single_photographs_instead_of_a_folder(photos: Path) -> None:
    given = gather(GivenPaths(photos=photos, files=(photos / "b.png", photos / "a.png")))
    assert list(given.photos) == ["a.png", "b.png"] and given.scene == photos
