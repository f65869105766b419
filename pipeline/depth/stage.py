"""The stage `depth`: a depth map of every photograph of the largest model."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import JsonValue

from pipeline.available_memory import available_bytes, how_many_fit
from pipeline.config_base import StageConfig
from pipeline.dense_products import DepthMap, DepthView, NoDepth
from pipeline.depth.items import (
    GeometricTask,
    Neighbour,
    PhotometricTask,
    Processor,
    compare_depth,
    depth_map_of,
    find_depth,
    picture_of_item,
)
from pipeline.depth.photographs import UndistortTask, undistort_photo
from pipeline.depth.plan import Plan, plan_maps, undistorted_model
from pipeline.depth_config import DepthConfig
from pipeline.events import Preview, Progress, Record, Report, Warned
from pipeline.item_refs import FileRef, ItemRef
from pipeline.products import PhotoIndex, Reconstruction, SparseModel
from pipeline.stage import Control, FanOut, Inputs, Products, RemoteExecutor, run_items

_SECONDS_BETWEEN_PREVIEWS = 3.0
_UNIT = "steps"  # two for each photograph
_BYTES, _BYTES_PER_PX = 200e6, 700.0  # that the comparison of a photograph takes, as measured


@dataclass(frozen=True, eq=False)
class ItemDepthMaps:
    """The depth maps that items of a store hold, each read when it is asked for.

    items: the undistorted photograph of each view, and what the photographs agree on. model: as in
    `DepthMaps`.
    """

    views: Sequence[DepthView]
    items: Sequence[tuple[ItemRef, ItemRef]]
    model: SparseModel

    def __getitem__(self, n: int) -> DepthMap:
        """The map of `views[n]`."""
        undistorted, agreed = self.items[n]
        return depth_map_of(undistorted.arrays(), agreed.arrays())


class EstimateDepth:
    """Multi-view stereo of undistorted photographs; what the store has is kept."""

    name: ClassVar[str] = "depth"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("photos", "reconstruction")
    makes: ClassVar[tuple[str, ...]] = ("depth",)
    Config: ClassVar[type[StageConfig]] = DepthConfig
    fan_out: ClassVar[FanOut] = "threads"

    def run(
        self, inputs: Inputs, config: DepthConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Make `depth` of `photos` and `reconstruction`.

        Raises PipelineError where a photograph cannot be read any more, where a device is asked for
        that does not work, and where memory is too short.
        """
        from pipeline.torch_devices import choose_device

        photos: PhotoIndex = inputs["photos"]
        reconstruction: Reconstruction = inputs["reconstruction"]
        if not reconstruction.models:
            reason = "mapping found no model"
            yield Report({"photographs": 0, "reason": reason})
            return {"depth": NoDepth(reason)}
        device = choose_device(config.device, "depth.device").type
        model = reconstruction.models[0]
        plan = plan_maps(photos, model, config, self.version, control.store)
        for name in plan.without:
            yield Warned("has no depth: no other photograph sees enough of the same points", name)
        if not plan.maps:
            reason = "no two photographs see enough of the same points"
            yield Report({"photographs": 0, "reason": reason})
            return {"depth": NoDepth(reason)}
        work = _Work(plan, model, config, control, device)
        yield from work.undistort()
        yield from work.compare_photographs()
        yield from work.compare_depths()
        maps = ItemDepthMaps(
            [planned.neighbour.view for planned in plan.maps.values()],
            [(planned.neighbour.undistorted, planned.agreed) for planned in plan.maps.values()],
            undistorted_model(model, plan),
        )
        return {"depth": maps}


