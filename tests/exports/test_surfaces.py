"""Exports of points and meshes: which of them, what they hold, and none of what is damaged."""

from __future__ import annotations

import errno
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import commands
from pipeline.dense_codecs import save_draft, save_mesh
from pipeline.errors import DiskFull, PipelineError
from pipeline.formats.ply import read_ply
from pipeline.mesh_products import NoMesh, SurfaceMesh
from tests.dense.fused_run import fused_cloud
from tests.exports.runs import CURVED, asked, record_stage, write_run
from tests.exports.test_export import export, refusal
from tests.formats.obj_reading import obj_mesh
from tests.formats.test_glb import make_mesh, make_texture

DRAFT, MESH = make_mesh(1, faces=9), make_mesh()
TEXTURED = replace(MESH, texture=make_texture(len(MESH.faces)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a model, a draft and a textured mesh."""
    root = write_run(tmp_path / "run", CURVED)
    save_draft(DRAFT, root)
    record_stage(root, "draft")
    save_mesh(SurfaceMesh(fused_cloud(7), MESH, TEXTURED), root)
    record_stage(root, "mesh")
    return root


def test_what_no_stage_has_made_does_not_count(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", CURVED)
    save_draft(DRAFT, run)
    assert refusal(run, "obj").title == "No mesh yet"
    assert export(run, "glb")["holds"] == {"scene.glb": {"cameras": 5, "points": 30}}
    made = export(run, "ply", tmp_path / "cloud.ply")
    assert made["holds"] == {"cloud.ply": {"points": 30}}
    assert (made["photographs"], made["points"]) == (0, 30)
    save_draft(NoMesh("3 points, 50 needed"), run)
    record_stage(run, "draft")
    assert "the stage draft made none: 3 points, 50 needed" in refusal(run, "obj").message


def test_a_draft_takes_the_place_of_points(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", CURVED)
    save_draft(DRAFT, run)
    record_stage(run, "draft")
    made = export(run, "obj")
    found = obj_mesh(Path(made["out"]) / "mesh.obj")
    np.testing.assert_array_equal(found["f"][:, :, 0] - 1, DRAFT.faces)
    np.testing.assert_array_equal(found["v"][:, :3].astype(np.float32), DRAFT.xyz)
    assert DRAFT.rgb is not None
    np.testing.assert_array_equal(np.round(found["v"][:, 3:] * 255), DRAFT.rgb)
    assert made["notes"] == ("This is the draft mesh, with colours of vertices.",)
    assert made["holds"] == {"mesh.obj": {"vertices": 12, "triangles": 9}}
    made = export(run, "glb")
    assert (Path(made["out"]) / "scene.glb").read_bytes() == (run / "draft/mesh.glb").read_bytes()


def test_a_mesh_takes_the_place_of_a_draft(run: Path, tmp_path: Path) -> None:
    made = export(run, "glb", tmp_path / "mesh.glb")
    assert (tmp_path / "mesh.glb").read_bytes() == (run / "mesh/mesh.glb").read_bytes()
    assert list(made["holds"]) == ["mesh.glb"] and made["holds"]["mesh.glb"]["triangles"] == 20
    assert (made["photographs"], made["points"]) == (0, 0)
    made = export(run, "obj")
    assert made["files"] == ("mesh.mtl", "mesh.obj", "texture.png", "export.json")
    for name in made["files"][:3]:
        copied, own = Path(made["out"]) / name, run / "mesh/textured" / name
        assert copied.read_bytes() == own.read_bytes() and not copied.samefile(own)
    assert made["holds"] == {"mesh.obj": {"vertices": 12, "triangles": 20}}
    made = export(run, "ply")
    assert made["files"] == ("fused.ply", "mesh.ply", "points.ply", "export.json")
    assert made["holds"] == {
        "points.ply": {"points": 30},
        "fused.ply": {"points": 7},
        "mesh.ply": {"vertices": 12, "triangles": 20},
    }
    export(run, "ply", tmp_path / "dense.ply")
    assert len(read_ply(tmp_path / "dense.ply").xyz) == 7
    save_mesh(SurfaceMesh(fused_cloud(7), MESH, None), run)
    assert export(run, "obj")["notes"] == ("This is the mesh, with colours of vertices.",)


DAMAGE = [
    ("ply", "mesh/fused.ply"),
    ("ply", "mesh/mesh.ply"),
    ("glb", "mesh/mesh.glb"),
    ("glb", "mesh/verdict.json"),
    ("obj", "mesh/textured/mesh.obj"),
    ("obj", "mesh/textured/texture.png"),
    ("glb", "draft/mesh.glb"),
    ("obj", "draft/mesh.ply"),
]


@pytest.mark.parametrize(("format", "file"), DAMAGE)
@pytest.mark.parametrize("gone", [False, True])
def test_what_is_damaged_is_not_exported(run: Path, format: str, file: str, gone: bool) -> None:
    stage = file.split("/")[0]
    if stage == "draft":
        save_mesh(NoMesh("no depth"), run)
    if gone:
        (run / file).unlink()
    else:
        (run / file).write_bytes((run / file).read_bytes()[:-1])
    error = refusal(run, format)
    assert error.title == "Damaged run" and str(run / file) in error.message
    assert error.hint == f"`barfield retry run --from {stage}` makes it anew."
    assert not (run / "export" / format).exists()


@pytest.mark.parametrize(
    ("format", "file"), [damage for damage in DAMAGE if not damage[1].endswith("png")]
)
def test_damage_is_told_where_nobody_has_recorded_sizes(run: Path, format: str, file: str) -> None:
    """But of a texture, which is for other programs alone."""
    if file.startswith("draft"):
        save_mesh(NoMesh("no depth"), run)
    for stage in ("draft", "mesh"):
        verdict = json.loads((run / stage / "verdict.json").read_text())
        del verdict["sizes"]
        (run / stage / "verdict.json").write_text(json.dumps(verdict))
    assert export(run, format)["holds"]
    shutil.rmtree(run / "export")
    (run / file).unlink() if file.endswith("obj") else (run / file).write_bytes(b"ply or so")
    assert re.search(re.escape(str(run / file)), refusal(run, format).message)


def test_a_full_disk_is_told_without_a_promise_to_continue(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(PipelineError) as caught:
        commands.export(run, asked("glb"), lambda done, total: None)
    assert isinstance(caught.value, DiskFull) and "continues" not in caught.value.hint
    assert "the same command exports from the beginning" in caught.value.hint
