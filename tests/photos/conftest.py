"""Fixtures for the tests of ingest."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.config import IngestConfig
from pipeline.photos.ingest import Ingest
from pipeline.photos.source import PhotoSource
from tests.photos.pictures import Ingested, IngestRunner, OpenControl, finish, picture


@pytest.fixture
def control() -> Iterator[OpenControl]:
    with ThreadPoolExecutor(2) as executor:
        yield OpenControl(executor)


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """A folder with four different photographs, a.jpg to d.jpg, 96x64."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate("abcd"):
        Image.fromarray(picture(seed)).save(folder / f"{name}.jpg", quality=92)
    return folder


@pytest.fixture
def ingest(control: OpenControl) -> IngestRunner:
    """Runs the stage on a folder or a PhotoSource, with config fields as keywords."""

    def run(source: Path | PhotoSource, **settings: Any) -> Ingested:
        if isinstance(source, Path):
            source = PhotoSource(source)
        return finish(Ingest().run({"source": source}, IngestConfig(**settings), control))

    return run
