"""A radiance field with all that rendering needs, in memory and as plain arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.radiance.cameras import RayCameras
from pipeline.radiance.contraction import Contraction
from pipeline.radiance.field import Field
from pipeline.radiance.fields import FieldShape, make_field, shape_from_json, shape_to_json
from pipeline.radiance.perspective import Perspective
from pipeline.radiance.rendering import Rays, Rendered, composite, sample_weights, stratified_shares
from pipeline.radiance.sampling import importance_shares, widened
from pipeline.radiance.setup import Setup
from pipeline.torch_devices import bfloat16_pays

_FORMAT = 2
_DATA = "model.json"  # an array that holds the plain data as text


@dataclass(frozen=True)
class ModelShape:
    """What a model is built like.

    field: of each network. samples: on a ray. fine_samples: more, where the first field found
    something, for a second field; 0: there is no second one. exposure: whether photographs have
    gains of their own. looks: places on a ray that tell where it was dense when the field was last
    refreshed, and `samples` are drawn there; 0: they are spread evenly.
    """

    field: FieldShape
    samples: int
    fine_samples: int = 0
    exposure: bool = False
    looks: int = 0


class RadianceModel(nn.Module):
    """One field or two (coarse and fine), the cameras, exposures and background.

    alpha: bands that are open, as training left them. Everything lies in the field's frame; see
    `setup.field_from_world`.
    """

    def __init__(
        self, setup: Setup, shape: ModelShape, device: torch.device, generator: torch.Generator
    ) -> None:
        """generator: on the CPU; draws the start values."""
        super().__init__()
        self.setup = setup
        self.shape = shape
        self.device = device
        self.cameras = RayCameras(setup.poses, setup.cameras, setup.camera_of_image)
        box = torch.tensor(setup.box, dtype=torch.float32)
        self.contraction: Perspective | Contraction = (
            Perspective(box) if setup.looks_one_way else Contraction(box)
        )
        reach = box if setup.bounded else self.contraction.reach
        count = 2 if shape.fine_samples else 1
        self.fields = nn.ModuleList(
            make_field(shape.field, reach, setup.bounded, generator) for _ in range(count)
        )
        self.exposure_logs = nn.Parameter(torch.zeros(len(setup.names), 3))
        self.background_logits = nn.Parameter(torch.zeros(3))
        self.alpha = 0.0
        self.bands = self._field(-1).bands
        self._mixed = bfloat16_pays(device)
        self.to(device)

    def render(
        self,
        rays: Rays,
        images: Tensor | None,
        alpha: float,
        generator: torch.Generator | None = None,
    ) -> Rendered:
        """What rays (N) see, in one piece: memory grows with N.

        images: (N,) training views whose exposure applies; None: the mean exposure. alpha: bands
        that are open; `self.alpha` for a trained model. generator: on the model's device, jitters
        the samples; None: always the same ones.
        """
        return self.passes(rays, images, alpha, generator)[-1]

    def passes(
        self,
        rays: Rays,
        images: Tensor | None,
        alpha: float,
        generator: torch.Generator | None = None,
    ) -> tuple[Rendered, ...]:
        """As `render`, but what each of the fields makes of the rays, the coarse one first."""
        shares = self._shares(rays, alpha, generator)
        passes = [self._pass(self._field(0), rays, shares, alpha)]
        if self.shape.fine_samples:
            more = importance_shares(shares, passes[0].weights, self.shape.fine_samples, generator)
            shares = torch.cat([shares, more], dim=-1).sort(dim=-1).values
            passes.append(self._pass(self._field(1), rays, shares, alpha))
        if images is None or not self.shape.exposure:
            return tuple(passes)
        gains = self.gains().index_select(0, images)
        return tuple(found._replace(rgb=found.rgb * gains) for found in passes)

    def gains(self) -> Tensor:
        """Exposure of each training view as factors (I, 3) per channel, about 1 in the mean: what
        all photographs have in common belongs to the field."""
        return (self.exposure_logs - self.exposure_logs.mean(dim=0)).exp()

    def background(self) -> Tensor | None:
        """Colour (3,) behind everything; None: nothing is there."""
        match self.setup.background:
            case "white":
                return torch.ones(3, device=self.device)
            case "black":
                return torch.zeros(3, device=self.device)
            case "learned":
                return self.background_logits.sigmoid()
            case "none":
                return None

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays, plain data as JSON among them."""
        shape = {
            "field": shape_to_json(self.shape.field),
            "samples": self.shape.samples,
            "fine_samples": self.shape.fine_samples,
            "exposure": self.shape.exposure,
            "looks": self.shape.looks,
        }
        data = {
            "format": _FORMAT,
            "setup": self.setup.to_json(),
            "shape": shape,
            "alpha": self.alpha,
        }
        arrays = {name: _copied(value) for name, value in self.state_dict().items()}
        return {**arrays, _DATA: np.frombuffer(json.dumps(data).encode(), np.uint8)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], device: torch.device) -> RadianceModel:
        """Inverse of :meth:`to_arrays`; renders the same bits on the same device.

        Raises ValueError naming what is missing, of another version or shape, or not finite.
        """
        if _DATA not in arrays:
            raise ValueError(f"it has no {_DATA}")
        try:
            data: dict[str, Any] = json.loads(arrays[_DATA].tobytes())
            if data["format"] != _FORMAT:
                raise ValueError(f"it is of version {data['format']}, not {_FORMAT}")
            setup = Setup.from_json(data["setup"])
            entries = data["shape"]
            shape = ModelShape(**{**entries, "field": shape_from_json(entries["field"])})
            model = RadianceModel(setup, shape, device, torch.Generator())
            model.alpha = float(data["alpha"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its {_DATA} lacks {error}") from error
        model.load_values(arrays)
        return model

    def load_values(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what was learned, from arrays of `to_arrays` of a model that is built alike.

        Raises ValueError naming an array that is missing, too many, of another shape or type, or
        not finite; then nothing has changed.
        """
        own = self.state_dict()
        if others := (own.keys() | {_DATA}) ^ arrays.keys():
            names = ", ".join(sorted(others))
            raise ValueError(f"it has too many or too few arrays: {names}")
        for name, value in own.items():
            array = arrays[name]
            if array.shape != tuple(value.shape) or array.dtype != _copied(value).dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not {tuple(value.shape)}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} has values that are not finite")
        self.load_state_dict({name: torch.from_numpy(arrays[name].copy()) for name in own})

    @property
    def field(self) -> Field:
        """The field that is rendered in the end."""
        return self._field(-1)

    def _field(self, number: int) -> Field:
        field = self.fields[number]
        assert isinstance(field, Field)
        return field

    def _pass(self, field: Field, rays: Rays, shares: Tensor, alpha: float) -> Rendered:
        depths, ends = self._depths(rays, shares)
        points = rays.origins[:, None] + rays.directions[:, None] * depths[..., None]
        lengths = rays.directions.norm(dim=-1)
        unit = (rays.directions / lengths[:, None])[:, None].expand_as(points)
        density, rgb = self._query(field, points.reshape(-1, 3), unit.reshape(-1, 3), alpha)
        shape = shares.shape
        return composite(
            density.view(shape), rgb.view(*shape, 3), depths, lengths, self.background(), ends
        )

    def _shares(self, rays: Rays, alpha: float, generator: torch.Generator | None) -> Tensor:
        """Shares (N, S) of the depth range, ascending, where the first field is asked."""
        count, field = len(rays.origins), self._field(0)
        if not self.shape.looks:
            samples = max(round(field.sample_share(alpha) * self.shape.samples), 2)
            return stratified_shares(count, samples, self.device, generator)
        with torch.no_grad():
            shares = stratified_shares(count, self.shape.looks, self.device, generator)
            depths, ends = self._depths(rays, shares)
            points = rays.origins[:, None] + rays.directions[:, None] * depths[..., None]
            density = self._recent_density(field, points.flatten(0, 1)).view_as(shares)
            lengths = rays.directions.norm(dim=-1)
            weights = sample_weights(density, depths, lengths, ends)
            return importance_shares(shares, widened(weights), self.shape.samples, generator)

    def _depths(self, rays: Rays, shares: Tensor) -> tuple[Tensor, Tensor | None]:
        """Depths (N, S) of shares, and (N,) where the last sample's interval ends; None: nowhere.

        In a bounded scene, rays are sampled within the box alone.
        """
        depths = self.setup.depth_range
        if not self.setup.bounded or isinstance(self.contraction, Perspective):
            return depths.at(shares), None
        with torch.no_grad():
            enters, leaves = self.contraction.crossings(rays, depths)
        low, high = depths.share_of(enters), depths.share_of(leaves)
        return depths.at(low[:, None] + (high - low)[:, None] * shares), leaves

    def _query(
        self, field: Field, points: Tensor, directions: Tensor, alpha: float
    ) -> tuple[Tensor, Tensor]:
        """Densities (N,) and colours (N, 3); nothing is there where the field does not reach."""
        if isinstance(self.contraction, Perspective):
            density, rgb = self._evaluate(field, self.contraction(points), directions, alpha)
            # Density is one per unit of nearness, of which one unit of depth is that much.
            return density * self.contraction.nearness(points).squeeze(-1).square(), rgb
        if not self.setup.bounded:
            return self._evaluate(field, self.contraction(points), directions, alpha)
        kept = self.contraction.inside(points).nonzero().squeeze(-1)
        # Unlike that of indexing, the derivative of index_select sorts nothing on a GPU.
        within, seen_from = points.index_select(0, kept), directions.index_select(0, kept)
        found = self._evaluate(field, within, seen_from, alpha)
        density, rgb = points.new_zeros(len(points)), points.new_zeros(len(points), 3)
        return density.index_copy(0, kept, found[0]), rgb.index_copy(0, kept, found[1])

    def _recent_density(self, field: Field, points: Tensor) -> Tensor:
        """As `_query`, of the density that the field remembers."""
        density = field.recent_density(self.contraction(points))
        if isinstance(self.contraction, Perspective):
            return density * self.contraction.nearness(points).squeeze(-1).square()
        return density * self.contraction.inside(points) if self.setup.bounded else density

    def _evaluate(
        self, field: Field, points: Tensor, directions: Tensor, alpha: float
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._mixed):
            density, rgb = field(points, directions, alpha)
        return density.float(), rgb.float()


def _copied(value: Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().copy()
