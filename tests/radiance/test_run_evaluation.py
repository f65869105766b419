"""`barfield eval` and `barfield bench`, on runs and scenes made for the purpose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline import commands
from pipeline.errors import PipelineError
from pipeline.formats.posed import PosedPhotos
from pipeline.formats.transforms import write_transforms
from pipeline.geometry.poses import Pose
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import (
    NoField,
    Photo,
    PhotoIndex,
    Points,
    RadianceField,
    Reconstruction,
    RefinedCameras,
    RegisteredImage,
    SparseModel,
    Verdict,
)
from pipeline.radiance.perturbation import displaced
from pipeline.radiance.run_evaluation import RunProducts, evaluate_run
from pipeline.radiance.training import Trainer
from pipeline.radiance_config import RadianceConfig
from pipeline.version import VERSION
from pipeline.workspace import Workspace
from tests.radiance.blobs import BlobSpec, blob_camera, blob_poses, blob_problem
from tests.radiance.test_datasets import write_blender
from tui.cli import build_app

SPEC = BlobSpec(views=6, width=40, height=32)
TRUE = blob_poses(SPEC.views)
MAPPED = displaced(TRUE, 2.0, 0.0, 0)
TINY = ("rays=16", "samples=4", "steps=3", "device=cpu")
CONFIG = RadianceConfig(preset="barf-cpu", device="cpu", steps=3, rays=16, samples=4)


def model(poses: tuple[Pose, ...], names: list[str]) -> SparseModel:
    nothing = np.zeros((0, 2)), np.zeros(0, np.int64)
    images = {
        i + 1: RegisteredImage(name, 1, pose, *nothing)
        for i, (name, pose) in enumerate(zip(names, poses, strict=True))
    }
    return SparseModel({1: blob_camera(SPEC)}, images, Points.none())


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> RunProducts:
    """A field that was never trained, from cameras that are two degrees off; one view held out."""
    folder = tmp_path_factory.mktemp("photos")
    problem, _ = blob_problem(SPEC, held_out=1)
    views = [*problem.views, *problem.held_out]
    photos = []
    for view in views:
        cv2.imwrite(str(folder / view.name), view.rgb[:, :, ::-1])
        photos.append(Photo(view.name, folder / view.name, 0, 40, 32, view.name))
    mapped = tuple(MAPPED)
    started = replace(problem, poses=mapped[:-1], held_out_poses=mapped[-1:])
    field = Trainer(started, CONFIG, torch.device("cpu"), lambda words: None).model.to_arrays()
    names = [view.name for view in views]
    return RunProducts(
        PhotoIndex(tuple(photos), (blob_camera(SPEC),)),
        RadianceField(field, (names[-1],), 40),
        model(mapped, names),
        model(tuple(TRUE), names),
    )


@pytest.fixture(scope="module")
def truth(products: RunProducts) -> PosedPhotos:
    names = [photo.name for photo in products.photos.photos]
    camera = blob_camera(SPEC)
    return PosedPhotos(dict(zip(names, TRUE, strict=True)), dict.fromkeys(names, camera))


def saved(run: Path, products: RunProducts, field: RadianceField | NoField) -> Path:
    """A run directory with these products."""

    def entry(stage: str) -> StageEntry:
        return StageEntry(Ingredients(stage, 1, {}, {}, {}), 1.0, {})

    names = [photo.name for photo in products.photos.photos]
    assert products.mapped is not None
    verdicts = tuple(Verdict(name, True, "", 0) for name in names)
    with Workspace(run, VERSION) as workspace:
        workspace.claim(run, {name: name for name in names})
        workspace.save(entry("ingest"), {"photos": products.photos, "thumbnails": {}})
        reconstruction = Reconstruction((products.mapped,), verdicts)
        workspace.save(entry("mapping"), {"reconstruction": reconstruction})
        refined = RefinedCameras(products.refined, "the refined cameras are taken: a test")
        workspace.save(entry("radiance"), {"radiance": field, "refined": refined})
    return run


def test_a_run_is_judged_on_its_held_out_photograph(
    products: RunProducts, truth: PosedPhotos, tmp_path: Path
) -> None:
    judged = evaluate_run(products, truth, tmp_path / "pictures")
    assert [view["name"] for view in judged["views"]] == ["005.png"]
    assert 2.0 < judged["psnr"] < 30.0 and judged["lpips"] is None
    cameras = judged["cameras"]
    assert cameras["mapping"]["rotation_mean_deg"] == pytest.approx(2.0, abs=1e-3)
    # Nothing was learned: the field's cameras are those that it started from, to float32.
    assert cameras["field"]["rotation_mean_deg"] == pytest.approx(2.0, abs=1e-3)
    assert cameras["field"]["registered"] == cameras["refined"]["registered"] == 5
    assert cameras["refined"]["rotation_mean_deg"] < 1e-6
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["005.png"]


def test_without_a_truth_or_a_model_there_are_no_camera_errors(products: RunProducts) -> None:
    unposed = replace(products, mapped=None, refined=None)
    judged = evaluate_run(unposed)
    assert judged["cameras"] is None
    assert [view["name"] for view in judged["views"]] == ["005.png"]


def test_damage_and_changed_photographs_are_said(products: RunProducts) -> None:
    arrays = dict(products.field.arrays)
    arrays.pop("background_logits")
    damaged = replace(products, field=replace(products.field, arrays=arrays))
    with pytest.raises(PipelineError, match="background_logits"):
        evaluate_run(damaged)
    fewer = PhotoIndex(products.photos.photos[:-1], products.photos.cameras)
    with pytest.raises(PipelineError, match=r"005\.png"):
        evaluate_run(replace(products, photos=fewer))


def call(*arguments: str) -> None:
    """A command of the command line in this process; its error, if it fails."""
    build_app()(list(arguments), standalone_mode=False)


def test_eval_command(
    products: RunProducts, truth: PosedPhotos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = saved(tmp_path / "run", products, products.field)
    write_transforms(tmp_path / "transforms.json", truth, photo_folder="")
    reference = ("--reference", str(tmp_path / "transforms.json"))
    call("eval", str(run), *reference, "--json")
    judged: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert judged["refined"] and judged["held_out"] == 1
    assert judged["cameras"]["mapping"]["rotation_mean_deg"] == pytest.approx(2.0, abs=1e-3)
    call("eval", str(run), *reference)
    printed = capsys.readouterr().out
    assert "the refined cameras are taken" in printed and "005.png" in printed
    assert "mapping" in printed and "2.0000" in printed


def test_eval_of_runs_without_a_field(products: RunProducts, tmp_path: Path) -> None:
    run = saved(tmp_path / "run", products, NoField("one photograph alone"))
    with pytest.raises(PipelineError, match="one photograph alone"):
        commands.evaluate(run)
    with Workspace(run, VERSION) as workspace:
        workspace.forget("radiance")
    with pytest.raises(PipelineError, match="has not come to its end"):
        commands.evaluate(run)


def test_bench_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for scene in ("chair", "lego"):
        write_blender(tmp_path / "scenes" / scene)
    out = tmp_path / "out"
    options = ["--out", str(out), "--noise", "0.05", "--size-px", "20", "--tests", "1"]
    options += ["--preset", "barf-cpu"]
    for text in TINY:
        options += ["--set", f"radiance.{text}"]
    arguments = ["bench", "blender", str(tmp_path / "scenes"), *options]
    call(*arguments, "--for-seconds", "0", "--json")
    piece = json.loads(capsys.readouterr().out)
    assert [row["done"] for row in piece["rows"]] == [False]
    assert piece["mean"]["psnr"] is None
    call(*arguments, "--scene", "lego", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [row["done"] for row in found["rows"]] == [True]
    assert 2.0 < found["rows"][0]["start"]["rotation_deg"] < 8.0
    assert found["mean"]["psnr"] == found["rows"][0]["end"]["psnr"]
    call(*arguments, "--scene", "lego")
    printed = capsys.readouterr().out
    assert "lego" in printed and "mean" not in printed
    with pytest.raises(PipelineError, match="no scene ship"):
        call(*arguments, "--scene", "ship")
    with pytest.raises(PipelineError, match="llff"):
        call("bench", "llff", str(tmp_path / "scenes"))
