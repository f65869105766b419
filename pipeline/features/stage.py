"""The stage `features`: SIFT of every photograph, several photographs at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

import cv2
import numpy as np
from pydantic import JsonValue

from pipeline.available_memory import available_bytes, how_many_fit
from pipeline.config import FeaturesConfig
from pipeline.config_base import StageConfig
from pipeline.events import Progress, Record, Report, Warned
from pipeline.features.sift import SiftCounts, extract_sift, peak_threshold, pyramid_bytes
from pipeline.geometry.arrays import UInt8s
from pipeline.hashing import content_key
from pipeline.item_refs import FileRef
from pipeline.photos.masks import read_mask
from pipeline.photos.reading import read_grey
from pipeline.products import FeatureSet, Photo, PhotoIndex
from pipeline.sketches import FeaturesSketch, SketchBook, keypoints_sketch
from pipeline.stage import Control, FanOut, Inputs, Products, RemoteExecutor, run_items

FEW_KEYPOINTS = 100


@dataclass(frozen=True)
class PhotoTask:
    """One photograph to extract features from; picklable. file, mask: where to read them."""

    photo: Photo
    file: FileRef
    mask: FileRef | None
    config: FeaturesConfig

    @property
    def name(self) -> str:
        """The photograph's name."""
        return self.photo.name


class ExtractFeatures:
    """SIFT keypoints and RootSIFT descriptors of every photograph; what the store has is kept."""

    name: ClassVar[str] = "features"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("photos",)
    makes: ClassVar[tuple[str, ...]] = ("features",)
    Config: ClassVar[type[StageConfig]] = FeaturesConfig
    fan_out: ClassVar[FanOut] = "threads"

    def run(
        self, inputs: Inputs, config: FeaturesConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Make `features` of `photos`.

        Raises PipelineError where a photograph or a mask cannot be read any more.
        """
        photos = _photos_of(inputs)
        keys = tuple(self._key(photo, config) for photo in photos)
        counts: dict[int, SiftCounts] = {}
        for i, key in enumerate(keys):
            control.poll()
            if control.store.has("features", key):
                counts[i] = _counts_from_array(control.store.get("features", key)["counts"])
        todo = [i for i in range(len(photos)) if i not in counts]
        yield Progress(len(counts), len(photos), "photos")
        at_once = None
        if not isinstance(control.executor, RemoteExecutor):
            at_once = photographs_at_once([photos[i] for i in todo], config)
        if at_once is not None and at_once < min(control.workers, len(todo)):
            yield Warned(
                f"memory is short: photographs are worked on {at_once} at a time in place of "
                f"{control.workers}; a smaller features.max_size_px needs less",
                "features.max_size_px",
            )
        tasks = (_task(photos[i], config) for i in todo)
        names, book = [photo.name for photo in photos], SketchBook(control)

        def sketch() -> FeaturesSketch:
            return keypoints_sketch(names, {i: count.kept for i, count in counts.items()})

        with _single_threaded_opencv():
            for done in run_items(extract_photo, tasks, control, at_once):
                i = todo[done.index]
                control.store.put("features", keys[i], done.result)
                counts[i] = _counts_from_array(done.result["counts"])
                if control.due():
                    yield Progress(len(counts), len(photos), "photos", photos[i].name)
                    yield from book.draw(len(counts), sketch)
        yield Progress(len(photos), len(photos), "photos")
        yield from book.draw(len(photos), sketch, last=True)

        in_order = [counts[i] for i in range(len(photos))]
        for photo, count in zip(photos, in_order, strict=True):
            if count.kept < FEW_KEYPOINTS:
                yield Warned(
                    f"has few keypoints, {count.kept}: blurred, without texture or masked",
                    photo.name,
                )
        yield Report(_report(photos, in_order, config, len(todo)))
        kept = np.array([count.kept for count in in_order], np.int64)
        return {"features": FeatureSet(keys, kept, control.store)}

    def _key(self, photo: Photo, config: FeaturesConfig) -> str:
        settings = config.model_dump()
        return content_key("features", self.version, photo.content_hash, photo.mask_hash, settings)


def extract_photo(task: PhotoTask) -> dict[str, np.ndarray]:
    """Read one photograph and extract its features, in pixels of the full photograph.

    Returns the arrays of the stored item: keypoints, descriptors and the counts of
    :class:`SiftCounts` in the order of its fields.
    """
    grey, scale = read_grey(task.photo, task.config.max_size_px, task.file)
    mask = read_mask(task.photo, task.mask)
    if mask is not None and mask.shape != grey.shape:
        mask = _resized(mask, grey)
    features, counts = extract_sift(grey, task.config, mask)
    keypoints = features.keypoints.copy()
    keypoints[:, :3] /= np.float32(scale)
    return {
        "keypoints": keypoints,
        "descriptors": features.descriptors,
        "counts": np.array([getattr(counts, f.name) for f in fields(counts)], np.int64),
    }


def photographs_at_once(photos: Sequence[Photo], config: FeaturesConfig) -> int | None:
    """How many of the photographs fit into the free memory at a time, at least one; None for any
    number."""
    if not photos:
        return None
    largest = max(_bytes_of(photo, config) for photo in photos)
    return how_many_fit(largest, available_bytes())


def _bytes_of(photo: Photo, config: FeaturesConfig) -> int:
    """Memory that the extraction takes, nearly all of it OpenCV's pyramid."""
    scale = min(1.0, config.max_size_px / max(photo.width, photo.height))
    decoded = 4 * photo.width * photo.height
    return decoded + pyramid_bytes(scale * photo.width, scale * photo.height, config)


def _task(photo: Photo, config: FeaturesConfig) -> PhotoTask:
    mask = FileRef(photo.mask) if photo.mask is not None else None
    return PhotoTask(photo, FileRef(photo.path), mask, config)


def _photos_of(inputs: Inputs) -> tuple[Photo, ...]:
    index: PhotoIndex = inputs["photos"]
    return index.photos


def _resized(mask: UInt8s, grey: UInt8s) -> UInt8s:
    size = grey.shape[::-1]
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)


@contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """Photographs run side by side: OpenCV's own threads would only get in their way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _counts_from_array(values: np.ndarray) -> SiftCounts:
    described, limited, *others = (int(value) for value in values)
    return SiftCounts(described, bool(limited), *others)


def _report(
    photos: tuple[Photo, ...], counts: list[SiftCounts], config: FeaturesConfig, extracted: int
) -> dict[str, JsonValue]:
    return {
        "photos": {photo.name: asdict(count) for photo, count in zip(photos, counts, strict=True)},
        "keypoints": sum(count.kept for count in counts),
        "extracted": extracted,
        "peak_threshold": peak_threshold(config),
    }
