"""Depth maps of a trained field: what it shows of surfaces, as its photographs saw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.dense_products import DepthMap, DepthView
from pipeline.geometry.cameras import Camera
from pipeline.products import SparseModel
from pipeline.radiance.evaluation import poses_of
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.novel_views import NovelViews
from pipeline.radiance.pictures import Picture
from pipeline.torch_normals import plane_normals

_MOST_VIEWS = 100  # more hardly show anything new, and all are kept in memory
_MOST_CHANGE = 0.02  # relative, of neighbouring depths on one surface


@dataclass(frozen=True, eq=False)
class FieldDepthMaps:
    """The depth maps of a field; see `DepthMaps`. Their pictures are what the field shows."""

    views: Sequence[DepthView]
    maps: Sequence[DepthMap]

    @property
    def model(self) -> SparseModel | None:
        """A field has none."""
        return None

    def __getitem__(self, n: int) -> DepthMap:
        """The map of `views[n]`."""
        return self.maps[n]


def views_with_depth(model: RadianceModel) -> list[DepthView]:
    """The views that depth maps are rendered from: those that the field was trained on, at their
    sizes and without distortion, or 100 of them, spread evenly."""
    setup, of_views = model.setup, model.cameras
    world_from_field = setup.field_from_world.inverse()
    poses, factors = poses_of(of_views), of_views.focal_logs.detach().exp().tolist()
    chosen = np.linspace(0, len(poses) - 1, min(len(poses), _MOST_VIEWS)).round().astype(int)
    views = []
    for n in chosen.tolist():
        number = setup.camera_of_image[n]
        camera = setup.cameras[number].with_focal_scaled(factors[number])
        pinhole = Camera("PINHOLE", camera.width, camera.height, camera.opencv_params[:4])
        views.append(DepthView(setup.names[n], pinhole, world_from_field.apply_to_pose(poses[n])))
    return views


def render_depth(model: RadianceModel, view: DepthView) -> Iterator[DepthMap | None]:
    """Its depth map, last of all; before, None after every other chunk of rays.

    Depth is the median along a ray. There is none where the field hides less than half of what is
    behind, and outside the box that the scene lies in, where it is coarse.
    """
    picture = None
    for picture in NovelViews(model).render(view.camera, view.cam_from_world):
        if picture is None:
            yield None
    assert picture is not None, "a view ends with its picture"
    depth = np.where(_within_box(model, view, picture), picture.depth, np.float32(0.0))
    inverse = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0)
    k = view.camera.calibration_matrix
    normals = plane_normals(torch.from_numpy(inverse), k, _MOST_CHANGE).numpy()
    confidence = np.where(depth > 0, picture.opacity.clip(max=1.0), np.float32(0.0))
    yield DepthMap(depth, normals, confidence, picture.rgb)


def _within_box(model: RadianceModel, view: DepthView, picture: Picture) -> np.ndarray:
    """(H, W) whether what pixels see lies in the scene's box."""
    depth = np.nan_to_num(picture.depth.astype(np.float64), nan=-1.0, posinf=-1.0)
    height, width = depth.shape
    rows, columns = np.indices((height, width))
    fx, fy, cx, cy = view.camera.params
    u, v = (columns + 0.5 - cx) / fx, (rows + 0.5 - cy) / fy
    in_camera = np.stack([u * depth, v * depth, depth], axis=-1).reshape(-1, 3)
    in_world = view.cam_from_world.inverse().apply(in_camera)
    in_field = model.setup.field_from_world.apply(in_world)
    low, high = model.setup.box
    inside = ((in_field >= low) & (in_field <= high)).all(axis=1).reshape(height, width)
    return np.asarray(inside & (depth > 0))
