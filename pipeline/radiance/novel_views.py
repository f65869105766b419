"""Views of a field from any camera, coarse ones first, in chunks of rays of bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.geometry.arrays import Float32s
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose, quaternion_from_rotation, rotation_from_quaternion
from pipeline.products import NoField, RadianceField
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.pictures import Picture
from pipeline.radiance.rendering import Rays, Rendered
from pipeline.radiance.view_service import ViewService
from pipeline.torch_devices import choose_device
from pipeline.view_desk import ViewDesk
from pipeline.view_requests import LEVELS, Level, ViewRequest

_CHUNK_RAYS = {"cpu": 1024, "cuda": 32768}
_SEEN = 0.5  # least opacity of what has a depth


class NovelViews:
    """Renders a field, while it is trained or after.

    The same model, camera and machine give the same bits: rays go through in chunks of a fixed
    size, and no random numbers are drawn.
    """

    def __init__(self, model: RadianceModel) -> None:
        self._model = model
        self._chunk = _CHUNK_RAYS[model.device.type]

    def render(
        self, camera: Camera, cam_from_world: Pose, coarsest: Level = 1, finest: Level = 1
    ) -> Iterator[Picture | None]:
        """Pictures of rising size, from `coarsest` to `finest`; after every other chunk of rays
        None, so that whoever renders can be dropped there.

        camera: of the full size. cam_from_world: in the frame of the run's sparse model.
        """
        similarity = self._model.setup.field_from_world
        cam_from_field = similarity.apply_to_pose(cam_from_world)
        levels = [level for level in LEVELS if coarsest >= level >= finest]
        for level in levels:
            smaller = shrunk(camera, level)
            canvas = _Canvas.empty(smaller)
            count = smaller.width * smaller.height
            for start in range(0, count, self._chunk):
                pixels = np.arange(start, min(start + self._chunk, count))
                canvas.put(pixels, *self._look(smaller, cam_from_field, pixels))
                if start + self._chunk < count:
                    yield None
            depth = canvas.depth / np.float32(similarity.scale)
            yield Picture(canvas.rgb, depth, canvas.opacity, level, final=level == levels[-1])

    def answer(self, request: ViewRequest) -> Iterator[Picture | None]:
        """What a viewer has asked for."""
        camera, pose = camera_of(request)
        return self.render(camera, pose, request.coarsest, request.finest)

    def _look(
        self, camera: Camera, cam_from_field: Pose, pixels: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Colours (N, 3) uint8, depths (N,) in the field's unit and opacities (N,) of pixels,
        given by their row-major numbers; what no ray reaches through the distortion is black."""
        places = np.column_stack([pixels % camera.width + 0.5, pixels // camera.width + 0.5])
        uv = camera.unproject(places)
        reached = np.asarray(np.isfinite(uv).all(axis=1))
        in_camera = np.column_stack([np.where(reached[:, None], uv, 0.0), np.ones(len(uv))])
        directions = self._tensor(in_camera @ cam_from_field.rotation)
        origins = self._tensor(cam_from_field.center).expand_as(directions)
        with torch.no_grad():  # not inference mode: fields keep what they compute here for training
            seen = self._model.render(Rays(origins, directions), None, self._model.alpha)
            rgb = (seen.rgb.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
            found = [values.cpu().numpy() for values in (rgb, median_depths(seen), seen.opacity)]
        blank = (np.uint8(0), np.float32(np.nan), np.float32(0.0))
        for values, nothing in zip(found, blank, strict=True):
            values[~reached] = nothing
        return tuple(found)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._model.device)


def open_model(arrays: Mapping[str, np.ndarray]) -> RadianceModel:
    """A trained field, on the best device. Raises PipelineError where it is not whole."""
    try:
        return RadianceModel.from_arrays(arrays, choose_device("auto"))
    except ValueError as error:
        raise PipelineError(
            "Damaged radiance field",
            f"The field cannot be used: {error}.",
            "Remove radiance/field.arrays from the run and start it again: it is made anew.",
        ) from error


def serve_field(field: RadianceField | NoField, desk: ViewDesk, step: int) -> ViewService:
    """Render a trained field for all who ask at a desk, while nothing else goes on.

    step: of the training that it is of, told with the pictures. Raises PipelineError where there is
    no field, or none that could be rendered.
    """
    if isinstance(field, NoField):
        raise PipelineError("No radiance field", f"{field.reason}.", "See the run's report.")
    return ViewService(desk, NovelViews(open_model(field.arrays)).answer, step=step)


def camera_of(request: ViewRequest) -> tuple[Camera, Pose]:
    """The camera of a request, and its pose in the frame of the run's sparse model."""
    size = request.width, request.height
    if request.intrinsics is not None:
        camera = Camera("PINHOLE", *size, np.array(request.intrinsics, np.float64))
    else:
        assert request.fov_y_deg is not None, "a request has one of the two"
        camera = camera_of_fov(*size, request.fov_y_deg)
    rows = np.array(request.cam_from_world, np.float64)
    rotation = rotation_from_quaternion(quaternion_from_rotation(rows[:, :3]))  # from float32s
    return camera, Pose(rotation, rows[:, 3])


def camera_of_fov(width: int, height: int, fov_y_deg: float) -> Camera:
    """A camera without distortion, its axis through the middle of the picture."""
    focal_px = height / 2 / math.tan(math.radians(fov_y_deg) / 2)
    return Camera("SIMPLE_PINHOLE", width, height, np.array([focal_px, width / 2, height / 2]))


def shrunk(camera: Camera, divisor: int) -> Camera:
    """The camera of a smaller picture of the same view; its sizes are rounded up."""
    if divisor == 1:
        return camera
    width, height = math.ceil(camera.width / divisor), math.ceil(camera.height / divisor)
    params = camera.opencv_params
    params[[0, 2]] *= width / camera.width
    params[[1, 3]] *= height / camera.height
    return Camera("OPENCV", width, height, params)


def median_depths(seen: Rendered) -> Tensor:
    """Depths (N,) at which half of what a ray sees lies before it; NaN where it sees little.

    The mean would lie in the empty space between an object and what is behind its edge.
    """
    half = seen.opacity[:, None] / 2
    through = seen.weights.cumsum(-1)
    after = torch.searchsorted(through, half).clamp(max=through.shape[1] - 1)
    before = (after - 1).clamp(min=0)
    near, far = seen.depths.gather(1, before), seen.depths.gather(1, after)
    low, high = through.gather(1, before), through.gather(1, after)
    share = ((half - low) / (high - low).clamp(min=1e-12)).clamp(0.0, 1.0)
    depths = (near + share * (far - near)).squeeze(-1)
    return torch.where(seen.opacity >= _SEEN, depths, torch.nan)


@dataclass(frozen=True, eq=False)
class _Canvas:
    """A picture that is being filled."""

    rgb: np.ndarray
    depth: Float32s
    opacity: Float32s

    @staticmethod
    def empty(camera: Camera) -> _Canvas:
        shape = (camera.height, camera.width)
        return _Canvas(
            np.zeros((*shape, 3), np.uint8),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
        )

    def put(
        self, pixels: np.ndarray, rgb: np.ndarray, depth: np.ndarray, opacity: np.ndarray
    ) -> None:
        self.rgb.reshape(-1, 3)[pixels] = rgb
        self.depth.reshape(-1)[pixels] = depth
        self.opacity.reshape(-1)[pixels] = opacity
