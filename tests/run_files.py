"""What lies in a run directory: whether it is whole, and the parts that runs must agree in."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.array_files import SUFFIX, DamagedFile, read_arrays
from pipeline.codecs import LostProduct, load_product
from pipeline.engine.event_log import EVENTS
from pipeline.engine.log_reader import LogReader
from pipeline.engine.metrics import METRICS, MetricStore
from pipeline.engine.state import read_view
from pipeline.errors import PipelineError
from pipeline.formats.colmap_model import read_model
from pipeline.formats.ply import read_ply
from pipeline.item_store import FLAT_FOLDERS, DiskStore
from pipeline.run_directory import MANIFEST, read_manifest, read_report, read_request
from pipeline.settings import load_settings
from pipeline.stages import METHOD

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, sqlite3.Error, PipelineError, LostProduct)
_PARTS_OF_MODEL = ("cameras", "frames", "images", "points3D", "rigs")


def model_files(run: Path) -> dict[str, bytes]:
    """The files of the sparse models and the cloud, by path."""
    paths = [*(run / "sparse").rglob("*"), run / "points.ply"]
    files = sorted(path for path in paths if path.is_file())
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def database_digest(run: Path) -> str:
    """Hash of all that `database.db` holds, as text that would make it again; "" without it."""
    if not (run / "database.db").exists():
        return ""
    digest = hashlib.sha256()
    with sqlite3.connect(f"file:{run / 'database.db'}?mode=ro", uri=True) as database:
        for statement in database.iterdump():
            digest.update(statement.encode())
    database.close()
    return digest.hexdigest()


def items_of(run: Path, kind: str) -> Iterator[dict[str, Any]]:
    """The items of a kind that are in the run."""
    pattern = "*" if kind in FLAT_FOLDERS else "??/*"
    for path in (run / FLAT_FOLDERS.get(kind, kind)).glob(f"{pattern}{SUFFIX}"):
        yield read_arrays(path)


def torn_files(run: Path, *, quiet: bool = True) -> list[str]:
    """What is torn or unreadable, read plainly and by the program's own readers.

    quiet: nobody writes at present, so that also what spans several files must agree.
    """
    found = [*_torn_one_by_one(run), *(_torn_for_the_program(run) if quiet else ())]
    return [f"{name}: {fault!r}" for name, fault in found]


def read_plainly(run: Path) -> list[str]:
    """What of the small files cannot be read while the run is being written."""
    names = (MANIFEST, "state.json", "request.json", "report.json", "run.toml", EVENTS)
    paths = [run / name for name in names]
    paths += [run / "photos/index.json", run / "sparse/verdicts.json"]
    paths += (run / "stages").glob("*/report.json")
    return [f"{path}: {fault!r}" for path in paths for fault in _fault(_plain_reader(path), path)]


def _torn_one_by_one(run: Path) -> Iterator[tuple[str, Exception]]:
    for path in sorted(run.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            for fault in _fault(_plain_reader(path), path):
                yield str(path.relative_to(run)), fault
    models = sorted((run / "sparse").glob("[0-9]*"))
    if (run / "sparse").exists() and not (run / "sparse/verdicts.json").exists():
        yield "sparse", DamagedFile("no verdicts")
    for model in models:
        names = {path.stem for path in model.iterdir()}
        if names != set(_PARTS_OF_MODEL):
            yield str(model.relative_to(run)), DamagedFile(f"holds {sorted(names)}")
        for fault in _fault(read_model, model):
            yield str(model.relative_to(run)), fault


def _torn_for_the_program(run: Path) -> Iterator[tuple[str, Exception]]:
    readers: list[tuple[str, Callable[[Path], object]]] = [
        ("the manifest", read_manifest),
        ("the request", read_request),
        ("the state", read_view),
        ("the events", _read_events),
        ("the metrics", _read_metrics),
        ("the products", _read_products),
    ]
    if (run / "report.json").exists():
        readers.append(("the report", read_report))
    if (run / "run.toml").exists():
        readers.append(("the settings", lambda run: load_settings(run / "run.toml", (), {})))
    for name, reader in readers:
        if (run / MANIFEST).exists():
            for fault in _fault(reader, run):
                yield name, fault


def _fault(read: Callable[[Path], object], path: Path) -> list[Exception]:
    try:
        read(path)
    except FileNotFoundError:
        return []  # what is not there is not torn
    except _UNREADABLE as error:
        return [error]
    return []


def _plain_reader(path: Path) -> Callable[[Path], object]:
    if path.name == EVENTS:
        return _read_lines
    readers: dict[str, Callable[[Path], object]] = {
        ".json": lambda path: json.loads(path.read_bytes()),
        ".toml": lambda path: tomllib.loads(path.read_text()),
        ".arrays": read_arrays,
        ".ply": read_ply,
        ".jpg": _read_jpeg,
        ".db": _check_database,
    }
    return readers.get(path.suffix, Path.read_bytes)


def _read_lines(path: Path) -> None:
    """Every line but the last, which may be on its way."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        json.loads(line)


def _read_jpeg(path: Path) -> None:
    data = path.read_bytes()
    if not (data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")):
        raise DamagedFile("not a whole JPEG")


def _check_database(path: Path) -> None:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        (answer,) = database.execute("PRAGMA quick_check").fetchone()
    finally:
        database.close()
    if answer != "ok":
        raise DamagedFile(answer)


def _read_events(run: Path) -> None:
    reader = LogReader(run / EVENTS)
    for _ in reader:
        pass
    if reader.damages:
        raise DamagedFile("; ".join(reader.damages))


def _read_metrics(run: Path) -> None:
    store = MetricStore(run / METRICS)
    store.open()
    store.read_curves()
    if store.damages:
        raise DamagedFile("; ".join(store.damages))


def _read_products(run: Path) -> None:
    """What the manifest counts as done."""
    done = read_manifest(run).stages
    store = DiskStore(run, writes=False)
    for entry in METHOD:
        if entry.name in done:
            for product in entry.makes:
                load_product(product, run, store)
