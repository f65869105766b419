"""What there is to see while stages work: the newest snapshot, and how far the field is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.cloud_making import make_cloud
from pipeline.engine.messages import MetricView, RunView, StageView
from pipeline.manifest import Ingredients, StageEntry
from pipeline.run_directory import RunDirectory
from pipeline.scene_answer import FieldView
from pipeline.scene_index import missing_clouds, scene_of
from pipeline.version import VERSION
from tests.dense.mapped_run import write_mapped_run
from tests.dense.models import SPEC, model_of
from tests.synthetic import make_world


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with snapshots of two stages."""
    root = tmp_path / "run"
    with RunDirectory(root, VERSION):
        for stage in ("mapping", "radiance"):
            (root / stage / "previews").mkdir(parents=True)
            (root / stage / "previews/00000012.scene").write_bytes(b"BFB1")
    return root


def view_of(*stages: StageView, metrics: tuple[MetricView, ...] = ()) -> RunView:
    return RunView(
        engine="e", run="run", root="", host="", pid=1, started=0.0, stages=stages, metrics=metrics
    )


def at(stage: str, state: Any, **told: Any) -> StageView:
    """A stage that has kept a snapshot."""
    return StageView(name=stage, state=state, scene=f"{stage}/previews/00000012.scene", **told)


def record(run: Path, stage: str, **report: Any) -> None:
    with RunDirectory(run, VERSION) as directory:
        directory.record(StageEntry(Ingredients(stage, 1, {}, {}, {}), 1.0, report))


def test_the_snapshot_of_the_stage_at_work_is_live(run: Path) -> None:
    live = scene_of(run, view_of(at("mapping", "started"))).live
    assert live is not None and live.url == "/api/previews/mapping/00000012.scene"
    assert (live.stage, live.step, live.file) == ("mapping", 12, "mapping/previews/00000012.scene")
    both = view_of(at("mapping", "done"), at("radiance", "started"))
    live = scene_of(run, both).live
    assert live is not None and live.stage == "radiance"
    assert scene_of(run, view_of(StageView(name="mapping"))).live is None
    assert scene_of(run).live is None


def test_the_last_snapshot_stays_until_the_cloud_is_there(run: Path) -> None:
    mapped = view_of(at("mapping", "done"))
    assert scene_of(run, mapped).live is not None
    write_mapped_run(run, model_of(make_world(SPEC)))
    assert scene_of(run, mapped).live is not None
    for source in missing_clouds(run):
        make_cloud(run, source.id, "a test does without")
    assert scene_of(run, mapped).live is None and scene_of(run, mapped).clouds


def test_a_cloud_whose_description_is_damaged_is_made_anew(run: Path) -> None:
    write_mapped_run(run, model_of(make_world(SPEC)))
    (source,) = missing_clouds(run)
    make_cloud(run, source.id, "a test does without")
    told = scene_of(run)
    assert told.clouds and not missing_clouds(run)
    for damage in (b"", b"{", b"{}"):
        (run / "clouds" / source.id / "cloud.json").write_bytes(damage)
        assert not scene_of(run).clouds
        assert missing_clouds(run) == (source,)
        make_cloud(run, source.id, "a test does without")
        assert scene_of(run).clouds == told.clouds


def test_meshes_are_those_of_stages_that_are_done(run: Path) -> None:
    (run / "draft").mkdir()
    (run / "draft/mesh.glb").write_bytes(b"glTF")
    assert not scene_of(run).meshes
    record(run, "draft", vertices=3, triangles=1)
    record(run, "mesh")  # has found none
    (mesh,) = scene_of(run).meshes
    assert (mesh.name, mesh.stage, mesh.vertices, mesh.faces) == ("draft", "draft", 3, 1)
    assert mesh.url == f"/meshes/{mesh.id}/mesh.glb" and mesh.id.startswith("draft-")
    with RunDirectory(run, VERSION) as directory:
        anew = Ingredients("draft", 1, {"other": 1}, {}, {})
        directory.record(StageEntry(anew, 1.0, {}))
    (other,) = scene_of(run).meshes
    assert other.id != mesh.id and other.vertices is None


def test_the_counts_of_a_mesh_are_those_of_its_file(run: Path) -> None:
    """With a texture the file has a simpler mesh, whose vertices at seams nobody has counted."""
    (run / "mesh").mkdir()
    (run / "mesh/mesh.glb").write_bytes(b"glTF")
    for textured, vertices, faces in ((0, 90, 170), (60, None, 60)):
        record(run, "mesh", vertices=90, triangles=170, textured_triangles=textured)
        (mesh,) = scene_of(run).meshes
        assert (mesh.vertices, mesh.faces) == (vertices, faces)


def test_a_snapshot_that_is_gone_is_not_told(run: Path) -> None:
    (run / "mapping/previews/00000012.scene").unlink()
    assert scene_of(run, view_of(at("mapping", "started"))).live is None


def test_how_far_the_field_is(run: Path) -> None:
    assert scene_of(run).field == FieldView(why="radiance is not done")
    psnr = MetricView(stage="radiance", name="psnr", value=20.0, step=70)
    other = MetricView(stage="mapping", name="points", value=20.0, step=700)
    training = view_of(at("radiance", "started"), metrics=(psnr, other))
    assert scene_of(run, training).field == FieldView(step=70, state="training")
    failed = view_of(at("radiance", "failed", why="it was killed", checkpoint_step=50))
    field = scene_of(run, failed).field
    assert field == FieldView(step=50, why="radiance has failed: it was killed")
    record(run, "radiance", trained=False, verdict="no radiance field: mapping found no model")
    assert scene_of(run).field == FieldView(why="no radiance field: mapping found no model")
    record(run, "radiance", trained=True, steps=900, verdict="better")
    assert scene_of(run).field == FieldView(step=900, state="trained", why="better")


def test_another_content_has_another_version(run: Path) -> None:
    before = scene_of(run)
    assert scene_of(run) == before
    assert scene_of(run, troubles=("no room",)).version != before.version
    record(run, "radiance", trained=True, steps=900, verdict="better")
    assert scene_of(run).version != before.version
