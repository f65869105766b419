"""Trainers that are small enough for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from pipeline.radiance import training
from pipeline.radiance.fields import FieldShape
from pipeline.radiance.mlp import MlpShape
from pipeline.radiance.problem import Problem
from pipeline.radiance.settings import Settings, resolve
from pipeline.radiance.training import Trainer
from pipeline.radiance_config import RadianceConfig

CPU = torch.device("cpu")
SMALL = MlpShape(depth=3, width=32, color_width=16, bands=4, view_bands=1)
TINY = MlpShape(depth=2, width=8, color_width=4, bands=2, view_bands=1)


def no_warning(message: str) -> None:
    """For trainers that have nothing to tell."""
    raise AssertionError(message)


def use_field(monkeypatch: pytest.MonkeyPatch, shape: FieldShape, **others: Any) -> None:
    """Let every trainer of a test have a field of this shape, and these other settings."""

    def small(config: RadianceConfig, device: torch.device, problem: Problem) -> Settings:
        return replace(resolve(config, device, problem), field=shape, **others)

    monkeypatch.setattr(training, "resolve", small)


def config_of(**values: Any) -> RadianceConfig:
    """The published method with few rays and samples."""
    few = {"preset": "barf", "rays": 160, "samples": 24, "field_rate": 1e-2, "field_rate_end": 2e-3}
    return RadianceConfig.model_validate({**few, **values})


def trainer_of(
    problem: Problem, config: RadianceConfig, warn: Callable[[str], None] = no_warning
) -> Trainer:
    """A trainer on the CPU."""
    return Trainer(problem, config, CPU, warn)
