"""What there is to see of a run, from its directory and its state: cheap, and without numbers.

A cloud lies in `clouds/<name>-<version>/`, where the version is of all that it was made from: what
is served under that name never changes. `pipeline.cloud_making` fills such folders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pipeline.engine.messages import RunView, StageView
from pipeline.errors import PipelineError
from pipeline.hashing import content_key
from pipeline.manifest import Manifest, StageEntry
from pipeline.run_directory import read_manifest
from pipeline.scene_answer import (
    CamerasView,
    CloudView,
    FieldView,
    LiveView,
    MeshView,
    PreparingView,
    SceneAnswer,
    Vector,
)
from pipeline.stages import VIEWED_STAGE

FORMAT = 1
"""Of the files of a cloud; another one makes all clouds anew."""

FOLDER = "clouds"
ABOUT = "cloud.json"
CAMERAS = "cameras.json"
SCENE_SUFFIX = ".scene"
MAPPING = "mapping"
_ID = re.compile(r"(?P<name>[a-z]{1,20})-[0-9a-f]{12}")
_MODEL = "sparse/0"
_REFINED = "sparse/refined"
_MESH_STAGES = ("draft", "mesh")  # the better one last
_MESH = _MESH_STAGES[-1]
MESH_FILE = "mesh.glb"
_FUSED = "mesh/fused.ply"  # as in `dense_codecs`, which loads numpy


@dataclass(frozen=True)
class CloudSource:
    """A cloud that a run should have. name: with the version it is the id. stage: whose product it
    is made from; fingerprint: of that. model: folder of a COLMAP model, below the run. fused: file
    of the points, below the run; "": they are those of the model."""

    name: str
    stage: str
    fingerprint: str
    model: str
    cameras: Literal["mapping", "refined"]
    fused: str = ""

    @property
    def id(self) -> str:
        """Of the cloud, and its folder's name."""
        return f"{self.name}-{content_key(FORMAT, self.name, self.fingerprint)[:12]}"


def cloud_sources(root: Path, manifest: Manifest) -> tuple[CloudSource, ...]:
    """The clouds that follow from what a run has finished, ready or not; the largest last."""
    found = []
    mapping, radiance = manifest.stages.get(MAPPING), manifest.stages.get(VIEWED_STAGE)
    if mapping is not None and (root / _MODEL).is_dir():
        fingerprint = mapping.ingredients.fingerprint
        found.append(CloudSource("sparse", MAPPING, fingerprint, _MODEL, "mapping"))
    if radiance is not None and (root / _REFINED).is_dir():
        fingerprint = radiance.ingredients.fingerprint
        found.append(CloudSource("refined", VIEWED_STAGE, fingerprint, _REFINED, "refined"))
    return (*found, *_dense(root, manifest, found))


def way_up(root: Path, source: CloudSource) -> Vector | None:
    """The way up, a unit vector, that the points of a cloud's own model have told, where these are
    ready; else None."""
    for other in cloud_sources(root, read_manifest(root)):
        about = _about(root / FOLDER / other.id) or {}
        up = about.get("up")
        if other.model == source.model and not other.fused and up:
            x, y, z = up
            return x, y, z
    return None


def missing_clouds(root: Path) -> tuple[CloudSource, ...]:
    """The clouds that are not ready; none where there is no run."""
    try:
        sources = cloud_sources(root, read_manifest(root))
    except PipelineError:
        return ()
    return tuple(source for source in sources if not is_ready(root, source))


def is_ready(root: Path, source: CloudSource) -> bool:
    """Whether a cloud is there, and what is to be told of it can be read."""
    about = _about(root / FOLDER / source.id)
    return about is not None and _cloud(source, about) is not None


def cloud_folder(root: Path, cloud: str) -> Path | None:
    """Where the files of a cloud are, by its id; None where there is no such cloud."""
    folder = root / FOLDER / cloud
    return folder if _ID.fullmatch(cloud) and folder.is_dir() else None


def meshes_of(root: Path, manifest: Manifest) -> dict[str, tuple[StageEntry, Path]]:
    """The meshes that a run has made, by their ids: of which stage, and where. An id is of all
    that a mesh was made from; what is served under it never changes."""
    found = {}
    for stage in _MESH_STAGES:
        entry, path = manifest.stages.get(stage), root / stage / MESH_FILE
        if entry is not None and path.is_file():
            key = content_key(FORMAT, stage, entry.ingredients.fingerprint)[:12]
            found[f"{stage}-{key}"] = entry, path
    return found


def scene_of(
    root: Path,
    view: RunView | None = None,
    preparing: Mapping[str, str] | None = None,
    troubles: Sequence[str] = (),
) -> SceneAnswer:
    """What there is to see of a run; of what cannot be read there is nothing to see.

    view: the state of the run, where there is one. preparing: why clouds are not ready yet, by the
    ids of those that somebody makes. troubles: what could not be made, in words.
    """
    try:
        manifest = read_manifest(root)
    except PipelineError as error:
        return _with_version(SceneAnswer(troubles=(error.message,)))
    stages = {stage.name: stage for stage in view.stages} if view is not None else {}
    clouds, waiting = [], []
    cameras: dict[str, CamerasView] = {}
    up = None
    for source in cloud_sources(root, manifest):
        about = _about(root / FOLDER / source.id)
        cloud = None if about is None else _cloud(source, about)
        if about is not None and cloud is not None:
            clouds.append(cloud)
            if source.cameras not in cameras:
                url = f"{cloud.url}{CAMERAS}"
                cameras[source.cameras] = CamerasView(id=source.cameras, url=url)
                up = about.get("up") or up
        elif preparing is not None and source.id in preparing:
            waiting.append(PreparingView(name=source.name, why=preparing[source.id]))
    answer = SceneAnswer(
        up=up,
        clouds=tuple(clouds),
        cameras=tuple(cameras.values()),
        meshes=tuple(_mesh(key, entry) for key, (entry, _) in meshes_of(root, manifest).items()),
        preparing=tuple(waiting),
        field=_field(manifest, stages, view),
        live=_live(root, stages, {cloud.stage for cloud in clouds}),
        troubles=tuple(troubles),
    )
    return _with_version(answer)


