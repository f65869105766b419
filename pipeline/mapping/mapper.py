"""One model after the other, step by step, each the best of several starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.config import MappingConfig
from pipeline.geometry.arrays import Int64s
from pipeline.geometry.cameras import Camera
from pipeline.mapping.incremental import Growth, grow_model
from pipeline.mapping.refinement import Refinement, refine_model
from pipeline.mapping.state import MapState, Snapshot
from pipeline.mapping.tracks import Tracks
from pipeline.products import TwoViewGeometries


@dataclass(frozen=True, eq=False)
class Scene:
    """What every model is made from. image_cameras: (I,) camera of each image. starts: the
    intrinsics to begin with, one set of them or several to try."""

    tracks: Tracks
    geometries: TwoViewGeometries
    image_cameras: Int64s
    starts: Sequence[Sequence[Camera]]

    def new_state(self, start: int) -> MapState:
        """An empty state that begins with one of the sets of intrinsics."""
        return MapState(self.tracks, self.starts[start], self.image_cameras)


@dataclass(eq=False)
class Model:
    """A model in the making."""

    state: MapState
    growth: Growth


@dataclass
class Notes:
    """What is told of a finished model: which start it began with, per camera what became of its
    principal point, and its images in the order in which they joined; none of a model that goes on
    from a checkpoint without that order."""

    start: int
    principal_points: dict[int, str]
    order: list[int] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class FinishedModel:
    """A refined model, packed: `Mapper.unpacked` gives its state."""

    snapshot: Snapshot
    notes: Notes

    @property
    def registered(self) -> int:
        """Number of its images."""
        return int(self.snapshot["registered"].sum())


class Mapper:
    """Where the mapping is. All of it follows from the scene and what is public here.

    step: steps taken. remaining: images that stand in no model. reasons: why, where one is known.
    current: the model that is being made. best: the largest that was grown from another start.
    done: no further model can be begun.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.step = 0
        self.remaining = set(range(len(scene.image_cameras)))
        self.reasons: dict[int, str] = {}
        self.finished: list[FinishedModel] = []
        self.current: Model | None = None
        self.best: Model | None = None
        self.done = False

    def advance(self, config: MappingConfig) -> bool:
        """Take a step; False, and nothing done, where no step is left.

        A step tries an initial pair, registers a few images and adjusts, or is a phase of the
        refinement. Its longest part is one bundle adjustment, which nothing interrupts.
        """
        model = self.current
        if model is None:
            if not self._can_begin(config):
                return False
            model = self.current = self._begun(0)
        self.step += 1
        state, growth = model.state, model.growth
        if growth.refinement is not None:
            refine_model(state, config, growth.refinement, growth.principal_points)
            if growth.refinement.settled:
                self._finish(model, config)
        elif not grow_model(state, self.scene.geometries, config, growth):
            self._leave(model)
        return True

    @property
    def growing(self) -> bool:
        """Whether the number of registered images tells how far the work is."""
        model = self.current
        return model is not None and model.growth.refinement is None and model.state.size[0] > 0

    def following(self, config: MappingConfig) -> str:
        """What the next step does, in words."""
        if self.growing:
            return "registering photographs"
        if self.current is not None and self.current.growth.refinement is not None:
            return self.current.growth.refinement.following(config)
        if self.current is None and not self._can_begin(config):
            return "finishing models"
        return "looking for an initial pair"

    @property
    def registered(self) -> int:
        """Images in all models so far."""
        current = 0 if self.current is None else len(self.current.state.registered_images)
        return current + sum(model.registered for model in self.finished)

    def unpacked(self, model: FinishedModel) -> MapState:
        """The state of a finished model."""
        state = self.scene.new_state(model.notes.start)
        state.restore(model.snapshot)
        return state

    def _can_begin(self, config: MappingConfig) -> bool:
        """Whether there may be another model."""
        many = len(self.finished) >= config.max_models
        return not (self.done or many or len(self.remaining) < config.min_model_images)

    def _begun(self, start: int) -> Model:
        return Model(self.scene.new_state(start), Growth(set(self.remaining), start))

    def _leave(self, model: Model) -> None:
        """A model grows no more: begin it again from the next start, or refine the largest."""
        if self.best is None or model.state.size > self.best.state.size:
            self.best = model
        if model.growth.start + 1 < len(self.scene.starts):
            self.current = self._begun(model.growth.start + 1)
            return
        self.current, self.best = self.best, None
        if self.current.state.registered.any():
            self.current.growth.refinement = Refinement()
        else:
            self.current, self.done = None, True

    def _finish(self, model: Model, config: MappingConfig) -> None:
        registered = {int(i) for i in model.state.registered_images}
        self.reasons.update(model.growth.reasons)
        self.remaining -= registered
        if len(registered) >= config.min_model_images:
            order = model.growth.order if set(model.growth.order) == registered else []
            notes = Notes(model.growth.start, model.growth.principal_points, order)
            self.finished.append(FinishedModel(model.state.snapshot(), notes))
        else:
            few = f"joins only {len(registered) - 1} other photograph(s)"
            self.reasons.update(dict.fromkeys(registered, few))
        self.current = None
