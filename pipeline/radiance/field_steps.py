"""Adam for all that is learned beside the poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from pipeline.radiance.field import Field
from pipeline.radiance.model import RadianceModel
from pipeline.radiance.pose_steps import load_tensors


@dataclass(frozen=True, eq=False)
class _Learned:
    """A parameter with Adam's memory of it. focal: it learns at the rate of the poses."""

    parameter: nn.Parameter
    factor: float
    focal: bool
    mean: Tensor
    square: Tensor
    count: Tensor


class FieldSteps:
    """Steps of the fields, exposures and background, and of the focal lengths where they are
    refined, by Adam (Kingma and Ba, ICLR 2015)."""

    def __init__(self, model: RadianceModel, refine_focal: bool) -> None:
        self._learned: list[_Learned] = []
        for field in model.fields:
            assert isinstance(field, Field)
            for parameters, factor in field.parameter_groups():
                for parameter in parameters:
                    self._add(parameter, factor)
        if model.shape.exposure:
            self._add(model.exposure_logs)
        if model.setup.background == "learned":
            self._add(model.background_logits)
        if refine_focal:
            self._add(model.cameras.focal_logs, focal=True)

    def clear(self) -> None:
        """Forget the gradients."""
        for learned in self._learned:
            learned.parameter.grad = None

    @torch.no_grad()
    def step(self, field_rate: float, focal_rate: float) -> None:
        """Move along the gradients of all parameters that have one."""
        rates: dict[float, list[_Learned]] = {}
        for learned in self._learned:
            if learned.parameter.grad is not None:
                rate = focal_rate if learned.focal else field_rate * learned.factor
                rates.setdefault(rate, []).append(learned)
        for rate, group in rates.items():
            # The function, since to make torch's optimiser object costs two seconds of imports.
            adam(
                [learned.parameter for learned in group],
                [g for learned in group if (g := learned.parameter.grad) is not None],
                [learned.mean for learned in group],
                [learned.square for learned in group],
                [],
                [learned.count for learned in group],
                fused=True,
                amsgrad=False,
                maximize=False,
                beta1=0.9,
                beta2=0.999,
                eps=1e-8,
                weight_decay=0.0,
                lr=rate,
            )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Its state, for a checkpoint."""
        return {name: value.cpu().numpy().copy() for name, value in self._state().items()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of :meth:`to_arrays`. Raises ValueError for arrays of another model."""
        load_tensors(self._state(), arrays)

    def _add(self, parameter: nn.Parameter, factor: float = 1.0, focal: bool = False) -> None:
        value = parameter.detach()
        mean, square = torch.zeros_like(value), torch.zeros_like(value)
        count = torch.zeros((), device=value.device)
        self._learned.append(_Learned(parameter, factor, focal, mean, square, count))

    def _state(self) -> dict[str, Tensor]:
        return {
            f"{number}.{name}": getattr(learned, name)
            for number, learned in enumerate(self._learned)
            for name in ("mean", "square", "count")
        }
