"""Making the photo index: list, look at each file, leave out what cannot be used, group cameras."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from statistics import median

from pydantic import JsonValue

from pipeline.config import IngestConfig
from pipeline.errors import PipelineError
from pipeline.events import Progress, Record, Report, Warned
from pipeline.photos.exif import FocalPrior, focal_prior
from pipeline.photos.grouping import CameraFacts, CameraGroups, group_cameras
from pipeline.photos.inspection import Inspected, Inspection, inspect
from pipeline.photos.masks import find_mask, mask_folder
from pipeline.photos.source import FORMATS_IN_WORDS, Listing, PhotoSource, list_photos
from pipeline.photos.video import key_frames
from pipeline.products import Photo, PhotoIndex, RefusedPhoto
from pipeline.stage import Control, run_items

MIN_PHOTOS = 3
BLURRY_BELOW = 0.15  # of the median sharpness
BLACK_BELOW = 0.5  # sharpness: the thumbnail holds nothing but noise of less than a grey level
MAX_WARNINGS = 20
MAX_CAMERAS_NAMED = 50
Thumbnails = dict[str, bytes]


def index_photos(
    source: PhotoSource, config: IngestConfig, control: Control, version: int
) -> Generator[Record, None, tuple[PhotoIndex, Thumbnails]]:
    """Index the photographs of a source; yields progress, warnings and a report.

    version: of the stage. What the store has of a photograph is not looked at again. Raises
    PipelineError as `list_photos`, `group_cameras` and `key_frames`, for a mask that does not fit,
    and where fewer than three photographs can be used.
    """
    masks = mask_folder(config.masks, source.root.parent if source.is_video else source.root)
    if source.is_video:
        source = yield from key_frames(source, config.max_frames, control)
    listing = list_photos(source, masks)
    tasks = [
        Inspection(name, path, masks and find_mask(masks, name), config.thumbnail_px)
        for name, path in listing.photos
    ]
    found = yield from _look_at(tasks, control, version)
    usable, refused = _keep_one_of_each(found)
    refused = [*listing.refused, *refused]
    _require_enough(usable, refused, listing)
    priors = [focal_prior(photo.exif, photo.width, photo.height) for photo in usable]
    groups = group_cameras(_camera_facts(usable, priors), config, source.intrinsics)
    index = PhotoIndex(_photos(usable, groups), groups.cameras, tuple(refused))
    yield from _warnings(index, priors, source, masks is not None)
    yield _report(index, groups)
    return index, {photo.name: photo.thumbnail for photo in usable}


def _look_at(
    tasks: Sequence[Inspection], control: Control, version: int
) -> Generator[Record, None, list[Inspected | RefusedPhoto]]:
    """What is seen of each file, from the store where it was looked at before."""
    keys = [task.key(version) for task in tasks]
    found: dict[int, Inspected | RefusedPhoto] = {}
    for number, (task, key) in enumerate(zip(tasks, keys, strict=True)):
        control.poll()
        if key is not None and control.store.has("inspections", key):
            found[number] = Inspected.of_item(task, control.store.get("inspections", key))
    todo = [number for number in range(len(tasks)) if number not in found]
    for done in run_items(inspect, (tasks[number] for number in todo), control):
        number, seen = todo[done.index], done.result
        found[number] = seen
        key = keys[number]
        if isinstance(seen, Inspected) and key is not None:
            control.store.put("inspections", key, seen.as_item())
        if control.due():
            yield Progress(len(found), len(tasks), "photographs", f"reading {tasks[number].name}")
    yield Progress(len(tasks), len(tasks), "photographs")
    return [found[number] for number in range(len(tasks))]


def blurry_photos(photos: Sequence[Photo]) -> list[str]:
    """Names of the photographs whose sharpness is far below the median of all."""
    if not photos:
        return []
    limit = BLURRY_BELOW * median(photo.sharpness for photo in photos)
    return [photo.name for photo in photos if photo.sharpness < limit]


def _keep_one_of_each(
    found: Sequence[Inspected | RefusedPhoto],
) -> tuple[list[Inspected], list[RefusedPhoto]]:
    """Usable photographs, and the refused ones with the copies of others among them, in order."""
    usable: list[Inspected] = []
    refused: list[RefusedPhoto] = []
    first_of: dict[str, str] = {}
    for result in found:
        if isinstance(result, RefusedPhoto):
            refused.append(result)
        elif result.content_hash in first_of:
            twin = first_of[result.content_hash]
            refused.append(RefusedPhoto(result.name, f"it is a copy of {twin}"))
        else:
            first_of[result.content_hash] = result.name
            usable.append(result)
    return usable, refused


def _require_enough(
    usable: Sequence[Inspected], refused: Sequence[RefusedPhoto], listing: Listing
) -> None:
    if len(usable) >= MIN_PHOTOS:
        return
    lines = [f"{photo.name}: {photo.reason}" for photo in refused[:MAX_WARNINGS]]
    if len(refused) > MAX_WARNINGS:
        lines.append(f"and {len(refused) - MAX_WARNINGS} more")
    left_out = "; left out: " + "; ".join(lines) if lines else ""
    raise PipelineError(
        "Too few photographs",
        f"{listing.folder} has {len(usable)} of the {MIN_PHOTOS} usable photographs that are "
        f"needed{left_out}",
        f"Add {FORMATS_IN_WORDS} photographs of the same scene from other places.",
    )


def _camera_facts(photos: Sequence[Inspected], priors: Sequence[FocalPrior]) -> list[CameraFacts]:
    facts = []
    for photo, prior in zip(photos, priors, strict=True):
        words = photo.exif.in_words()
        lens = tuple(words.get(tag, "") for tag in ("make", "model", "focal_mm", "focal_35mm"))
        known = lens if photo.exif.make or photo.exif.model else ()
        facts.append(CameraFacts(photo.name, photo.width, photo.height, known, prior.focal_px))
    return facts


def _photos(usable: Sequence[Inspected], groups: CameraGroups) -> tuple[Photo, ...]:
    return tuple(
        Photo(
            name=photo.name,
            path=photo.path,
            camera=k,
            width=photo.width,
            height=photo.height,
            content_hash=photo.content_hash,
            mask=photo.mask,
            mask_hash=photo.mask_hash,
            sharpness=photo.sharpness,
            exif=photo.exif.in_words(),
        )
        for photo, k in zip(usable, groups.of_photo, strict=True)
    )


def _warnings(
    index: PhotoIndex, priors: Sequence[FocalPrior], source: PhotoSource, masks: bool
) -> Iterator[Warned]:
    """What the user should know; of each sort at most MAX_WARNINGS, the rest counted."""
    named = [
        [Warned(f"is left out: {photo.reason}", photo.name) for photo in index.refused],
        [
            Warned(f"its EXIF focal length is ignored: {prior.problem}", photo.name)
            for photo, prior in zip(index.photos, priors, strict=True)
            if prior.problem
        ],
        [
            Warned("shows nothing: no detail at all", photo.name)
            for photo in index.photos
            if photo.sharpness < BLACK_BELOW
        ],
    ]
    for sort in named:
        yield from sort[:MAX_WARNINGS]
        if len(sort) > MAX_WARNINGS:
            yield Warned(f"and {len(sort) - MAX_WARNINGS} more of the same kind, see the report")
    if masks and not any(photo.mask for photo in index.photos):
        yield Warned(
            "no mask is named PHOTO.EXT.png or PHOTO.png as one of the photographs",
            "ingest.masks",
        )
    if source.intrinsics is not None:
        without = [photo.name for photo in index.photos if photo.name not in source.intrinsics]
        if without:
            examples = ", ".join(without[:3])
            yield Warned(
                f"{len(without)} of {len(index.photos)} photographs have no given intrinsics "
                f"({examples}{', …' if len(without) > 3 else ''}); theirs are estimated",
                "intrinsics",
            )


def _report(index: PhotoIndex, groups: CameraGroups) -> Report:
    cameras: list[JsonValue] = [*groups.words[:MAX_CAMERAS_NAMED]]
    if len(groups.words) > MAX_CAMERAS_NAMED:
        cameras.append(f"and {len(groups.words) - MAX_CAMERAS_NAMED} cameras more")
    sizes = sorted({f"{photo.width}x{photo.height}" for photo in index.photos})
    return Report(
        {
            "photographs": len(index.photos),
            "sizes": list(sizes),
            "cameras": cameras,
            "masks": sum(photo.mask is not None for photo in index.photos),
            "blurry": list(blurry_photos(index.photos)),
            "refused": [{"name": p.name, "reason": p.reason} for p in index.refused],
        }
    )
