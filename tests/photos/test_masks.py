"""Masks: found by name, of the right size, black is ignored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.events import Warned
from pipeline.photos.masks import find_mask, mask_folder, read_mask
from tests.photos.pictures import IngestRunner


def write_mask(path: Path, width: int = 96, height: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((height, width), np.uint8)
    values[:, width // 2 :] = 1  # any grey but black is kept
    Image.fromarray(values).save(path)


def test_both_names_are_found_the_longer_first(tmp_path: Path) -> None:
    assert find_mask(tmp_path, "in/a.jpg") is None
    write_mask(tmp_path / "in" / "a.png")
    assert find_mask(tmp_path, "in/a.jpg") == tmp_path / "in" / "a.png"
    write_mask(tmp_path / "in" / "a.jpg.png")
    assert find_mask(tmp_path, "in/a.jpg") == tmp_path / "in" / "a.jpg.png"


def test_the_folder_is_relative_to_the_photographs(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    assert mask_folder("", tmp_path) is None
    assert mask_folder("masks", tmp_path) == tmp_path / "masks"
    assert mask_folder(str(tmp_path / "masks"), Path("/")) == tmp_path / "masks"
    with pytest.raises(PipelineError, match=r"ingest\.masks"):
        mask_folder("mask", tmp_path)


def test_masks_are_indexed_and_read(photo_folder: Path, ingest: IngestRunner) -> None:
    write_mask(photo_folder / "masks" / "a.jpg.png")
    write_mask(photo_folder / "masks" / "b.png")
    result = ingest(photo_folder, masks="masks")
    assert result.names == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    a, b, c, _ = result.photos.photos
    assert a.mask == photo_folder / "masks" / "a.jpg.png" and len(a.mask_hash) == 64
    assert a.mask_hash == b.mask_hash and c.mask is None and c.mask_hash == ""
    mask = read_mask(a)
    assert mask is not None and mask.shape == (64, 96) and mask.dtype == np.uint8
    assert np.all(mask[:, :48] == 0) and np.all(mask[:, 48:] == 255)
    assert read_mask(c) is None
    assert not result.of_kind(Warned)


def test_a_mask_of_another_size_is_an_error_that_names_it(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    write_mask(photo_folder / "masks" / "b.jpg.png", 64, 96)
    with pytest.raises(PipelineError, match=r"b\.jpg\.png has 64x96 .* b\.jpg has 96x64"):
        ingest(photo_folder, masks="masks")


def test_a_mask_that_is_no_picture_is_an_error_that_names_it(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    folder = photo_folder / "masks"
    write_mask(folder / "a.jpg.png")
    photo = ingest(photo_folder, masks="masks").photos.photos[0]
    (folder / "a.jpg.png").write_text("no mask")
    with pytest.raises(PipelineError, match=r"a\.jpg\.png"):
        ingest(photo_folder, masks="masks")
    with pytest.raises(PipelineError, match=r"a\.jpg\.png"):
        read_mask(photo)
    with pytest.raises(PipelineError, match="cannot be read"):
        read_mask(replace(photo, mask=folder / "missing.png"))


def test_masks_that_belong_to_no_photograph_are_warned_of(
    photo_folder: Path, ingest: IngestRunner
) -> None:
    write_mask(photo_folder / "masks" / "mask_a.png")
    result = ingest(photo_folder, masks="masks")
    (warning,) = result.of_kind(Warned)
    assert warning.subject == "ingest.masks"