def cloud_reports(root: Path) -> list[dict[str, Any]]:
    """What the filter did to the clouds that are ready, as plain data: points `before` and
    `after`, strays, seconds; note: what could not be done."""
    try:
        sources = cloud_sources(root, read_manifest(root))
    except PipelineError:
        return []
    found = []
    for source in sources:
        about = _about(root / FOLDER / source.id)
        cloud = None if about is None else _cloud(source, about)
        if about is None or cloud is None:
            continue
        found.append(
            {
                "name": source.name,
                "stage": source.stage,
                "before": cloud.before,
                "after": cloud.before - cloud.strays,
                "strays": cloud.strays,
                "seconds": about.get("seconds"),
                "note": cloud.note,
            }
        )
    return found


def _dense(
    root: Path, manifest: Manifest, others: Sequence[CloudSource]
) -> tuple[CloudSource, ...]:
    """The cloud of all that depth maps agree on, with the cameras of those; only as long as these
    are what the run holds, too: what was mapped anew lies elsewhere."""
    mesh = manifest.stages.get(_MESH)
    if mesh is None or not (root / _FUSED).is_file():
        return ()
    of_field = mesh.report.get("source") == "field"
    product, stage = ("field_depth", VIEWED_STAGE) if of_field else ("depth", "depth")
    depth = manifest.stages.get(stage)
    if depth is None or mesh.ingredients.needs.get(product) != depth.ingredients.fingerprint:
        return ()
    known = {depth.ingredients.fingerprint, depth.ingredients.needs.get("reconstruction")}
    for other in reversed(others):
        if other.fingerprint in known:
            made_from = mesh.ingredients.fingerprint
            return (CloudSource("dense", _MESH, made_from, other.model, other.cameras, _FUSED),)
    return ()


def _about(folder: Path) -> dict[str, Any] | None:
    try:
        about = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def _cloud(source: CloudSource, about: Mapping[str, Any]) -> CloudView | None:
    names = ("format", "count", "before", "strays", "bounds", "center", "radius", "note", "steps")
    told = {name: about[name] for name in names if name in about}
    place = {"id": source.id, "name": source.name, "stage": source.stage}
    try:
        return CloudView.model_validate({**place, "url": f"/{FOLDER}/{source.id}/", **told})
    except ValidationError:  # somebody has edited it
        return None


def _mesh(key: str, entry: StageEntry) -> MeshView:
    stage, report = entry.ingredients.stage, entry.report
    vertices, faces = report.get("vertices"), report.get("triangles")
    if report.get("textured_triangles"):  # the file has the simpler mesh, with vertices at seams
        vertices, faces = None, report["textured_triangles"]
    return MeshView(
        id=key,
        name=stage,
        stage=stage,
        url=f"/meshes/{key}/{MESH_FILE}",
        vertices=vertices if isinstance(vertices, int) else None,
        faces=faces if isinstance(faces, int) else None,
    )


def _field(manifest: Manifest, stages: Mapping[str, StageView], view: RunView | None) -> FieldView:
    now = stages.get(VIEWED_STAGE)
    if now is not None and now.state == "started":
        told = view.metrics if view is not None else ()
        steps = [metric.step for metric in told if metric.stage == VIEWED_STAGE]
        return FieldView(step=max(steps, default=now.checkpoint_step), state="training")
    done = manifest.stages.get(VIEWED_STAGE)
    if done is not None:
        words = str(done.report.get("verdict", ""))
        if done.report.get("trained") is False:
            return FieldView(why=words)
        steps_done = done.report.get("steps")
        step = steps_done if isinstance(steps_done, int) else None
        return FieldView(step=step, state="trained", why=words)
    if now is not None and now.state in ("failed", "stopped"):
        why = f": {now.why}" if now.why else ""
        return FieldView(step=now.checkpoint_step, why=f"{VIEWED_STAGE} has {now.state}{why}")
    return FieldView(why=f"{VIEWED_STAGE} is not done")


def _live(root: Path, stages: Mapping[str, StageView], ready: set[str]) -> LiveView | None:
    """The snapshot of the stage that is at work, or of the last one whose cloud is not ready."""
    for name in (VIEWED_STAGE, MAPPING):
        stage = stages.get(name)
        if stage is None or not stage.scene:
            continue
        if stage.state != "started" and (name in ready or MAPPING in ready):
            continue
        file = Path(stage.scene).name
        step = file.removesuffix(SCENE_SUFFIX)
        if step.isdecimal() and (root / stage.scene).is_file():
            url = f"/api/previews/{name}/{file}"
            return LiveView(stage=name, file=stage.scene, step=int(step), url=url)
    return None


def _with_version(answer: SceneAnswer) -> SceneAnswer:
    content = answer.model_dump(mode="json", exclude={"version"})
    return answer.model_copy(update={"version": content_key(content)[:16]})
