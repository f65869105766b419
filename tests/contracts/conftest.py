"""Real products of every stage, made once from four small pictures of a textured plane."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.photos.source import PhotoSource
from pipeline.products import MemoryStore
from pipeline.radiance_config import RadianceConfig
from pipeline.runner import ForegroundControl
from pipeline.stages import METHOD

WIDTH, HEIGHT = 320, 240
QUICK = RunConfig(
    radiance=RadianceConfig(steps=3, size_px=16, rays=16, samples=4, holdout=0.0, device="cpu")
)


def write_pictures(folder: Path, count: int = 4) -> None:
    """A random texture seen from slightly different places."""
    noise = np.random.default_rng(0).uniform(0, 255, (60, 80)).astype(np.float32)
    texture = cv2.resize(noise, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    texture = texture.clip(0, 255).astype(np.uint8)
    corners = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    for i in range(count):
        seen = corners * 1.4 + np.array(
            [[i, 0], [9 * i, 3 * i], [5 * i, 0], [0, 8 * i]], np.float32
        )
        picture = cv2.warpPerspective(
            texture, cv2.getPerspectiveTransform(seen.astype(np.float32), corners), (WIDTH, HEIGHT)
        )
        cv2.imwrite(str(folder / f"{i}.png"), picture)


@pytest.fixture(scope="session")
def real_products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every product of the method, by name, and the source that they were made from."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    products: dict[str, Any] = {"source": PhotoSource(folder)}
    with ThreadPoolExecutor(2) as executor:
        control = ForegroundControl(MemoryStore(), executor, 2, threading.Event())
        for entry in METHOD:
            stage = entry.load()
            inputs = {name: products[name] for name in stage.needs}
            work = stage.run(inputs, getattr(QUICK, stage.name), control)
            while True:
                try:
                    next(work)
                except StopIteration as end:
                    products.update(end.value)
                    break
    return products
