"""A scene that takes the mapper through all that it can do: made once, only read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from pipeline.config import VerificationConfig
from pipeline.matching.verification import VerifyMatches
from pipeline.products import MemoryStore, TwoViewGeometries
from pipeline.runner import ForegroundControl
from tests.synthetic import WorldSpec, make_world
from tests.worlds import world_products

WORLDS = (
    WorldSpec(images=9, points=260, views=5, noise_px=0.4, outliers=0.02, arc=1.6, seed=31),
    WorldSpec(images=5, points=120, noise_px=0.3, arc=1.1, seed=32),
    WorldSpec(images=3, points=29, noise_px=0.2, arc=1.0, seed=33),
)
LONELY = 8  # a photograph of the first world, of which only 20 matches were found


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="session")
def three_worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What mapping needs, of three worlds in one folder: one that grows in several rounds and
    leaves a photograph out, one that is complete at once, and one whose initial pairs all give too
    few points. Their focal length is a guess that no pair has voted on, so that every model has
    three starts.
    """
    folder, store = tmp_path_factory.mktemp("worlds"), MemoryStore()
    inputs = world_products([make_world(spec) for spec in WORLDS], store, folder)
    with ThreadPoolExecutor(2) as pool:
        control = ForegroundControl(store, pool, 2, threading.Event())
        work = VerifyMatches().run(inputs, VerificationConfig(), control)
        while True:
            try:
                next(work)
            except StopIteration as end:
                verified = dict(end.value["geometries"].of_pair)
                break
    near = verified[LONELY - 1, LONELY]
    kept = {pair: geometry for pair, geometry in verified.items() if LONELY not in pair}
    kept[LONELY - 1, LONELY] = replace(near, inliers=near.inliers[:20])
    return {**inputs, "geometries": TwoViewGeometries(kept, inputs["photos"].cameras)}
