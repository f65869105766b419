"""What there is to see of a run, as clients get it: clouds, cameras, meshes, the field."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Vector = tuple[float, float, float]
CloudFormat = Literal["points", "potree"]
FieldState = Literal["none", "training", "trained"]


class Part(BaseModel):
    """Base of the parts of the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CloudView(Part):
    """A cloud that is ready; its files never change.

    stage: whose points they are. before: points that it was made from; strays: those of them that
    the filter has marked. bounds: least and greatest corner, strays aside. note: what could not be
    done with it, in words. steps: photographs that were registered one after the other while the
    points came, of which `steps.bin` tells; 0 where nothing does.
    """

    id: str
    name: str
    stage: str
    format: CloudFormat
    url: str
    count: int
    before: int
    strays: int
    bounds: tuple[Vector, Vector]
    center: Vector
    radius: float
    note: str = ""
    steps: int = 0


class CamerasView(Part):
    """Cameras with their poses: those of mapping, or as the radiance field has refined them."""

    id: Literal["mapping", "refined"]
    url: str


class MeshView(Part):
    """A mesh that is ready, as glTF. vertices, faces: None where its stage has not told them."""

    id: str
    name: str
    stage: str
    url: str
    vertices: int | None
    faces: int | None


class PreparingView(Part):
    """A cloud that is not ready yet, and what it waits for."""

    name: str
    why: str


class FieldView(Part):
    """The radiance field. step: of the training. why: where there is none, or what was judged."""

    step: int | None = None
    state: FieldState = "none"
    why: str = ""


class LiveView(Part):
    """The newest snapshot of a stage at work, or of one whose cloud is not ready."""

    stage: str
    file: str
    step: int
    url: str


class SceneAnswer(Part):
    """What there is to see. version: another one whenever anything else here is another.

    up: a unit vector, null where the cameras tell none. troubles: what could not be prepared, and
    why, in words.
    """

    version: str = ""
    up: Vector | None = None
    clouds: tuple[CloudView, ...] = ()
    cameras: tuple[CamerasView, ...] = ()
    meshes: tuple[MeshView, ...] = ()
    preparing: tuple[PreparingView, ...] = ()
    field: FieldView = FieldView()
    live: LiveView | None = None
    troubles: tuple[str, ...] = ()
