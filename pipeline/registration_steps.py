"""When the points of a model came: by the order in which mapping has registered its photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.geometry.arrays import Int64s
from pipeline.products import SparseModel, Verdict


def steps_of(model: SparseModel, verdicts: Sequence[Verdict]) -> Int64s | None:
    """(J,) the place of the second photograph of each point's track, in the order of registration:
    before that one no two rays crossed. None where no order is known.

    model: the largest of mapping, with its own cameras or with refined ones. Photographs that
    joined it later on come after all others.
    """
    place_of = {v.image: v.place for v in verdicts if v.model == 0 and v.place is not None}
    if not place_of:
        return None
    last = len(model.images) - 1
    places = np.full(max(model.images, default=0) + 1, last)
    for i, image in model.images.items():
        places[i] = place_of.get(image.name, last)
    points = model.points
    lengths = np.diff(points.track_starts)
    rows = np.repeat(np.arange(len(points)), lengths)
    order = np.lexsort((places[points.track_images], rows))
    second = points.track_starts[:-1] + np.minimum(1, lengths - 1)
    found: Int64s = places[points.track_images[order[second]]]
    return found
