"""Planar BARF: a network learns the image, and its gradients move the patches.

Source: Lin et al., "BARF: Bundle-Adjusting Neural Radiance Fields", ICCV 2021, section 4.1, with
the settings that were published beside it: four hidden layers of 256, eight bands, Adam with the
same rate for network and warps, bands that open over the first 40 % of the steps.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.planar_config import PlanarConfig
from pipeline.radiance.encoding import alpha_at, positional_encoding
from pipeline.radiance.planar.homographies import DIMENSIONS, homographies, warped
from pipeline.radiance.planar.patches import Patches

_WIDTH = 256
_HIDDEN_LAYERS = 4
_BANDS = 8
_C2F_END = 0.4

Encoding = Literal["barf", "full", "none"]


class ImageNetwork(nn.Module):
    """Colours by position: a multi-layer perceptron on encoded coordinates.

    bands: of the encoding, 0 for none. gradual: they open one after the other, so that the first
    layer sees two inputs at first, and is scaled for those.
    """

    def __init__(self, bands: int, gradual: bool, generator: torch.Generator) -> None:
        """generator: on the CPU; draws the start values, as torch's linear layers have them."""
        super().__init__()
        self.bands = bands
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        inputs = 2 + 4 * bands
        scale = math.sqrt(inputs / 2) if gradual else 1.0
        for outputs in [_WIDTH] * _HIDDEN_LAYERS + [3]:
            bound = scale / math.sqrt(inputs)
            for values, shape in (
                (self.weights, (outputs, inputs)),
                (self.biases, (outputs,)),
            ):
                drawn = torch.rand(shape, generator=generator) * 2 - 1
                values.append(nn.Parameter(drawn * bound))
            inputs, scale = outputs, 1.0

    def forward(self, points: Tensor, alpha: float) -> Tensor:
        """Colours (..., 3) in [0, 1] at points (..., 2); alpha: bands that are open."""
        hidden = positional_encoding(points, alpha, self.bands) if self.bands else points
        last = len(self.weights) - 1
        for layer in range(last):
            hidden = functional.linear(hidden, self.weights[layer], self.biases[layer]).relu_()
        return functional.linear(hidden, self.weights[last], self.biases[last]).sigmoid()


class NetworkAlignment:
    """An `Alignment` by a network: `barf`, or one of its two controls."""

    def __init__(
        self, encoding: Encoding, patches: Patches, config: PlanarConfig, steps: int
    ) -> None:
        self.steps = steps
        self.done = 0
        self._encoding = encoding
        self._patches = patches
        self._pixels = max(1, config.pixels // patches.count)
        self._generator = torch.Generator().manual_seed(config.seed)
        device = patches.points.device
        bands = 0 if encoding == "none" else _BANDS
        network = ImageNetwork(bands, encoding == "barf", self._generator)
        self._network = network.to(device)
        # The first patch holds the frame: it has no warp to learn.
        self._moves = nn.Parameter(torch.zeros(patches.count - 1, DIMENSIONS, device=device))
        self._optimizer = torch.optim.Adam(
            [
                {"params": list(self._network.parameters()), "lr": config.network_rate},
                {"params": [self._moves], "lr": config.warp_rate},
            ]
        )

    @property
    def warps(self) -> Tensor:
        """(N, 8) in sl(3)."""
        return self._all_warps().detach()

    @property
    def alpha(self) -> float:
        """How many bands are open."""
        if self._encoding == "barf":
            return alpha_at(self.done / self.steps, 0.0, _C2F_END, _BANDS, 0.0)
        return float(_BANDS)

    def change(self, config: PlanarConfig) -> None:
        """Take other learning rates."""
        for group, rate in zip(
            self._optimizer.param_groups, (config.network_rate, config.warp_rate), strict=True
        ):
            group["lr"] = rate

    def step(self) -> None:
        """One step of Adam on as many random pixels of every patch."""
        count = self._patches.count
        drawn = torch.randint(
            len(self._patches.points), (count, self._pixels), generator=self._generator
        ).to(self._patches.points.device)
        truth = self._patches.colours.flatten(1, 2).gather(1, drawn[..., None].expand(-1, -1, 3))
        places = warped(homographies(self._all_warps()), self._patches.points[drawn])
        loss = (self._network(places, self.alpha) - truth).square().mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.done += 1

    def colours(self, points: Tensor) -> Tensor:
        """What the network says."""
        learned: Tensor = self._network(points, self.alpha)
        return learned

    def arrays(self) -> dict[str, np.ndarray]:
        """Network, warps, both moments of Adam, and the random state."""
        arrays = {f"parameter/{i}": _array(p) for i, p in enumerate(self._parameters())}
        for i, parameter in enumerate(self._parameters()):
            for name, value in self._optimizer.state.get(parameter, {}).items():
                arrays[f"{name}/{i}"] = _array(value)
        return {**arrays, "random": self._generator.get_state().numpy()}

    def restore(self, arrays: dict[str, np.ndarray], done: int) -> None:
        """Inverse of `arrays`."""
        state: dict[int, dict[str, Any]] = {}
        for i, parameter in enumerate(self._parameters()):
            with torch.no_grad():
                parameter.copy_(torch.tensor(arrays[f"parameter/{i}"]))
            names = [name for name in ("step", "exp_avg", "exp_avg_sq") if f"{name}/{i}" in arrays]
            if names:
                state[i] = {name: torch.tensor(arrays[f"{name}/{i}"]) for name in names}
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._generator.set_state(torch.tensor(arrays["random"]))
        self.done = done

    def _parameters(self) -> list[nn.Parameter]:
        return [*self._network.parameters(), self._moves]

    def _all_warps(self) -> Tensor:
        return torch.cat([torch.zeros_like(self._moves[:1]), self._moves])


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.detach().cpu().numpy()).copy()
