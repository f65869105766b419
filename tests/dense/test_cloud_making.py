"""Clouds in a run directory: whole or not there, of what the run holds now, old ones removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import cloud_making
from pipeline.cloud_making import MOST_VERSIONS, make_cloud
from pipeline.codecs import save_product
from pipeline.errors import PipelineError
from pipeline.formats.bundle import unpack
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import Reconstruction, RefinedCameras, Verdict
from pipeline.run_directory import RunDirectory
from pipeline.scene_index import cloud_folder, cloud_reports, missing_clouds, scene_of, way_up
from pipeline.version import VERSION
from tests.dense.fused_run import fused_cloud, give_fused
from tests.dense.mapped_run import write_mapped_run
from tests.dense.models import floor_model

WHY = "a test does without"
FILES = ["cameras.json", "cloud.json", "details.bin", "points.bin"]


def make_missing(root: Path) -> list[str]:
    """Make what is missing; the ids."""
    ids = [source.id for source in missing_clouds(root)]
    for cloud in ids:
        make_cloud(root, cloud, WHY)
    return ids


def fuse(root: Path, count: int = 500, source: str = "photographs", seed: int = 0) -> None:
    """Let a run have fused a cloud."""
    with RunDirectory(root, VERSION) as directory:
        give_fused(directory, fused_cloud(count), source, seed)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose mapping is done."""
    write_mapped_run(tmp_path / "run", floor_model()[0])
    return tmp_path / "run"


def test_a_cloud_is_whole_and_told(run: Path) -> None:
    assert not scene_of(run).clouds and cloud_reports(run) == []
    (cloud,) = make_missing(run)
    folder = cloud_folder(run, cloud)
    assert folder is not None and sorted(path.name for path in folder.iterdir()) == FILES
    scene = scene_of(run)
    (view,) = scene.clouds
    assert view.steps == 0  # its verdicts tell of no order
    assert (view.id, view.format, view.count, view.before) == (cloud, "points", 3000, 3000)
    assert view.url == f"/clouds/{cloud}/" and view.note.endswith(WHY) and scene.up is not None
    assert [(c.id, c.url) for c in scene.cameras] == [("mapping", f"{view.url}cameras.json")]
    cameras = json.loads((folder / "cameras.json").read_text())
    assert [image["photo"] for image in cameras["images"]] == list(range(6))
    (told,) = cloud_reports(run)
    assert told["before"] == 3000 == told["after"] + told["strays"] and told["note"] == view.note
    assert make_missing(run) == []
    make_cloud(run, cloud, WHY)  # it is there: nothing happens
    assert scene_of(run) == scene


def test_when_the_points_came_is_told_where_mapping_has_kept_it(run: Path) -> None:
    model, _ = floor_model()
    names = [image.name for image in model.images.values()]
    verdicts = tuple(Verdict(name, True, "registered", 0, n) for n, name in enumerate(names))
    save_product("reconstruction", Reconstruction((model,), verdicts), run)
    (cloud,) = make_missing(run)
    (view,) = scene_of(run).clouds
    assert view.steps == len(names)
    header, parts = unpack((run / "clouds" / cloud / "steps.bin").read_bytes())
    assert header["count"] == view.count == len(parts["step"])


def test_a_cloud_without_verdicts_is_made_all_the_same(run: Path) -> None:
    (run / "sparse" / "verdicts.json").write_text("{")
    make_missing(run)
    (view,) = scene_of(run).clouds
    assert view.steps == 0


def test_refined_cameras_have_a_cloud_of_their_own(run: Path) -> None:
    model, _ = floor_model()
    save_product("refined", RefinedCameras(model, "better"), run)
    with RunDirectory(run, VERSION) as directory:
        directory.record(StageEntry(Ingredients("radiance", 1, {}, {}, {}), 1.0, {"steps": 9}))
    assert [cloud.split("-")[0] for cloud in make_missing(run)] == ["sparse", "refined"]
    scene = scene_of(run)
    assert [(c.name, c.stage) for c in scene.clouds] == [
        ("sparse", "mapping"),
        ("refined", "radiance"),
    ]
    assert [camera.id for camera in scene.cameras] == ["mapping", "refined"]
    assert (scene.field.state, scene.field.step) == ("trained", 9)


def test_what_depth_maps_agree_on_is_a_cloud_that_comes_last(run: Path) -> None:
    fuse(run)
    sparse, dense = make_missing(run)
    scene = scene_of(run)
    view = scene.clouds[-1]
    assert [cloud.id for cloud in scene.clouds] == [sparse, dense] and view.name == "dense"
    assert (view.stage, view.count, view.strays, view.steps) == ("mesh", 500, 0, 0)
    assert [(c.id, c.url) for c in scene.cameras] == [("mapping", f"/clouds/{sparse}/cameras.json")]
    folders = [run / "clouds" / cloud for cloud in (sparse, dense)]
    assert sorted(path.name for path in folders[1].iterdir()) == FILES
    ups = [json.loads((folder / "cloud.json").read_text())["up"] for folder in folders]
    assert ups[0] == ups[1] == list(scene.up or ())
    assert [told["name"] for told in cloud_reports(run)] == ["sparse", "dense"]
    assert cloud_reports(run)[1]["after"] == 500


