"""The ingest stage from a folder to the photo index, with every kind of bad input."""

from __future__ import annotations

import io
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from pipeline.config import IngestConfig
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Progress, Report, Warned
from pipeline.geometry.cameras import Camera
from pipeline.photos.ingest import Ingest
from pipeline.photos.inspection import Inspected, Inspection, inspect
from pipeline.photos.reading import read_grey
from pipeline.photos.source import PhotoSource
from pipeline.products import MemoryStore, RefusedPhoto
from tests.photos.pictures import Ingested, IngestRunner, OpenControl, finish, picture


def save(path: Path, seed: int, focal_35mm: int | None = None, model: str = "") -> None:
    exif = Image.Exif()
    if model:
        exif[ExifTags.Base.Model] = model
    if focal_35mm is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = focal_35mm
    Image.fromarray(picture(seed)).save(path, quality=92, exif=exif)


def test_a_folder_becomes_an_index(photo_folder: Path, ingest: IngestRunner) -> None:
    result = ingest(photo_folder)
    assert result.names == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    (camera,) = result.photos.cameras
    assert (camera.model, camera.width, camera.height) == ("SIMPLE_RADIAL", 96, 64)
    assert np.allclose(camera.params, [1.2 * 96, 48, 32, 0]) and not camera.has_focal_prior
    for photo in result.photos.photos:
        assert (photo.width, photo.height, photo.camera) == (96, 64, 0)
        assert len(photo.content_hash) == 64 and photo.sharpness > 0
        assert photo.path == photo_folder / photo.name
    (report,) = result.of_kind(Report)
    assert report.data["photographs"] == 4 and report.data["refused"] == []
    last = result.of_kind(Progress)[-1]
    assert (last.done, last.total) == (4, 4)


def test_thumbnails_are_small_upright_jpegs(photo_folder: Path, ingest: IngestRunner) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(picture(9, 400, 200)).save(photo_folder / "e.jpg", exif=exif)
    result = ingest(photo_folder, thumbnail_px=64)
    sizes = {name: Image.open(io.BytesIO(data)).size for name, data in result.thumbnails.items()}
    assert sizes == dict.fromkeys(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], (64, 43)) | {
        "e.jpg": (32, 64)
    }
    turned = result.photos.photos[4]
    assert (turned.width, turned.height) == (200, 400)
    assert read_grey(turned, 3200)[0].shape == (400, 200)


def test_bad_files_are_left_out_with_a_reason_each(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    (photo_folder / "text.jpg").write_text("dear diary\n" * 100)
    (photo_folder / "empty.png").write_bytes(b"")
    whole = (photo_folder / "a.jpg").read_bytes()
    (photo_folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 1)).save(photo_folder / "dot.png")
    shutil.copy(photo_folder / "b.jpg", photo_folder / "again.jpg")
    result = ingest(photo_folder)
    assert result.names == ["a.jpg", "again.jpg", "c.jpg", "d.jpg"]
    assert "no JPEG, PNG, TIFF or WebP" in result.reasons["text.jpg"]
    assert result.reasons["empty.png"] == "the file is empty"
    assert "truncated" in result.reasons["cut.jpg"]
    assert "1x1" in result.reasons["dot.png"]
    assert result.reasons["b.jpg"] == "it is a copy of again.jpg"
    assert {w.subject for w in result.of_kind(Warned)} == set(result.reasons)
    (report,) = result.of_kind(Report)
    assert isinstance(report.data["refused"], list) and len(report.data["refused"]) == 5


