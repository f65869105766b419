"""The run directory: who may have it, what counts as done, what survives."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import JsonValue

from pipeline.errors import DiskFull, PipelineError
from pipeline.manifest import StageEntry, differences
from pipeline.run_directory import default_run_directory, find_run, read_report
from pipeline.workspace import Workspace
from tests.workspaces import VERSION, ingredients, save_pairs, two_pairs

PHOTOS = {"a.jpg": "1", "b.jpg": "2"}


def test_a_saved_stage_is_done_after_reopening(tmp_path: Path) -> None:
    with Workspace(tmp_path / "run", VERSION) as workspace:
        assert workspace.changes(ingredients()) is None
        save_pairs(workspace)
    with Workspace(tmp_path / "run", VERSION) as workspace:
        assert workspace.changes(ingredients()) == []
        entry = workspace.entry("pairs")
        assert entry is not None
        assert (entry.seconds, entry.report) == (1.5, {"pairs": 2})
        loaded = workspace.load("pairs")
    np.testing.assert_array_equal(loaded.indices, two_pairs().indices)
    assert json.loads((tmp_path / "run/stages/pairs/report.json").read_text()) == {"pairs": 2}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"config": {"method": "sequential"}}, ["pairs.method is 'sequential', it was 'auto'"]),
        ({"version": 2}, ["the stage's method is version 2, it was 1"]),
        ({"needs": {"features": "f2"}}, ["the features changed"]),
        ({"given": {"poses": {"p.json": "x"}}}, ["p.json added"]),
        ({}, []),
    ],
)
def test_a_difference_is_told_in_words(changed: dict[str, Any], words: list[str]) -> None:
    new = ingredients(**changed)
    assert differences(ingredients(), new) == words
    assert (new.fingerprint == ingredients().fingerprint) == (not words)


def test_differences_of_files_name_them() -> None:
    old = ingredients(given={"source": {f"{n}.jpg": "1" for n in range(6)}})
    new = ingredients(given={"source": {"0.jpg": "2", "9.jpg": "1"}})
    assert differences(old, new) == [
        "9.jpg added",
        "1.jpg, 2.jpg, 3.jpg and 2 more removed",
        "0.jpg changed",
    ]


def test_other_versions_are_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Workspace(run, "0.2.0"):
        pass
    before = (run / "manifest.json").read_bytes()
    with pytest.raises(PipelineError, match=r"barfield 0\.2\.0"):
        Workspace(run, VERSION)
    (run / "manifest.json").write_bytes(before.replace(b'"format": 1', b'"format": 99'))
    with pytest.raises(PipelineError, match="format 99"):
        Workspace(run, "0.2.0")
    assert not (run / "manifest.json.damaged").exists()


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match="Not a folder") as caught:
        Workspace(tmp_path / "file" / "run", VERSION)
    assert str(tmp_path / "file" / "run") in caught.value.message


@pytest.mark.parametrize(
    ("scene", "photos", "refused"),
    [
        ("/scene", {**PHOTOS, "c.jpg": "3"}, False),
        ("/scene", {"b.jpg": "changed"}, False),
        ("/scene", {"x.jpg": "1"}, True),
        ("/moved", PHOTOS, False),
        ("/moved", {"a.jpg": "other", "b.jpg": "2"}, True),
        ("/other", {"x.jpg": "9"}, True),
    ],
)
def test_another_scene_is_refused(
    tmp_path: Path, scene: str, photos: dict[str, str], refused: bool
) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        workspace.claim(Path("/scene"), PHOTOS)
    with Workspace(tmp_path, VERSION) as workspace:
        if refused:
            with pytest.raises(PipelineError, match="Another scene"):
                workspace.claim(Path(scene), photos)
        else:
            workspace.claim(Path(scene), photos)


def test_a_kill_between_product_and_record_leaves_the_stage_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        save_pairs(workspace)

        def die() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(workspace.store, "flush", die)
        other = ingredients(config={"method": "sequential"})
        with pytest.raises(KeyboardInterrupt):
            workspace.save(StageEntry(other, 1.0, {}), {"pairs": two_pairs()})
        monkeypatch.undo()
    with Workspace(tmp_path, VERSION) as workspace:
        assert workspace.changes(ingredients()) is None


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        save_pairs(workspace)
        with monkeypatch.context() as patch:

            def refuse(handle: int) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(os, "fsync", refuse)
            with pytest.raises(DiskFull, match="No space left"):
                workspace.save(StageEntry(ingredients("mapping"), 1.0, {}), {"pairs": two_pairs()})
    with Workspace(tmp_path, VERSION) as workspace:
        assert workspace.changes(ingredients()) == []


def checkpoint_arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "points": random.normal(size=(50, 3)),
        "kept": random.random(7) < 0.5,
        "none": np.zeros((0, 3), np.float32),
        "scale": np.array(0.1),
    }


CHECKPOINT_DATA: dict[str, JsonValue] = {
    "phase": "grow", "step": 7, "third": 1 / 3, "tiny": 5e-324, "list": [1, None],
}  # fmt: skip


def test_a_checkpoint_comes_back_bit_by_bit_in_another_process_of_the_run(tmp_path: Path) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        assert workspace.load_checkpoint("mapping") is None
        workspace.save_checkpoint("mapping", {}, {"step": 1})
        workspace.save_checkpoint("mapping", checkpoint_arrays(), CHECKPOINT_DATA)
    with Workspace(tmp_path, VERSION) as workspace:
        assert workspace.load_checkpoint("matching") is None
        loaded = workspace.load_checkpoint("mapping")
        assert workspace.store.take_warnings() == []
    assert loaded is not None
    arrays, data = loaded
    assert data == CHECKPOINT_DATA
    assert list(arrays) == list(checkpoint_arrays())
    for name, array in checkpoint_arrays().items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("place", [0, 9, 100, -1])
def test_a_damaged_checkpoint_counts_as_none_and_is_told(tmp_path: Path, place: int) -> None:
    path = tmp_path / "stages/mapping/checkpoint.arrays"
    with Workspace(tmp_path, VERSION) as workspace:
        workspace.save_checkpoint("mapping", checkpoint_arrays(), CHECKPOINT_DATA)
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
        assert workspace.load_checkpoint("mapping") is None
        (warning,) = workspace.store.take_warnings()
        assert str(path) in warning and not path.exists()
        workspace.save_checkpoint("mapping", {}, CHECKPOINT_DATA)
        assert workspace.load_checkpoint("mapping") is not None


def test_a_finished_stage_needs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        workspace.save_checkpoint("pairs", {}, {"step": 1})
        with monkeypatch.context() as patch:

            def refuse(entry: StageEntry) -> None:
                raise KeyboardInterrupt

            patch.setattr(workspace, "record", refuse)
            with pytest.raises(KeyboardInterrupt):
                save_pairs(workspace)
        assert workspace.load_checkpoint("pairs") is not None
        save_pairs(workspace)
        assert workspace.load_checkpoint("pairs") is None
        workspace.drop_checkpoint("pairs")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "barfield-test", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode
    except FileNotFoundError:
        done = 1
    if done != 0:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk_is_told_and_room_is_all_that_it_takes(small_disk: Path) -> None:
    noise = np.random.default_rng(0).bytes(100_000)
    large = {"noise": np.frombuffer(noise * 20, np.uint8)}

    def write_blobs(path: Path) -> None:
        path.write_bytes(noise * 20)

    with Workspace(small_disk / "run", VERSION) as workspace:
        save_pairs(workspace)
        workspace.save_checkpoint("mapping", {}, {"step": 1})
        filler = small_disk / "filler"
        filler.write_bytes(noise * 9)
        with pytest.raises(DiskFull, match=r"mapping/checkpoint\.arrays"):
            workspace.save_checkpoint("mapping", large, {"step": 2})
        with pytest.raises(DiskFull, match=r"run/database\.db"):
            workspace.write_database(write_blobs)
        workspace.store.put("features", "abc", large)
        with pytest.raises(DiskFull, match=r"abc\.arrays"):
            workspace.store.flush()
        loaded = workspace.load_checkpoint("mapping")
        assert loaded is not None and loaded[1] == {"step": 1}
        filler.unlink()
        smaller = {"noise": large["noise"][:500_000]}
        workspace.save_checkpoint("mapping", smaller, {"step": 2})
        loaded = workspace.load_checkpoint("mapping")
        assert loaded is not None and loaded[1] == {"step": 2}
        assert workspace.changes(ingredients()) == []


def test_the_database_counts_only_once_recorded(tmp_path: Path) -> None:
    with Workspace(tmp_path, VERSION) as workspace:
        workspace.write_database(Path.touch)
        assert not workspace.database_is_of("v1")
        workspace.record_database("v1")
        assert workspace.database_is_of("v1") and not workspace.database_is_of("v2")


def test_runs_are_found_by_path_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Workspace(Path("runs/desk"), VERSION):
        pass
    assert find_run("desk") == find_run("runs/desk") == Path("runs/desk")
    with pytest.raises(PipelineError, match="No such run") as caught:
        find_run("dusk")
    assert "desk" in caught.value.hint
    with pytest.raises(PipelineError, match="No report yet"):
        read_report(find_run("desk"))


@pytest.mark.parametrize(
    ("photos", "name"),
    [("scene", "scene"), ("scene/images", "scene"), ("scene/", "scene"), ("a/clip.mp4", "clip")],
)
def test_the_run_is_named_after_the_photographs(photos: str, name: str) -> None:
    assert default_run_directory(Path(photos)) == Path("runs") / name