def test_the_way_up_is_that_of_the_points_that_were_looked_around(run: Path) -> None:
    fuse(run)
    sparse, dense = missing_clouds(run)
    assert way_up(run, dense) is None
    make_cloud(run, sparse.id, WHY)
    about = run / "clouds" / sparse.id / "cloud.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "up": [0.0, 0.0, 1.0]}))
    make_cloud(run, dense.id, WHY)
    told = json.loads((run / "clouds" / dense.id / "cloud.json").read_text())
    assert told["up"] == [0.0, 0.0, 1.0]


def test_what_was_fused_before_the_cameras_moved_is_no_cloud_of_the_run(run: Path) -> None:
    fuse(run)
    make_missing(run)
    write_mapped_run(run, floor_model()[0], seed=1)
    assert [cloud.split("-")[0] for cloud in make_missing(run)] == ["sparse"]
    assert [cloud.name for cloud in scene_of(run).clouds] == ["sparse"]
    fuse(run)
    assert [cloud.split("-")[0] for cloud in make_missing(run)] == ["dense"]


def test_depth_of_the_field_makes_a_cloud_with_the_cameras_of_the_field(run: Path) -> None:
    with RunDirectory(run, VERSION) as directory:
        mapped = directory.manifest.stages["mapping"].ingredients.fingerprint
        trained = Ingredients("radiance", 1, {}, {"reconstruction": mapped}, {})
        directory.record(StageEntry(trained, 1.0, {"steps": 9}))
    fuse(run, source="field")
    assert [(source.name, source.cameras) for source in missing_clouds(run)] == [
        ("sparse", "mapping"),
        ("dense", "mapping"),  # those of mapping were as good
    ]
    save_product("refined", RefinedCameras(floor_model()[0], "better"), run)
    make_missing(run)
    scene = scene_of(run)
    assert [cloud.name for cloud in scene.clouds] == ["sparse", "refined", "dense"]
    assert [camera.id for camera in scene.cameras] == ["mapping", "refined"]
    assert missing_clouds(run) == ()


@pytest.mark.parametrize("file", ["fused.ply", "fused.ply.vis"])
def test_a_fused_cloud_that_is_damaged_is_told_and_the_others_are_made(
    run: Path, file: str
) -> None:
    fuse(run)
    (run / "mesh" / file).write_bytes(b"ply, or so it says")
    sparse, dense = missing_clouds(run)
    make_cloud(run, sparse.id, WHY)
    with pytest.raises(PipelineError, match=file) as told:
        make_cloud(run, dense.id, WHY)
    assert "retry RUN --from mesh" in told.value.hint
    assert [cloud.name for cloud in scene_of(run).clouds] == ["sparse"]
    (run / "mesh/fused.ply").unlink()
    assert missing_clouds(run) == ()


def test_old_versions_of_the_fused_cloud_are_removed_and_no_others(run: Path) -> None:
    made = []
    for seed in range(4):
        fuse(run, seed=seed)
        made += make_missing(run)
    kept = {path.name for path in (run / "clouds").iterdir()}
    assert kept == {made[0], *made[-MOST_VERSIONS:]} and made[0].startswith("sparse-")


def test_of_old_versions_the_newest_stay(run: Path) -> None:
    clouds = make_missing(run)
    for seed in range(1, 4):
        write_mapped_run(run, floor_model()[0], seed)
        clouds += make_missing(run)
    kept = {path.name for path in (run / "clouds").iterdir()}
    assert len(set(clouds)) == 4 and kept == set(clouds[-MOST_VERSIONS:])
    assert [cloud.id for cloud in scene_of(run).clouds] == clouds[-1:]


def test_what_was_mapped_anew_meanwhile_is_not_put_in_place(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = run / "manifest.json"

    def slow(*args: object) -> dict[str, object]:
        manifest.write_text(manifest.read_text().replace('"seed": 0', '"seed": 1'))
        return {"format": "points"}

    monkeypatch.setattr(cloud_making, "write_cloud", slow)
    (source,) = missing_clouds(run)
    make_cloud(run, source.id, WHY)
    assert list((run / "clouds").iterdir()) == []
    make_cloud(run, source.id, WHY)  # the run should no longer have it
    assert cloud_folder(run, source.id) is None


def test_a_model_that_is_not_whole_is_told(run: Path) -> None:
    (run / "sparse/0/points3D.bin").write_bytes(b"\x01")
    with pytest.raises(PipelineError, match=r"points3D\.bin"):
        make_missing(run)


@pytest.mark.parametrize("cloud", ["", "sparse", "../sparse-0123456789ab", "sparse-0123456789ab/x"])
def test_only_ids_name_folders(run: Path, cloud: str) -> None:
    assert cloud_folder(run, cloud) is None


def test_what_is_no_run_has_nothing_to_see(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    assert not scene.clouds and "manifest.json" in scene.troubles[0] and scene.version
    assert missing_clouds(tmp_path) == () and cloud_reports(tmp_path) == []


def test_a_cloud_that_somebody_has_edited_is_not_told(run: Path) -> None:
    (cloud,) = make_missing(run)
    about = run / "clouds" / cloud / "cloud.json"
    for text in ("{", "[]", '{"count": "many"}'):
        about.write_text(text)
        assert not scene_of(run).clouds
