"""What an export is made from: a model, its photographs, and how they are put beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.export_request import Listener
from pipeline.exports.names import NameRules, names_for
from pipeline.exports.photographs import (
    Placed,
    PlacedCounts,
    check_photographs,
    place_photographs,
)
from pipeline.formats.posed import PosedPhotos
from pipeline.geometry.cameras import Camera
from pipeline.products import Photo, SparseModel


@dataclass(eq=False)
class Export:
    """One export as it is made.

    model: cameras, poses and points. photos: of the run, by name. run: the run directory. meshes:
    which stages' meshes are those of the run as it is now. tell: how far it is. notes: what the
    user ought to know. new_names: of photographs that could not keep theirs. counts: of the
    photographs. holds: of files of points and meshes, by name, how many points, cameras, vertices
    or triangles they have; nothing where the export is the whole model.
    """

    model: SparseModel
    photos: Mapping[str, Photo]
    run: Path
    meshes: frozenset[str]
    tell: Listener
    notes: list[str] = field(default_factory=list)
    new_names: dict[str, str] = field(default_factory=dict)
    counts: PlacedCounts = field(default_factory=PlacedCounts)
    holds: dict[str, dict[str, int]] = field(default_factory=dict)

    def renamed(self, rules: NameRules) -> tuple[SparseModel, Mapping[str, str]]:
        """The model with names that a program can read, images in their order; and the names in
        the run by these. A note tells where that changes anything."""
        names = sorted(image.name for image in self.model.images.values())
        new = names_for(names, rules)
        changed = [name for name in names if new[name] != name]
        self.new_names = {name: new[name] for name in changed}
        if changed:
            self.notes.append(
                f"{len(changed)} photographs have another name here, such as {new[changed[0]]} for "
                f"{changed[0]}; export.json lists them."
            )
        images = {
            image_id: replace(image, name=new[image.name])
            for image_id, image in sorted(
                self.model.images.items(), key=lambda item: new[item[1].name]
            )
        }
        return replace(self.model, images=images), {new[name]: name for name in names}

    def place(
        self,
        folder: Path,
        names: Mapping[str, str],
        pinholes: Mapping[int, Camera] | None = None,
    ) -> None:
        """Put the model's photographs into a folder. names: in the run, by new name. pinholes: by
        camera key, the cameras that they are undistorted to. Raises as `place_photographs`."""
        cameras = {image.name: image.camera for image in self.model.images.values()}
        own = {name: self.model.cameras[key] for name, key in cameras.items()}
        check_photographs(self.photos, own)
        placed = []
        for new, old in names.items():
            pinhole = None if pinholes is None else pinholes[cameras[old]]
            if pinhole is not None and _same(pinhole, own[old]):
                pinhole = None
            placed.append(Placed(self.photos[old], new, own[old], pinhole))
        if undistorted := sum(one.pinhole is not None for one in placed):
            self.notes.append(f"{undistorted} photographs were undistorted to a pinhole camera.")
        masks = sum(one.photo.mask is not None for one in placed)
        if masks:
            self.notes.append(f"{masks} photographs have masks; the export does not.")
        folder.mkdir(parents=True, exist_ok=True)
        self.counts = place_photographs(placed, folder, self.tell)


def posed_photos(model: SparseModel) -> PosedPhotos:
    """Poses and intrinsics of a model by photo name."""
    images = model.images.values()
    return PosedPhotos(
        {image.name: image.cam_from_world for image in images},
        {image.name: model.cameras[image.camera] for image in images},
    )


def _same(a: Camera, b: Camera) -> bool:
    """Whether two cameras project alike, to well below a thousandth of a pixel."""
    return (a.width, a.height) == (b.width, b.height) and bool(
        abs(a.opencv_params - b.opencv_params).max() <= 1e-6
    )