class _Work:
    """The three rounds of the stage, each over all photographs."""

    def __init__(
        self, plan: Plan, model: SparseModel, config: DepthConfig, control: Control, device: str
    ) -> None:
        self._plan, self._model, self._config = plan, model, config
        self._control, self._device = control, device
        self._at_once = self._most_at_once()
        self._total = 2 * len(plan.maps)
        self._previewed = time.monotonic()

    def undistort(self) -> Iterator[Record]:
        """Make the items `undistorted`."""
        refs = {i: planned.neighbour.undistorted for i, planned in self._plan.maps.items()}
        tasks = {}
        for i in self._missing(refs):
            planned = self._plan.maps[i]
            mask = planned.photo.mask
            tasks[i] = UndistortTask(
                planned.photo,
                self._model.cameras[self._model.images[i].camera],
                planned.neighbour.view.camera,
                FileRef(planned.photo.path),
                None if mask is None else FileRef(mask),
            )
        done = len(refs) - len(tasks)
        for _ in self._each(undistort_photo, tasks, refs):
            done += 1
            if self._control.due():
                yield self._progress(0, "undistorting photographs", done)

    def compare_photographs(self) -> Iterator[Record]:
        """Make the items `photometric`."""
        refs = {i: planned.neighbour.photometric for i, planned in self._plan.maps.items()}
        missing = self._missing(refs)
        workers = min(self._control.workers, len(missing))
        if self._device == "cpu" and self._at_once is not None and self._at_once < workers:
            yield Warned(
                f"memory is short: photographs are worked on {self._at_once} at a time in place of "
                f"{workers}; a smaller depth.size_px needs less",
                "depth.size_px",
            )
        processor = self._processor(len(missing))
        tasks = {
            i: PhotometricTask(
                self._plan.maps[i].neighbour,
                self._neighbours(i)[: self._config.sources],
                self._plan.maps[i].depths,
                processor,
            )
            for i in missing
        }
        done = len(refs) - len(tasks)
        yield self._progress(done, "comparing photographs", done)
        for i in self._each(find_depth, tasks, refs):
            done += 1
            if self._control.due():
                yield self._progress(done, "comparing photographs", done)
            yield from self._preview(i, refs[i])

    def compare_depths(self) -> Iterator[Record]:
        """Make the items `agreed`, and the report."""
        config = self._config
        refs = {i: planned.agreed for i, planned in self._plan.maps.items()}
        missing = self._missing(refs)
        processor = self._processor(len(missing))
        tasks = {
            i: GeometricTask(
                self._plan.maps[i].neighbour,
                neighbours := self._neighbours(i),
                min(config.min_views, len(neighbours)),
                config.max_depth_error,
                processor,
            )
            for i in missing
        }
        before, done = len(refs), len(refs) - len(tasks)  # what the round before has done
        yield self._progress(before + done, "comparing depths", done)
        for i in self._each(compare_depth, tasks, refs):
            done += 1
            if self._control.due():
                yield self._progress(before + done, "comparing depths", done)
            yield from self._preview(i, refs[i])
        yield Progress(self._total, self._total, _UNIT)
        shares: dict[str, JsonValue] = {}
        total = 0.0
        for i, ref in refs.items():
            self._control.poll()
            name, depth = self._plan.maps[i].photo.name, ref.arrays()["depth"]
            share = float(np.count_nonzero(depth) / depth.size)
            shares[name] = round(share, 4)
            total += share
            if not share:
                yield Warned("has no depth that other photographs confirm", name)
        sizes = [planned.neighbour.view.camera for planned in self._plan.maps.values()]
        yield Report(
            {
                "photographs": len(shares),
                "without": list(self._plan.without),
                "size_px": [max(c.width for c in sizes), max(c.height for c in sizes)],
                "device": self._device,
                "share_with_depth": round(total / len(shares), 4),
                "shares": shares,
            }
        )

    def _progress(self, steps: int, doing: str, photographs: int) -> Progress:
        """steps: of both comparisons. photographs: that the round at hand is done with."""
        words = f"{doing}: {photographs} of {len(self._plan.maps)}"
        return Progress(steps, self._total, _UNIT, words)

    def _most_at_once(self) -> int | None:
        """How many photographs this machine may work on at a time; None for any number."""
        if self._device == "cuda":
            return 1
        if isinstance(self._control.executor, RemoteExecutor):
            return None
        cameras = [planned.neighbour.view.camera for planned in self._plan.maps.values()]
        largest = max(camera.width * camera.height for camera in cameras)
        return how_many_fit(_BYTES + _BYTES_PER_PX * largest, available_bytes())

    def _missing(self, refs: Mapping[int, ItemRef]) -> list[int]:
        return [i for i, ref in refs.items() if not self._control.store.has(ref.kind, ref.key)]

    def _each(
        self,
        function: Callable[[Any], Mapping[str, np.ndarray]],
        tasks: Mapping[int, Any],
        refs: Mapping[int, ItemRef],
    ) -> Iterator[int]:
        """Carry out tasks and store their results; the images in order of completion."""
        images = list(tasks)
        for done in run_items(function, tasks.values(), self._control, self._at_once):
            i = images[done.index]
            self._control.store.put(refs[i].kind, refs[i].key, done.result)
            yield i

    def _processor(self, items: int) -> Processor:
        """Items side by side take one thread each; where they are fewer than the cores, more."""
        side_by_side = max(1, min(items, self._at_once or items))
        return Processor(self._device, max(1, self._control.workers // side_by_side))

    def _neighbours(self, i: int) -> tuple[Neighbour, ...]:
        maps = self._plan.maps
        return tuple(maps[k].neighbour for k in maps[i].sources if k in maps)

    def _preview(self, i: int, ref: ItemRef) -> Iterator[Record]:
        """A picture of an item, where the last one is some seconds old."""
        if time.monotonic() < self._previewed + _SECONDS_BETWEEN_PREVIEWS:
            return
        self._previewed = time.monotonic()
        file = self._control.keep_preview(f"{i:06d}.jpg", picture_of_item(ref.arrays()))
        if file:
            yield Preview(file, self._plan.maps[i].photo.name)
