"""The items of the stage `depth`: what is carried out photograph by photograph, anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.dense_products import DepthMap, DepthView
from pipeline.errors import PipelineError
from pipeline.item_refs import ItemRef

PREVIEW_PX = 240
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Processor:
    """What an item computes on. device: as torch names it. threads: of one item on a CPU."""

    device: str
    threads: int


@dataclass(frozen=True)
class Neighbour:
    """A photograph as a task names it. undistorted, photometric: its items."""

    view: DepthView
    undistorted: ItemRef
    photometric: ItemRef


@dataclass(frozen=True)
class PhotometricTask:
    """To find the depth of a photograph with its sources. depths: nearest and farthest."""

    reference: Neighbour
    sources: tuple[Neighbour, ...]
    depths: tuple[float, float]
    processor: Processor

    @property
    def name(self) -> str:
        """Of the photograph."""
        return self.reference.view.name


@dataclass(frozen=True)
class GeometricTask:
    """To compare what a photograph found with its neighbours; as `geometric.agree`."""

    reference: Neighbour
    sources: tuple[Neighbour, ...]
    min_views: int
    most_error: float
    processor: Processor

    @property
    def name(self) -> str:
        """Of the photograph."""
        return self.reference.view.name


def find_depth(task: PhotometricTask) -> dict[str, np.ndarray]:
    """Item function: `inverse_depth` (H, W) float32, in units of the world.

    Raises PipelineError where the device has too little memory.
    """
    from pipeline.depth.photometric import find_inverse_depth
    from pipeline.depth.pictures import picture_of

    with _on(task.processor, task.name):
        device = task.processor.device
        reference, *sources = (
            picture_of(neighbour.view, neighbour.undistorted.arrays(), device)
            for neighbour in (task.reference, *task.sources)
        )
        found = find_inverse_depth(reference, sources, task.depths)
        return {"inverse_depth": found.cpu().numpy()}


def compare_depth(task: GeometricTask) -> dict[str, np.ndarray]:
    """Item function: `depth` and `confidence` (H, W) float32 and `normals` (H, W, 3) float16 that
    the photographs agree on, as in `DepthMap`. Raises PipelineError as `find_depth`."""
    from pipeline.depth.geometric import agree
    from pipeline.depth.pictures import estimate_of

    with _on(task.processor, task.name):
        device = task.processor.device
        reference, *sources = (
            estimate_of(
                neighbour.view,
                neighbour.undistorted.arrays(),
                neighbour.photometric.arrays(),
                device,
            )
            for neighbour in (task.reference, *task.sources)
        )
        agreed = agree(reference, sources, task.min_views, task.most_error)
        return {
            "depth": agreed.depth.cpu().numpy(),
            "normals": agreed.normals.cpu().numpy().astype(np.float16),
            "confidence": agreed.confidence.cpu().numpy(),
        }


def depth_map_of(undistorted: Arrays, agreed: Arrays) -> DepthMap:
    """The depth map that two items hold."""
    normals = agreed["normals"].astype(np.float32)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    return DepthMap(agreed["depth"], normals, agreed["confidence"], undistorted["rgb"])


def picture_of_item(item: Arrays) -> bytes:
    """A small JPEG of an item `photometric` or `agreed`: near in red, far in blue, black where no
    depth is known."""
    depth = item["depth"] if "depth" in item else 1.0 / item["inverse_depth"]
    factor = min(1.0, PREVIEW_PX / max(depth.shape))
    size = max(1, round(depth.shape[1] * factor)), max(1, round(depth.shape[0] * factor))
    small = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
    known = small > 0
    shade = np.zeros(small.shape, np.uint8)
    if known.any():
        inverse = 1.0 / small[known]
        low, high = np.percentile(inverse, [1, 99])
        share = (inverse - low) / max(high - low, 1e-12)
        shade[known] = (255 * share.clip(0.0, 1.0)).astype(np.uint8)
    picture = cv2.applyColorMap(shade, cv2.COLORMAP_TURBO)
    picture[~known] = 0
    return bytes(cv2.imencode(".jpg", picture)[1])


@contextmanager
def _on(processor: Processor, name: str) -> Iterator[None]:
    """Compute on a processor, without gradients; its failures in words."""
    import torch

    from pipeline.torch_devices import is_out_of_memory

    torch.set_num_threads(processor.threads)
    try:
        with torch.inference_mode():
            yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise PipelineError(
            "Out of memory",
            f"There is too little of it for the depth of {name}.",
            "Try a smaller depth.size_px.",
        ) from error
