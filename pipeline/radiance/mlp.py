"""The published field: a multi-layer perceptron on encoded positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.radiance.encoding import positional_encoding
from pipeline.radiance.field import Field

_SKIP = 4  # the layer that gets the encoded position once more
_RELU_GAIN = 2.0**0.5


@dataclass(frozen=True)
class MlpShape:
    """Size of the network. The defaults are those of NeRF and BARF.

    depth, width: of the layers that see the position alone; the last one gives the density too.
    color_width: of the layer that also sees the direction. bands, view_bands: of the encodings.
    """

    depth: int = 8
    width: int = 256
    color_width: int = 128
    bands: int = 10
    view_bands: int = 4


class MlpField(Field):
    """NeRF's network with BARF's encoding.

    Source: Mildenhall et al., "NeRF", ECCV 2020, figure 7; Lin et al., "BARF", ICCV 2021, section
    4.2 and its code for the start values: Xavier's, softplus for the density.
    """

    def __init__(self, shape: MlpShape, generator: torch.Generator) -> None:
        """generator: on the CPU; draws the start values."""
        super().__init__()
        self.shape = shape
        self.bands = shape.bands
        position = 3 + 6 * shape.bands
        direction = 3 + 6 * shape.view_bands
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        inputs = position
        for layer in range(shape.depth):
            inputs += position if layer == _SKIP else 0
            last = layer == shape.depth - 1
            self._add_layer(inputs, shape.width, 1 if last else 0, generator)
            inputs = shape.width
        self._add_layer(shape.width + direction, shape.color_width, 0, generator)
        self._add_layer(shape.color_width, 0, 3, generator)

    def forward(self, points: Tensor, directions: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """See Field. Directions are encoded with as large a share of their bands as positions."""
        depth = self.shape.depth
        encoded = positional_encoding(points, alpha, self.bands)
        hidden = encoded
        for layer in range(depth):
            if layer == _SKIP:
                hidden = torch.cat([hidden, encoded.to(hidden.dtype)], dim=-1)
            hidden = functional.linear(hidden, self.weights[layer], self.biases[layer])
            if layer < depth - 1:
                hidden = hidden.relu_()
        density = functional.softplus(hidden[:, 0].float())
        view_bands = self.shape.view_bands
        seen_from = positional_encoding(directions, alpha / self.bands * view_bands, view_bands)
        hidden = torch.cat([hidden[:, 1:].relu(), seen_from.to(hidden.dtype)], dim=-1)
        hidden = functional.linear(hidden, self.weights[depth], self.biases[depth]).relu_()
        rgb = functional.linear(hidden, self.weights[depth + 1], self.biases[depth + 1])
        return density, rgb.float().sigmoid()

    def _add_layer(
        self, inputs: int, hidden: int, outputs: int, generator: torch.Generator
    ) -> None:
        """A layer whose first `outputs` rows give results and whose others go through a ReLU."""
        weight = torch.empty(outputs + hidden, inputs)
        for rows, gain in ((weight[:outputs], 1.0), (weight[outputs:], _RELU_GAIN)):
            if len(rows):
                nn.init.xavier_uniform_(rows, gain, generator=generator)
        self.weights.append(nn.Parameter(weight))
        self.biases.append(nn.Parameter(torch.zeros(outputs + hidden)))
