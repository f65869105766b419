"""A run directory in which mapping is done, without anything before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.codecs import save_product
from pipeline.geometry.cameras import Camera
from pipeline.manifest import Ingredients, StageEntry
from pipeline.products import Photo, PhotoIndex, Reconstruction, SparseModel, Verdict
from pipeline.version import VERSION
from pipeline.workspace import Workspace


def write_mapped_run(root: Path, model: SparseModel, seed: int = 0) -> None:
    """A run that holds the model and the index of its photographs. seed: of mapping, so that
    another one is another run of it."""
    names = sorted(image.name for image in model.images.values())
    photos = tuple(Photo(name, root / name, 0, 1000, 750, name) for name in names)
    camera = Camera("SIMPLE_PINHOLE", 1000, 750, np.array([800.0, 500.0, 375.0]))
    verdicts = tuple(Verdict(name, True, "registered", 0) for name in names)
    with Workspace(root, VERSION) as workspace:
        save_product("photos", PhotoIndex(photos, (camera,)), root)
        ingredients = Ingredients("mapping", 1, {"seed": seed}, {}, {})
        workspace.save(
            StageEntry(ingredients, 1.0, {}), {"reconstruction": Reconstruction((model,), verdicts)}
        )
