"""Real stages make the same products, bit by bit, whatever carries out their items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.engine.executor import (
    Kind,
    Resources,
    open_executor,
)
from pipeline.geometry_tables import geometries_as_arrays
from pipeline.item_store import DiskStore
from pipeline.photos.source import PhotoSource
from pipeline.stages import plan
from tests.contracts.conftest import write_pictures
from tests.engine.fan_out.opened import control_of, resources_for


def stage_products(
    pictures: Path, resources: Resources, kind: Kind, until: str = "verification"
) -> dict[str, Any]:
    """Products of the stages up to one; stages that do not fan out run here, as in a run."""
    store = DiskStore(resources.root)
    products: dict[str, Any] = {"source": PhotoSource(pictures)}
    with open_executor("threads", resources) as here, open_executor(kind, resources) as there:
        for entry in plan(until=until):
            stage = entry.load()
            opened = there if hasattr(stage, "fan_out") else here
            inputs = {name: products[name] for name in stage.needs}
            work = stage.run(inputs, getattr(RunConfig(), stage.name), control_of(opened, store))
            products.update(finish(work))
        store.flush()
    return products


def finish(work: Any) -> dict[str, Any]:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return dict(end.value)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, 5)
    return folder


@pytest.fixture(scope="module")
def by_threads(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The products as local threads make them, and the files of the store."""
    root = tmp_path_factory.mktemp("threads")
    products = stage_products(pictures, Resources(root, 2), "threads")
    assert len(products["geometries"].of_pair) == 10
    assert products["matches"].counts.min() > 30
    return {**products, "files": item_files(root)}


def item_files(root: Path) -> dict[str, bytes]:
    """Content of all items but those of ingest, which hold file times."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("features", "matches")
        for path in sorted((root / folder).rglob("*.arrays"))
    }


@pytest.mark.parametrize("shared", ["auto", "no"])
def test_on_a_cluster_the_products_are_the_same_bit_by_bit(
    shared: str, scheduler: str, pictures: Path, by_threads: dict[str, Any], tmp_path: Path
) -> None:
    resources = resources_for("cluster", tmp_path, scheduler, shared)
    products = stage_products(pictures, resources, "cluster")
    files = item_files(tmp_path)
    assert files == by_threads["files"]
    assert len(files) >= 5 + 10 + 2
    assert products["features"].keys == by_threads["features"].keys
    assert products["matches"].keys == by_threads["matches"].keys
    expected = geometries_as_arrays(by_threads["geometries"])
    found = geometries_as_arrays(products["geometries"])
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_in_processes_the_features_are_the_same_bit_by_bit(
    pictures: Path, by_threads: dict[str, Any], tmp_path: Path
) -> None:
    stage_products(pictures, Resources(tmp_path, 2), "processes", until="features")
    expected = {n: data for n, data in by_threads["files"].items() if n.startswith("features")}
    assert item_files(tmp_path) == expected
    assert len(expected) == 5
