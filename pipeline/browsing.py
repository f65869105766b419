"""The front door for people who browse a run: its files by number or name, and what is known of
its photographs and pairs. Read only, while the run goes on or after it.

Whoever asks names things as the run does: a photograph by its number, a cloud by its id. No path
comes from outside, and none leads out of the run directory but to the photographs themselves.

Without numpy, because the process that serves browsers has none: keypoints and matches are passed
on as the bytes that the stages have written (`plain_arrays`), and facts that have to be computed
come from a process of their own (`browsing_facts`). Everything else may block, so it belongs in a
thread.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pipeline.depth_index import STAGE as DEPTH
from pipeline.depth_index import depth_container, depth_file
from pipeline.errors import PipelineError
from pipeline.formats.bundle import Buffer, pack, unpack
from pipeline.hashing import content_key
from pipeline.manifest import Manifest
from pipeline.plain_arrays import PlainArrays
from pipeline.plain_pairs import geometry, row_of
from pipeline.run_directory import MANIFEST, read_manifest
from pipeline.scene_index import meshes_of

CLOUD_FILES = frozenset(
    [f"{name}.bin" for name in ("points", "details", "steps", "hierarchy", "octree")]
    + ["cameras.json", "metadata.json"]
)
FACTS_COMMAND = (sys.executable, "-P", "-m", "pipeline.browsing_facts")
_SECONDS_FOR_FACTS = 120.0
_CLOUD = re.compile(r"[a-z]{1,20}-[0-9a-f]{12}")  # see `scene_index.CloudSource`
_KEY = re.compile(r"[0-9a-f]{8,128}")
_PREVIEW = re.compile(r"[0-9]{1,12}(?:-[A-Za-z0-9_-]{1,40})?\.(?:jpg|png|json|scene)")
_STAGE = re.compile(r"[a-z_]{1,40}")
_THUMBNAIL = re.compile(r"[0-9]{1,9}\.jpg")
_FILM = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}\.(?:mp4|gif|webm)")
_FILM_FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError)
# What browsers show, by how such files begin.
_PICTURES = (
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_HEAD_BYTES = 16
P = ParamSpec("P")
T = TypeVar("T")


class NotThere(PipelineError):
    """The run has no such thing."""


class NotYet(PipelineError):
    """The run has not come so far."""


def _in_words(ask: Callable[P, T]) -> Callable[P, T]:
    """Let a method raise PipelineError for files that are damaged or gone."""

    @wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return ask(*args, **kwargs)
        except PipelineError:
            raise
        except FileNotFoundError as error:
            raise NotThere("Not there", f"{Path(str(error.filename)).name} is missing.") from error
        except _UNREADABLE as error:
            raise PipelineError("Damaged run", f"a file cannot be read: {error!r}.") from error

    return asked


@dataclass(frozen=True)
class Facts:
    """What is known of photographs and pairs. version: another one where they may be others.
    photographs, pairs: JSON, gzipped. seen: bits of the keypoints that see a 3D point, by the
    photograph's number."""

    version: str
    photographs: bytes
    pairs: bytes
    seen: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A file that browsers show."""

    path: Path
    media_type: str


@dataclass(frozen=True)
class Film:
    """A film in `renders/`. changed: seconds since the epoch."""

    name: str
    size: int
    changed: float


class Browser:
    """Reads one run for people. All methods may be called from several threads.

    Every method raises NotYet, NotThere, or PipelineError for what is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._kept: dict[Path, tuple[tuple[int, ...], Any]] = {}
        self._facts: Facts | None = None
        self._finding: asyncio.Task[Facts] | None = None

    @_in_words
    def version(self) -> str:
        """Another one whenever another stage is finished, or one anew."""
        stages = self._manifest().stages
        return content_key({name: e.ingredients.fingerprint for name, e in stages.items()})[:16]

    async def facts(self) -> Facts:
        """What is known of photographs and pairs; found once for all who ask."""
        version = await asyncio.to_thread(self.version)
        if self._facts is not None and self._facts.version == version:
            return self._facts
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self._find(version))
        self._facts = await asyncio.shield(self._finding)  # others wait for it too
        return self._facts

    @_in_words
    def thumbnail(self, number: int) -> Picture:
        """The small picture of a photograph."""
        name = self._photograph(number)["name"]
        folder = self.root / "photos" / "thumbnails"
        of_name = self._json(folder / "names.json", "thumbnails")
        file = next((file for file, of in of_name.items() if of == name), "")
        if not _THUMBNAIL.fullmatch(str(file)):
            raise NotThere("No thumbnail", f"photograph {number} has none.")
        return Picture(self._inside(folder / file), "image/jpeg")

    @_in_words
    def picture(self, number: int) -> Picture:
        """The photograph itself where a browser can show it, else its thumbnail."""
        path = Path(str(self._photograph(number)["path"]))
        try:
            if path.is_absolute() and path.is_file():
                with path.open("rb") as file:
                    head = file.read(_HEAD_BYTES)
                for beginning, media_type in _PICTURES:
                    if beginning.match(head):
                        return Picture(path, media_type)
        except OSError:
            pass  # the disk with the photographs may be away
        return self.thumbnail(number)

    @_in_words
    def depth(self, number: int) -> bytes:
        """The depth map of a photograph, as a container."""
        path = depth_file(self._products(DEPTH), str(self._photograph(number)["name"]))
        return depth_container(self._inside(path))

    @_in_words
    def keypoints(self, number: int, seen: bytes | None = None) -> bytes:
        """Keypoints of a photograph, as a container. seen: which of them see a 3D point, as in
        `Facts`; left out where that is not known."""
        self._photograph(number)
        keys = self._keys("features", "features")
        if number >= len(keys):
            raise NotThere("No keypoints", f"photograph {number} has none.")
        with self._item("features", keys[number]) as item:
            if not item.is_of("keypoints", "<f4", 4):
                raise PipelineError("Damaged run", "keypoints of another kind were stored.")
            count = item.shape("keypoints")[0]
            buffers = [Buffer("keypoints", "f32", (count, 4), item.rows("keypoints"))]
        if seen is not None and 0 <= 8 * len(seen) - count < 8:
            bits = bytes(seen[i >> 3] >> (7 - (i & 7)) & 1 for i in range(count))
            buffers.append(Buffer("sees_point", "u8", (count,), bits))
        return pack("keypoints", {"index": number}, buffers)

    @_in_words
    def matches(self, i1: int, i2: int) -> bytes:
        """The matches of a pair before and after verification, and its two-view geometry, as a
        container. i1 < i2."""
        index = self._products("matching") / "matches" / "index.arrays"
        with self._arrays(index) as arrays:
            row = row_of(arrays, i1, i2)
            if row is None:
                raise NotThere("No such pair", f"photographs {i1} and {i2} were not compared.")
            (count,) = arrays.numbers("counts", row, row + 1)
            remark = arrays.texts("reasons")[row]
            key = arrays.texts("keys")[row]
        rows = b""
        if count:
            with self._item("matches", key) as item:
                rows = item.rows("matches")
        buffers = [Buffer("matches", "u32", (len(rows) // 8, 2), rows)]
        reason = "" if count else remark
        about = {"kind": "", "reason": reason, "angle_deg": None, "F": None, "E": None, "H": None}
        inliers = b""
        if "verification" in self._manifest().stages:
            with self._arrays(self.root / "matches" / "geometries.arrays") as arrays:
                row = row_of(arrays, i1, i2)
                if row is not None:
                    found, inliers = geometry(arrays, row)
                    about = {**found, "reason": found["reason"] or ("" if inliers else remark)}
        buffers.append(Buffer("inliers", "u32", (len(inliers) // 8, 2), inliers))
        kind = {"two_view": about.pop("kind")}
        return pack("matches", {"i1": i1, "i2": i2, **kind, **about}, buffers)

    @_in_words
    def cloud_file(self, cloud: str, file: str) -> Path:
        """A file of a cloud, by the cloud's id; it never changes."""
        if not _CLOUD.fullmatch(cloud) or file not in CLOUD_FILES:
            raise NotThere("No such cloud", "GET /api/scene lists what there is.")
        return self._inside(self.root / "clouds" / cloud / file)

    @_in_words
    def mesh_file(self, mesh: str) -> Path:
        """The file of a mesh, by the mesh's id; it never changes."""
        found = meshes_of(self.root, self._manifest()).get(mesh)
        if found is None:
            raise NotThere("No such mesh", "GET /api/scene lists what there is.")
        return self._inside(found[1])

    @_in_words
    def preview(self, stage: str, file: str) -> Path:
        """One of the newest previews of a stage: picture, sketch or scene."""
        if not (_STAGE.fullmatch(stage) and _PREVIEW.fullmatch(file)):
            raise NotThere("No such preview", "The state of the run names the newest ones.")
        return self._inside(self.root / stage / "previews" / file)

    @_in_words
    def planar(self) -> dict[str, Any]:
        """`{"image", "curves"}` of a planar alignment."""
        manifest = self._manifest()
        if not (self.root / "curves.json").is_file():
            raise NotThere("Not planar", "This run is no planar alignment, or not done.")
        curves = self._json(self.root / "curves.json", "planar")
        image = next(iter(manifest.photos), "")
        return {"image": image, "curves": curves}

    @_in_words
    def animation(self) -> Path:
        """The film of a planar alignment."""
        return self._inside(self.root / "animation.gif")

    @_in_words
    def films(self) -> list[Film]:
        """The films in `renders/`, the newest first."""
        found = []
        for name, path in self._films().items():
            try:
                status = path.stat()
            except OSError:
                continue  # removed meanwhile
            found.append(Film(name, status.st_size, status.st_mtime))
        return sorted(found, key=lambda film: film.changed, reverse=True)

    @_in_words
    def film(self, name: str) -> Path:
        """One of them."""
        path = self._films().get(name)
        if path is None:
            raise NotThere("No such film", "GET /api/renders lists what there is.")
        return self._inside(path)

    def _films(self) -> dict[str, Path]:
        """Films by the name that they are asked for: `FOLDER.SUFFIX` for `FOLDER/film.SUFFIX`."""
        folder = self.root / "renders"
        found: dict[str, Path] = {}
        try:
            for path in sorted(folder.iterdir()):
                if _FILM.fullmatch(path.name) and path.is_file():
                    found[path.name] = path
                elif _FILM_FOLDER.fullmatch(path.name) and path.is_dir():
                    inner = [p for p in sorted(path.iterdir()) if _FILM.fullmatch(p.name)]
                    found |= {f"{path.name}{film.suffix}": film for film in inner}
        except OSError:
            return found  # nothing was rendered yet
        return found

    async def _find(self, version: str) -> Facts:
        data = await asyncio.to_thread(_ask_for_facts, self.root)
        _, parts = unpack(data)
        seen = {int(n[5:]): bytes(part) for n, part in parts.items() if n.startswith("seen/")}
        return Facts(version, bytes(parts["photographs"]), bytes(parts["pairs"]), seen)

    def _manifest(self) -> Manifest:
        return self._once(self.root / MANIFEST, lambda: read_manifest(self.root))

    def _products(self, stage: str) -> Path:
        """The run directory. Raises NotYet where a stage is not finished."""
        if stage not in self._manifest().stages:
            raise NotYet("Not yet", f"{stage} is not done.", "Wait for it.")
        return self.root

    def _photograph(self, number: int) -> Mapping[str, Any]:
        index = self._json(self._products("ingest") / "photos" / "index.json", "photos")
        photographs = index.get("photos", [])
        if not 0 <= number < len(photographs):
            raise NotThere("No such photograph", f"there are {len(photographs)}, from 0 on.")
        found: Mapping[str, Any] = photographs[number]
        return found

    def _keys(self, stage: str, folder: str) -> list[str]:
        path = self._products(stage) / folder / "index.arrays"

        def read() -> list[str]:
            with self._arrays(path) as arrays:
                return arrays.texts("keys")

        return self._once(path, read)

    def _arrays(self, path: Path) -> PlainArrays:
        return PlainArrays(path)

    def _item(self, kind: str, key: str) -> PlainArrays:
        """An item of `item_store`."""
        if not _KEY.fullmatch(key):
            raise PipelineError("Damaged run", f"{kind} has a key that is none.")
        return self._arrays(self.root / kind / key[:2] / f"{key}.arrays")

    def _json(self, path: Path, what: str) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            data = json.loads(path.read_bytes())
            if not isinstance(data, dict):
                raise TypeError(f"the {what} are no object")
            return data

        return self._once(path, read)

    def _once(self, path: Path, read: Callable[[], T]) -> T:
        """What `read` makes of a file, kept as long as the file is the same."""
        try:
            status = path.stat()
        except OSError as error:
            raise NotThere("Not there", f"{path.name}: {error.strerror}.") from error
        signature = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._kept.get(path)
        if known is None or known[0] != signature:
            known = self._kept[path] = (signature, read())
        value: T = known[1]
        return value

    def _inside(self, path: Path) -> Path:
        """The path, where it is a file and no link leads it out of the run directory."""
        try:
            real = path.resolve(strict=True)
            if real.is_file() and real.is_relative_to(self.root.resolve()):
                return path
        except OSError:
            pass
        raise NotThere("Not there", f"{path.name} is not there, or not any more.")


def _ask_for_facts(root: Path) -> bytes:
    """Have a process of its own look. Raises PipelineError where it cannot."""
    try:
        done = subprocess.run(
            [*FACTS_COMMAND, str(root)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            timeout=_SECONDS_FOR_FACTS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PipelineError(
            "Not now", f"What is known of the photographs could not be read: {error}."
        ) from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        why = words[0] if words else f"exit code {done.returncode}"
        raise PipelineError("Not now", f"What is known of the photographs is unreadable: {why}.")
    return done.stdout
