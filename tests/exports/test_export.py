"""Exports of whole runs: the photographs, the place, the choice of the model, and the refusals."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import commands
from pipeline.errors import PipelineError
from pipeline.export_request import FORMATS
from pipeline.formats.colmap_model import read_model
from pipeline.formats.ply import read_ply
from pipeline.formats.posed import photo_names_in, photo_size
from pipeline.formats.reference import read_posed_photos
from pipeline.products import SparseModel
from pipeline.workspace import Workspace
from tests.exports.runs import (
    CURVED,
    HEIGHT,
    WIDTH,
    asked,
    moved,
    ramp,
    record_stage,
    small_model,
    write_photograph,
    write_refined,
    write_run,
)
from tests.formats.glb_reading import read_glb

WITH_PHOTOGRAPHS = ("colmap", "nerfstudio", "instant-ngp", "llff", "nvm", "opensfm")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", CURVED)


def export(run: Path, format: str, out: Path | None = None, model: str = "best") -> dict[str, Any]:
    return commands.export(run, asked(format, out, model), lambda done, total: None)


def refusal(run: Path, format: str, out: Path | None = None, model: str = "best") -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        export(run, format, out, model)
    return caught.value


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_a_run(run: Path, format: str) -> None:
    if format == "obj":
        assert refusal(run, format).title == "No mesh yet"
        return
    made = export(run, format)
    folder = Path(made["out"])
    assert folder == run / "export" / format and made["model"] == "sparse/0"
    *files, last = made["files"]
    assert files == sorted(files) and last == "export.json"
    assert all((folder / name).is_file() for name in made["files"])
    about = json.loads((folder / "export.json").read_text())
    assert about["files"] == [*files, last] and about["notes"] == list(made["notes"])
    placed = made["linked"] + made["copied"] + made["written"]
    assert placed == (5 if format in WITH_PHOTOGRAPHS else 0)
    assert len(photo_names_in(folder / "images")) == placed
    again = export(run, format)  # in place of the first
    assert again == made
    assert [path.name for path in (run / "export").iterdir()] == [format]


@pytest.mark.parametrize("format", ["colmap", "nerfstudio", "instant-ngp", "llff"])
def test_our_own_readers_read_it_back(run: Path, format: str) -> None:
    """Also by the names that the run has, in folders or without."""
    made = export(run, format)
    names = [image.name for image in CURVED.images.values()]
    found = read_posed_photos(Path(made["out"]), names)
    assert set(found.cam_from_world) == set(names)
    for image in CURVED.images.values():
        pose = found.cam_from_world[image.name]
        np.testing.assert_allclose(pose.center, image.cam_from_world.center, atol=1e-9)


def test_photographs_are_hard_links_in_their_folders(run: Path) -> None:
    made = export(run, "colmap")
    assert (made["linked"], made["copied"], made["written"], made["bytes"]) == (5, 0, 0, 0)
    for image in CURVED.images.values():
        original = run.parent / "photos" / image.name
        assert original.samefile(Path(made["out"]) / "images" / image.name)


def test_where_links_are_not_possible_photographs_are_copied(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    made = export(run, "nerfstudio")
    assert (made["linked"], made["copied"]) == (0, 5) and made["bytes"] > 5000
    usage = shutil.disk_usage(run)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    error = refusal(run, "colmap")
    assert error.title == "No space left" and "0 MB free" in error.message
    assert not (run / "export" / "colmap").exists()
    assert [path.name for path in (run / "export").iterdir()] == ["nerfstudio"]


def test_a_photograph_that_is_stored_turned_is_written_upright(tmp_path: Path) -> None:
    model = small_model(3, n_images=2, models=("RADIAL",), name="{}{}.jpg")
    run = write_run(tmp_path / "run", model)
    (turned, plain) = sorted((tmp_path / "photos").iterdir())
    # Orientation 6: stored as it was held, a quarter turn to the left of upright.
    write_photograph(turned, np.rot90(ramp(WIDTH, HEIGHT)), orientation=6)
    index = json.loads((run / "photos" / "index.json").read_text())
    index["photos"][0]["exif"] = {"orientation": "6"}
    (run / "photos" / "index.json").write_text(json.dumps(index))
    made = export(run, "colmap")
    assert (made["linked"], made["written"]) == (1, 1)
    with Image.open(Path(made["out"]) / "images" / turned.name) as upright:
        assert upright.size == (WIDTH, HEIGHT) and upright.getexif().get(0x0112, 1) == 1
        off = np.asarray(upright).astype(int) - ramp(WIDTH, HEIGHT)
    assert np.abs(off).max() <= 4
    assert plain.samefile(Path(made["out"]) / "images" / plain.name)


def test_undistorted_photographs_and_what_is_told_of_them(run: Path) -> None:
    made = export(run, "llff")
    assert made["written"] == 5 and any("undistorted" in note for note in made["notes"])
    images = Path(made["out"]) / "images"
    # Without folders: all have base names of their own here.
    assert sorted(path.name for path in images.iterdir()) == [f"föto{i}.jpg" for i in range(5)]
    assert {photo_size(path) for path in images.iterdir()} == {(WIDTH, HEIGHT)}


def test_names_that_a_format_cannot_hold(tmp_path: Path) -> None:
    model = small_model(3, n_images=4, name="my album {}/föto {}.jpg")
    run = write_run(tmp_path / "run", model)
    made = export(run, "nvm")
    assert "4 photographs have another name here" in made["notes"][0]
    names = json.loads((Path(made["out"]) / "export.json").read_text())["names"]
    assert names["my album 0/föto 0.jpg"] == "my_album_0/föto_0.jpg"
    assert (Path(made["out"]) / "images" / "my_album_0" / "föto_0.jpg").is_file()
    assert any("end of its line" in note for note in export(run, "tum")["notes"])


def test_the_model_that_is_meant(run: Path) -> None:
    assert refusal(run, "tum", model="refined").title == "No refined cameras"
    refined = moved(CURVED, 0.5)
    write_refined(run, refined)
    for choice, folder, expected in (
        ("best", "sparse/refined", refined),
        ("refined", "sparse/refined", refined),
        ("mapping", "sparse/0", CURVED),
    ):
        made = export(run, "colmap", model=choice)
        assert made["model"] == folder
        found = read_model(Path(made["out"]) / "sparse" / "0")
        for key, image in expected.images.items():
            np.testing.assert_array_equal(
                found.images[key].cam_from_world.translation, image.cam_from_world.translation
            )


def test_of_several_models_the_largest_is_written(tmp_path: Path) -> None:
    second = small_model(4, n_images=2, name="other-{}/{}.jpg")
    made = export(write_run(tmp_path / "run", CURVED, second), "ply")
    assert "2 models; this is the largest, with 5 of 7" in made["notes"][0]


def test_a_run_without_a_model_says_so(tmp_path: Path) -> None:
    with Workspace(tmp_path / "run", "0.1.0"):
        pass
    error = refusal(tmp_path / "run", "colmap")
    assert error.title == "No model yet" and "mapping" in error.hint


def test_photographs_that_are_gone_or_changed(run: Path) -> None:
    names = sorted(image.name for image in CURVED.images.values())
    photographs = run.parent / "photos"
    write_photograph(photographs / names[1], ramp(100, 75))
    error = refusal(run, "colmap")
    assert error.title == "Photograph changed" and "100 x 75" in error.message
    (photographs / names[1]).write_bytes(b"no picture")
    assert "cannot be read" in refusal(run, "nvm").message
    (photographs / names[0]).unlink()
    (photographs / names[1]).unlink()
    error = refusal(run, "nerfstudio")
    assert "and 1 more cannot be found; 2 of 5" in error.message and names[0] in error.message
    assert not (run / "export").exists() or not any((run / "export").iterdir())
    assert export(run, "ply")["points"] == 30  # needs none


def test_nothing_but_a_former_export_is_replaced(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    assert "not empty, and no former export" in refusal(run, "colmap", out).message
    (out / "thesis.tex").unlink()
    export(run, "colmap", out)
    assert "holds an export as colmap" in refusal(run, "nerfstudio", out).message
    (out / "images_2").mkdir()
    (out / "images_2" / "a.jpg").write_text("made by another program")
    assert "images_2/a.jpg, which the export did not write" in refusal(run, "colmap", out).message
    assert (out / "images_2" / "a.jpg").exists() and (out / "sparse" / "0").is_dir()
    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file" in refusal(run, "colmap", file).message
    assert "no former export" in refusal(run, "colmap", run.parent / "photos").message
    assert file.read_text() == "mine"


def test_places_that_cannot_be(run: Path, tmp_path: Path) -> None:
    error = refusal(run, "colmap", tmp_path / ("x" * 300))
    assert error.title == "Cannot write" and "exports from the beginning" in error.hint
    assert "continues" not in error.hint
    (tmp_path / "file").write_text("mine")
    assert refusal(run, "colmap", tmp_path / "file" / "below").title == "Not a folder"
    (tmp_path / "link").symlink_to(tmp_path / "behind")
    (tmp_path / "behind").mkdir()
    export(run, "colmap", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "behind" / "export.json").is_file()


def test_single_files(run: Path, tmp_path: Path) -> None:
    made = export(run, "ply", tmp_path / "cloud.ply")
    assert made["files"] == ("cloud.ply",) and len(read_ply(tmp_path / "cloud.ply").xyz) == 30
    assert "is there already" in refusal(run, "ply", tmp_path / "cloud.ply").message
    export(run, "glb", tmp_path / "new" / "scene.GLB")
    assert len(read_glb(tmp_path / "new" / "scene.GLB").attribute("POSITION")) == 30
    assert refusal(run, "obj", tmp_path / "mesh.obj").title == "A folder is needed"


def test_a_model_that_is_older_than_its_features_is_refused(run: Path) -> None:
    record_stage(run, "verification", {"features": "before"})
    record_stage(run, "features")
    assert refusal(run, "colmap").title == "The model is out of date"


def test_every_photograph_is_told(run: Path) -> None:
    told: list[tuple[int, int]] = []
    commands.export(run, asked("nvm"), lambda done, total: told.append((done, total)))
    assert told == [(done, 5) for done in range(1, 6)]


def test_a_photograph_that_is_in_no_index_is_missed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", CURVED)
    renamed = small_model(7, n_images=5, n_points=30, name="elsewhere-{}/{}.jpg")
    write_refined(run, SparseModel(renamed.cameras, renamed.images, renamed.points))
    assert refusal(run, "colmap").title == "Photographs gone"