def test_a_file_without_permission_is_left_out(
    photo_folder: Path, ingest: IngestRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = Path.read_bytes

    def guarded(path: Path) -> bytes:
        if path.name == "c.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", guarded)
    result = ingest(photo_folder)
    assert result.reasons == {"c.jpg": "it cannot be read: Permission denied"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_left_out(photo_folder: Path, ingest: IngestRunner) -> None:
    (photo_folder / "c.jpg").chmod(0)
    assert "Permission denied" in ingest(photo_folder).reasons["c.jpg"]


def test_too_few_photographs_is_an_error_that_lists_the_refused(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    for name in "bc":
        (photo_folder / f"{name}.jpg").write_text("not a picture")
    with pytest.raises(PipelineError) as caught:
        ingest(photo_folder)
    assert "has 2 of the 3 usable photographs that are needed" in caught.value.message
    assert caught.value.hint.startswith("Add JPEG, PNG") and caught.value.hint.endswith(".")
    assert "b.jpg" in caught.value.message and "c.jpg" in caught.value.message


def test_exif_makes_cameras_and_an_absurd_focal_is_warned_of(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    save(photo_folder / "a.jpg", 0, 50, "EOS 5D")
    save(photo_folder / "b.jpg", 1, 50, "EOS 5D")
    save(photo_folder / "c.jpg", 2, 9999, "EOS 5D")
    result = ingest(photo_folder)
    assert [photo.camera for photo in result.photos.photos] == [0, 0, 1, 2]
    assert result.photos.cameras[0].focal_px == pytest.approx(50 / 36 * 96)
    assert [camera.has_focal_prior for camera in result.photos.cameras] == [True, False, False]
    assert result.photos.photos[0].exif == {"model": "EOS 5D", "focal_35mm": "50"}
    (warning,) = result.of_kind(Warned)
    assert warning.subject == "c.jpg" and "9999 mm" in warning.message


def test_given_intrinsics_override_and_missing_ones_are_named(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    camera = Camera("PINHOLE", 96, 64, np.array([100.0, 101.0, 47.0, 33.0]))
    given = dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), camera)
    result = ingest(PhotoSource(photo_folder, intrinsics=given))
    assert [photo.camera for photo in result.photos.photos] == [0, 0, 0, 1]
    assert np.array_equal(result.photos.cameras[0].params, camera.params)
    (warning,) = result.of_kind(Warned)
    assert "1 of 4" in warning.message and "d.jpg" in warning.message


def test_mixed_sizes_folders_and_odd_names(photo_folder: Path, ingest: IngestRunner) -> None:
    inner = photo_folder / "sub folder"
    inner.mkdir()
    for seed, name in enumerate(["line\nbreak.png", "Füße.png"]):
        Image.fromarray(picture(20 + seed)).save(inner / name)
    Image.fromarray(picture(30, 64, 96)).save(photo_folder / "tall.webp")
    result = ingest(photo_folder)
    assert result.names[4:] == ["sub folder/Füße.png", "sub folder/line\nbreak.png", "tall.webp"]
    assert [photo.camera for photo in result.photos.photos] == [0, 0, 0, 0, 1, 1, 2]
    assert set(result.thumbnails) == set(result.names)


def test_black_and_blurry_photographs_are_named(photo_folder: Path, ingest: IngestRunner) -> None:
    rng = np.random.default_rng(4)
    for name in "abcd":
        noise = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photo_folder / f"{name}.jpg")
    Image.fromarray(picture(5)).save(photo_folder / "soft.jpg")
    Image.new("RGB", (96, 64)).save(photo_folder / "black.jpg")
    result = ingest(photo_folder)
    (report,) = result.of_kind(Report)
    assert report.data["blurry"] == ["black.jpg", "soft.jpg"]
    (warning,) = result.of_kind(Warned)
    assert warning.subject == "black.jpg"


def test_a_list_of_files_is_read(photo_folder: Path, ingest: IngestRunner) -> None:
    files = [photo_folder / f"{name}.jpg" for name in "dba"]
    assert ingest(PhotoSource.of_files(files)).names == ["a.jpg", "b.jpg", "d.jpg"]


def test_many_refusals_do_not_flood_the_warnings(photo_folder: Path, ingest: IngestRunner) -> None:
    for n in range(30):
        (photo_folder / f"raw{n:02d}.nef").write_bytes(b"x")
    result = ingest(photo_folder)
    assert len(result.photos.refused) == 30 and len(result.of_kind(Warned)) == 21


def test_two_runs_are_equal_in_threads_and_in_processes(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    first = ingest(photo_folder)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        work = Ingest().run(
            {"source": PhotoSource(photo_folder)}, IngestConfig(), OpenControl(executor)
        )
        second = finish(work)
    assert first.photos.photos == second.photos.photos
    assert first.thumbnails == second.thumbnails


def test_what_was_looked_at_before_an_interruption_is_not_looked_at_again(
    photo_folder: Path, control: OpenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    stop_after = 2

    def watched(task: Inspection) -> Inspected | RefusedPhoto:
        if len(seen) == stop_after:
            raise InterruptedError("killed")
        seen.append(task.name)
        return inspect(task)

    def ingest() -> Ingested:
        source = PhotoSource(photo_folder)
        return finish(Ingest().run({"source": source}, IngestConfig(masks=masks), control))

    monkeypatch.setattr("pipeline.photos.index.inspect", watched)
    masks = str(photo_folder / "masks")
    (photo_folder / "masks").mkdir()
    Image.new("L", (96, 64), 255).save(photo_folder / "masks" / "b.jpg.png")
    (photo_folder / "broken.jpg").write_text("not a picture")
    save(photo_folder / "c.jpg", 7, 50, "EOS 5D")
    with pytest.raises(InterruptedError):
        ingest()
    stop_after = 100
    resumed = ingest()
    # With two workers, one photograph may have been under way: it is looked at once more.
    assert set(seen) == {"a.jpg", "b.jpg", "broken.jpg", "c.jpg", "d.jpg"} and len(seen) <= 6

    seen.clear()
    again = ingest()
    assert seen == ["broken.jpg"]  # only what is usable is kept
    control.store = MemoryStore()
    fresh = ingest()
    for other in (again, fresh):
        assert other.photos.photos == resumed.photos.photos
        assert other.thumbnails == resumed.thumbnails
    seen.clear()
    save(photo_folder / "d.jpg", 9)
    Image.new("L", (96, 64), 0).save(photo_folder / "masks" / "b.jpg.png")
    ingest()
    assert sorted(seen) == ["b.jpg", "broken.jpg", "d.jpg"]


def test_stopping_between_photographs_ends_the_stage(
    photo_folder: Path, control: OpenControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise Stopped

    monkeypatch.setattr(control, "poll", stop)
    with pytest.raises(Stopped):
        finish(Ingest().run({"source": PhotoSource(photo_folder)}, IngestConfig(), control))


def test_real_photographs_are_all_read(ingest: IngestRunner) -> None:
    scenes = os.environ.get("BARFIELD_SCENES")
    if not scenes:
        pytest.skip("BARFIELD_SCENES is not set")
    result = ingest(Path(scenes) / "castle-P19")
    assert len(result.names) == 19 and not result.photos.refused
    assert len(result.photos.cameras) == 1
    (report,) = result.of_kind(Report)
    assert report.data["blurry"] == []
