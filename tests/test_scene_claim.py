"""Whether a run directory is of the photographs that a start is given, and that it stays as it was
where it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.hashing import file_digest
from pipeline.manifest import Manifest
from pipeline.request import GivenPaths, RunRequest
from pipeline.run_directory import read_manifest, read_request
from pipeline.scene_claim import check_scene
from tests.engine_runs import Host
from tests.fake_host import host as host
from tests.fake_host import write_photographs


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three files that pass for photographs."""
    return write_photographs(tmp_path / "photos", 3)


def manifest_of(scene: Path, *files: Path) -> Manifest:
    """Of a run of these files; their names are below the scene."""
    hashes = {file.name: file_digest(file) for file in files}
    return Manifest("0.1.0", scene=str(scene), photos=hashes)


def refusal(known: Manifest, paths: GivenPaths, most_read: int | None = None) -> str:
    """What is said against a start; "" for nothing."""
    try:
        check_scene(Path("/runs/garden"), known, paths, most_read)
    except PipelineError as error:
        return f"{error.title}: {error.message} {error.hint}"
    return ""


def test_the_same_folder_may_have_more_and_other_photographs(photos: Path) -> None:
    known, paths = manifest_of(photos, *photos.iterdir()), GivenPaths(photos=photos)
    assert refusal(Manifest("0.1.0"), paths) == ""
    assert refusal(known, paths) == ""
    (photos / "001.jpg").unlink()
    (photos / "002.jpg").write_bytes(b"another")
    (photos / "003.jpg").write_bytes(b"more")
    assert refusal(known, paths) == ""
    link = photos.with_name("link")
    link.symlink_to(photos)
    assert refusal(known, GivenPaths(photos=link)) == ""
    photos.rename(photos.with_name("elsewhere"))  # it cannot be read: that is told later
    assert refusal(known, paths) == ""


def test_the_same_folder_with_nothing_but_others_is_another_scene(photos: Path) -> None:
    known = manifest_of(photos, *photos.iterdir())
    for file in photos.iterdir():
        file.rename(photos / f"x{file.name}")
    told = refusal(known, GivenPaths(photos=photos))
    assert f"gone from {photos}" in told and "--out" in told


def test_a_folder_that_was_moved_is_the_same_with_all_its_photographs(photos: Path) -> None:
    known = manifest_of(photos, *photos.iterdir())
    moved = GivenPaths(photos=photos.rename(photos.with_name("moved")))
    assert refusal(known, moved) == ""
    (moved.photos / "002.jpg").write_bytes(b"another")
    told = refusal(known, moved)
    assert told.startswith("Another scene: /runs/garden holds the run of")
    assert str(photos) in told and str(moved.photos) in told
    assert "--out" in told and "`barfield resume /runs/garden`" in told
    assert refusal(known, moved, most_read=2) == ""
    (moved.photos / "002.jpg").unlink()
    assert refusal(known, moved, most_read=2) != ""


def test_photographs_may_lie_in_a_folder_called_images(photos: Path) -> None:
    scene = photos.with_name("scene")
    scene.mkdir()
    images = photos.rename(scene / "images")
    known = manifest_of(scene, *images.iterdir())
    assert refusal(known, GivenPaths(photos=scene)) == ""
    copy = shutil.copytree(scene, scene.with_name("copy"))
    assert refusal(known, GivenPaths(photos=copy)) == ""


def test_single_files_and_videos_count_by_their_names(photos: Path) -> None:
    files = sorted(photos.iterdir())
    known = manifest_of(photos, *files[:2])
    assert refusal(known, GivenPaths(photos=photos, files=tuple(files[1:]))) == ""
    assert refusal(known, GivenPaths(photos=photos, files=(files[2],))) != ""
    video = photos / "walk.mp4"
    video.write_bytes(b"frames")
    known = manifest_of(video, video)
    assert refusal(known, GivenPaths(photos=video)) == ""
    assert refusal(known, GivenPaths(photos=video.rename(photos / "run.mp4"))) != ""


def files_of(run: Path) -> dict[Path, bytes]:
    """All that lies in a run directory."""
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.fixture
def run(host: Host, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run `desk` in the current folder, with a parameter of its own, up to the pairs."""
    monkeypatch.chdir(tmp_path)
    command = ("run", str(photos), "--out", "runs/desk", "--headless")
    done = host.call(*command, "--until", "pairs", "--set", "matching.ratio=0.7")
    assert done.code == 0, done
    host.wait_until_empty()
    return tmp_path / "runs" / "desk"


@pytest.mark.parametrize("by_engine", [False, True])
def test_a_start_with_other_photographs_leaves_the_run_as_it_was(
    run: Path, host: Host, tmp_path: Path, by_engine: bool
) -> None:
    others = write_photographs(tmp_path / "others", 5)
    (others / "001.jpg").write_bytes(b"another")
    before = files_of(run)
    if by_engine:
        with pytest.raises(PipelineError, match="Another scene") as caught:
            host.begin(others, run)
        told = f"{caught.value.message} {caught.value.hint}"
    else:
        refused = host.call_here("run", str(others), "--out", str(run), "--headless")
        assert refused.code == 1 and refused.out == ""
        told = refused.err
    assert read_manifest(run).scene in told and str(others) in told and "barfield resume" in told
    host.wait_until_empty()
    assert files_of(run) == before
    resumed = host.call("resume", str(run), "--until", "matching", "--headless")
    assert resumed.code == 0 and "matching" in read_manifest(run).stages
    asked = read_request(run)
    assert asked is not None and asked.config.matching.ratio == 0.7


def test_the_demo_leaves_a_run_of_its_name_alone_and_takes_another_folder(
    run: Path, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_of(run)
    refused = host.call_here("demo", "--quick", "--headless")
    assert refused.code == 1 and "--out" in refused.err and "sample_scenes/desk" in refused.err
    assert files_of(run) == before and not host.processes()
    started: list[RunRequest] = []

    def run_session(request: RunRequest, manner: object) -> bool:
        started.append(request)
        return False

    monkeypatch.setattr("tui.session.run_session", run_session)
    assert host.call_here("demo", "--quick", "--headless", "--out", "elsewhere").code == 0
    assert [request.out for request in started] == [tmp_path / "elsewhere"]
