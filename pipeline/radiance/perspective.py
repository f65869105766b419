"""Space before cameras that all look one way, as a box: directions, and nearness."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MARGIN = 1.3  # cameras that turn and move see more than the first one did
_NEARER = 1.5  # times the nearness of the box; what comes closer stays at its side


class Perspective(nn.Module):
    """Maps points before the origin to (x / z, y / z, 1 / z): equal steps are what equal steps in
    the photographs are, and infinity is a side of the box.

    Source: the normalised device coordinates of Mildenhall et al., "NeRF", ECCV 2020, appendix C,
    without their scaling. For frames of `frame_of_unknown`.
    """

    reach: Tensor  # (2, 3) corners of the box that all mapped points lie in

    def __init__(self, box: Tensor) -> None:
        """box: (2, 3), before the origin, as wide as what is seen at its far side."""
        super().__init__()
        near, far = float(box[0, 2]), float(box[1, 2])
        wide = _MARGIN * box[:, :2] / far
        nearness = box.new_tensor([[0.0], [_NEARER / near]])
        self.register_buffer("reach", torch.cat([wide, nearness], dim=-1), persistent=False)

    def forward(self, points: Tensor) -> Tensor:
        """Mapped points, (N, 3) to (N, 3)."""
        nearness = self.nearness(points)
        mapped = torch.cat([points[:, :2] * nearness, nearness], dim=-1)
        return torch.maximum(torch.minimum(mapped, self.reach[1]), self.reach[0])

    def nearness(self, points: Tensor) -> Tensor:
        """1 / z (N, 1) of points (N, 3), at most the largest in reach, for those behind too."""
        return 1.0 / points[:, 2:].clamp(min=1.0 / float(self.reach[1, 2]))
