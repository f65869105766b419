"""Items as tensors on a device."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch

from pipeline.dense_products import DepthView
from pipeline.depth.geometric import Estimate
from pipeline.depth.sweep import Picture


def picture_of(view: DepthView, undistorted: Mapping[str, np.ndarray], device: str) -> Picture:
    """The picture that an item `undistorted` holds."""
    grey = cv2.cvtColor(undistorted["rgb"], cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    valid = torch.from_numpy(np.array(undistorted["valid"]))
    return Picture(view, torch.from_numpy(grey).to(device), valid.to(device))


def estimate_of(
    view: DepthView,
    undistorted: Mapping[str, np.ndarray],
    photometric: Mapping[str, np.ndarray],
    device: str,
) -> Estimate:
    """The estimate that items `undistorted` and `photometric` hold."""
    inverse_depth = torch.from_numpy(np.array(photometric["inverse_depth"])).to(device)
    return Estimate(picture_of(view, undistorted, device), inverse_depth)
