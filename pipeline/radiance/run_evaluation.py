"""The trained field of a finished run beside its held-out photographs: `barfield eval`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.comparison import compare_poses
from pipeline.errors import PipelineError
from pipeline.formats.posed import PosedPhotos
from pipeline.geometry.cameras import Camera
from pipeline.geometry.poses import Pose
from pipeline.products import PhotoIndex, RadianceField, SparseModel
from pipeline.radiance.evaluation import Evaluation, Reference, Trained, evaluate, poses_of
from pipeline.radiance.evaluation_pictures import write_panel
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.scene import ViewTask, read_view
from pipeline.radiance.view_fitting import FittedView, fitting_on
from pipeline.radiance.views import View
from pipeline.torch_devices import choose_device

_POSE_RATE = 1e-3


@dataclass(frozen=True, eq=False)
class RunProducts:
    """What a finished run made. mapped: its largest model before training; None where the poses
    were unknown. refined: the model with better cameras; None where there is none."""

    photos: PhotoIndex
    field: RadianceField
    mapped: SparseModel | None
    refined: SparseModel | None


def evaluate_run(
    products: RunProducts,
    reference: PosedPhotos | None = None,
    pictures: Path | None = None,
) -> dict[str, Any]:
    """Held-out PSNR and SSIM, and camera errors before and after training, as plain data.

    Source: as `evaluate`. reference: true cameras. pictures: folder for a panel per held-out view.
    Raises PipelineError where the field is damaged or a photograph has changed.
    """
    field = _Field(products)
    shown = None if pictures is None else _panel_writer(pictures)
    fitting = fitting_on(field.model.device, _POSE_RATE, field.model.shape.exposure)
    trained = Trained(field.model, field.model.alpha, field.poses, field.model.device)
    judged: Evaluation = evaluate(trained, field.reference(), fitting, shown)
    return {**judged.to_json(), "cameras": _camera_errors(products, field, reference)}


class _Field:
    """A run's field with its cameras."""

    def __init__(self, products: RunProducts) -> None:
        self._products = products
        try:
            self.model = RadianceModel.from_arrays(products.field.arrays, choose_device("auto"))
        except ValueError as error:
            raise PipelineError(
                "Damaged radiance field",
                f"The field cannot be used: {error}.",
                "Remove radiance/field.arrays from the run and start it again: it is made anew.",
            ) from error
        self.names = self.model.setup.names
        self.poses = poses_of(self.model.cameras)

    def in_world(self) -> PosedPhotos:
        """The learned poses of the training views, in the world of the run."""
        world_from_field = self.model.setup.field_from_world.inverse()
        poses = [world_from_field.apply_to_pose(pose) for pose in self.poses]
        return PosedPhotos(dict(zip(self.names, poses, strict=True)), {})

    def reference(self) -> Reference:
        """The held-out photographs, where mapping saw them; else, where their neighbours are."""
        held_out = tuple(self._view(name) for name in self._products.field.held_out)
        if self._products.mapped is not None:
            before = {i.name: i.cam_from_world for i in self._products.mapped.images.values()}
            poses = tuple(before[name] for name in self.names)
            return Reference(poses, held_out, tuple(before[v.name] for v in held_out), true=False)
        starts = tuple(self._nearest(view.name) for view in held_out)
        return Reference(self.poses, held_out, starts, true=False)

    def _view(self, name: str) -> View:
        photos = self._products.photos
        photo = next((photo for photo in photos.photos if photo.name == name), None)
        if photo is None:
            raise PipelineError(
                "Photograph missing",
                f"{name} was held out, and is not among the photographs now.",
                "Start the same command again.",
            )
        camera = photos.cameras[photo.camera]
        if self._products.mapped is not None:
            camera = _camera_of(self._products.mapped, name)
        return read_view(
            ViewTask(photo, self._as_learned(camera, name), self._products.field.size_px)
        )

    def _as_learned(self, camera: Camera, name: str) -> Camera:
        """The camera with the focal length that training gave to photographs that share it."""
        mapped, cameras = self._products.mapped, self.model.cameras
        if mapped is None:
            return camera
        shared = {i.name: i.camera for i in mapped.images.values()}
        mine = [n for n, other in enumerate(self.names) if shared[other] == shared[name]]
        if not mine:
            return camera
        log = cameras.focal_logs.detach()[cameras.camera_of_image[mine[0]]]
        return camera.with_focal_scaled(float(log.exp()))

    def _nearest(self, name: str) -> Pose:
        """The pose of the training view next to a photograph in the order of the files."""
        order = {photo.name: n for n, photo in enumerate(self._products.photos.photos)}
        distances = [abs(order[other] - order[name]) for other in self.names]
        return self.poses[distances.index(min(distances))]


def _camera_errors(
    products: RunProducts, field: _Field, reference: PosedPhotos | None
) -> dict[str, Any] | None:
    """Errors of the training cameras as mapping and as training left them, on the same photographs;
    and of the refined model."""
    if reference is None:
        return None
    candidates: dict[str, PosedPhotos | None] = {"field": field.in_world()}
    for name, model in (("mapping", products.mapped), ("refined", products.refined)):
        candidates[name] = None if model is None else _posed(model, field.names)
    return {
        name: None if posed is None else _plain(posed, reference)
        for name, posed in candidates.items()
    }


def _plain(posed: PosedPhotos, reference: PosedPhotos) -> dict[str, Any]:
    compared = compare_poses(posed, reference).to_json()
    return {name: value for name, value in compared.items() if name != "photos"}


def _posed(model: SparseModel, names: tuple[str, ...]) -> PosedPhotos:
    images = [image for image in model.images.values() if image.name in names]
    return PosedPhotos({image.name: image.cam_from_world for image in images}, {})


def _camera_of(model: SparseModel, name: str) -> Camera:
    return model.cameras[next(i.camera for i in model.images.values() if i.name == name)]


def _panel_writer(folder: Path) -> Callable[[FittedView], object]:
    return lambda fitted: write_panel(folder, fitted)
