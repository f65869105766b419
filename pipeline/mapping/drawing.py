"""What people see of a model while it is made. Only looks at the state: nothing follows from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.geometry.arrays import Float64s, Int64s
from pipeline.mapping import structure
from pipeline.mapping.mapper import Model
from pipeline.mapping.state import MapState
from pipeline.sketches import MOST_NAMES, MOST_PLACES, Bars, MappingSketch, Place

Reasons = Mapping[int, str]
_LATEST = 12
_SAMPLE = 10_000  # observations
_ERROR_PARTS = 40
_LONGEST = 20  # photographs that see a point; longer tracks count with it
_DIGITS = 5


class ModelDrawing:
    """Sketches of the model that grows. names: of all photographs."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._registered: set[int] = set()
        self._latest: deque[int] = deque(maxlen=_LATEST)

    def of_model(self, model: Model, most_error_px: float, before: Reasons) -> MappingSketch:
        """A model in the making. before: reasons from the models before it, by index."""
        return self.of_state(model.state, most_error_px, {**before, **model.growth.reasons})

    def of_state(self, state: MapState, most_error_px: float, reasons: Reasons) -> MappingSketch:
        """A model as it is. most_error_px: where the histogram of errors ends. reasons: why images
        are not registered, by index."""
        images = state.registered_images
        self._note(images)
        obs = np.flatnonzero(state.sees_point())
        waiting = sorted(set(reasons) - self._registered)[:MOST_NAMES]
        return MappingSketch(
            registered=len(images),
            photographs=len(self._names),
            centers=_places(state.centers()[images]),
            points=_places(_some(state.points[state.has_point], MOST_PLACES)),
            down=_down(state.rotations[images]),
            errors_px=_error_bars(state, _some(obs, _SAMPLE), most_error_px),
            track_lengths=_track_lengths(state, obs),
            latest=tuple(self._names[i] for i in self._latest),
            waiting=tuple((self._names[i], reasons[i]) for i in waiting),
        )

    def _note(self, images: Int64s) -> None:
        """Remember which images are new; another model, or another start, begins anew."""
        now = set(images.tolist())
        if not self._registered <= now:
            self._latest.clear()
            self._registered.clear()
        self._latest.extendleft(sorted(now - self._registered))
        self._registered = now


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly: without drawing lots, which others depend on."""
    return rows[:: max(1, -(-len(rows) // most))]


def _places(rows: Float64s) -> tuple[Place, ...]:
    """At most MOST_PLACES of the (N, 3), without those at infinity, in few digits."""
    rows = _some(rows[np.isfinite(rows).all(axis=1)], MOST_PLACES)
    extent = float(np.abs(rows).max(initial=0.0))
    if not 0.0 < extent < 1e100:
        return tuple((0.0, 0.0, 0.0) for _ in rows)
    # Points near infinity must not take the digits of the others.
    typical = float(np.median(np.abs(rows))) or extent
    digits = _DIGITS - 1 - int(np.floor(np.log10(typical)))
    return tuple((x, y, z) for x, y, z in np.round(rows, digits).tolist())


def _down(rotations: Float64s) -> Place:
    """The mean of the cameras' y axes in the world; (0, 1, 0) where they tell none."""
    mean = rotations[:, 1].sum(axis=0)
    length = float(np.linalg.norm(mean))
    if not length > 1e-6:
        return 0.0, 1.0, 0.0
    x, y, z = np.round(mean / length, _DIGITS).tolist()
    return x, y, z


def _error_bars(state: MapState, obs: Int64s, most_px: float) -> Bars:
    errors = state.errors_px(obs)
    counts, _ = np.histogram(errors[errors <= most_px], _ERROR_PARTS, (0.0, most_px))
    counts[-1] += np.count_nonzero(errors > most_px)
    return Bars(low=0.0, high=most_px, counts=tuple(counts.tolist()))


def _track_lengths(state: MapState, obs: Int64s) -> tuple[int, ...]:
    """How many points are seen by 2, 3, ... _LONGEST or more images."""
    points = state.tracks.obs_tracks[obs] * structure.SLOTS + state.obs_slot[obs]
    seen_by = np.minimum(np.bincount(points), _LONGEST)
    return tuple(np.bincount(seen_by, minlength=_LONGEST + 1)[2:].tolist())
