"""Small pictures, and a run of the ingest stage to its end, for the tests of this folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.events import Record
from pipeline.geometry.arrays import UInt8s
from pipeline.products import MemoryStore, PhotoIndex
from pipeline.runner import ForegroundControl


class OpenControl(ForegroundControl):
    """A control that never stops the stage and always wants a record."""

    def __init__(self, executor: Executor) -> None:
        super().__init__(MemoryStore(), executor, 2, threading.Event())
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1

    def due(self) -> bool:
        return True


def picture(seed: int, width: int = 96, height: int = 64) -> UInt8s:
    """A smooth random colour picture, (height, width, 3) uint8, that JPEG hardly changes."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class Ingested:
    """What a run of the stage gave: products and records."""

    photos: PhotoIndex
    thumbnails: Mapping[str, bytes]
    records: tuple[Record, ...]

    def of_kind(self, kind: type[Record]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def names(self) -> list[str]:
        return [photo.name for photo in self.photos.photos]

    @property
    def reasons(self) -> dict[str, str]:
        return {photo.name: photo.reason for photo in self.photos.refused}


def finish(work: Generator[Record, None, Mapping[str, Any]]) -> Ingested:
    """Run a stage's generator to its end."""
    records = []
    while True:
        try:
            records.append(next(work))
        except StopIteration as finished:
            products = finished.value
            return Ingested(products["photos"], products["thumbnails"], tuple(records))


IngestRunner = Callable[..., Ingested]
