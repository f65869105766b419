"""The stage `radiance`: a field that learns the photographs and corrects their cameras.

torch is imported when the stage has something to do: to find that it has not takes no time.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from pipeline.config_base import StageConfig
from pipeline.events import Record
from pipeline.radiance_config import RadianceConfig
from pipeline.stage import Control, Inputs, Products

_MAKES = ("radiance", "refined", "field_depth")


class TrainRadiance:
    """Stage `radiance` after `mapping`, whose cameras and points it starts from."""

    name: ClassVar[str] = "radiance"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("photos", "reconstruction")
    makes: ClassVar[tuple[str, ...]] = _MAKES
    Config: ClassVar[type[StageConfig]] = RadianceConfig

    def run(
        self, inputs: Inputs, config: RadianceConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Train a field on the largest model, then say whether its cameras became better."""
        from pipeline.radiance.outcome import mapped_products

        control.poll()
        return (
            yield from mapped_products(inputs["photos"], inputs["reconstruction"], config, control)
        )


class TrainUnposed:
    """Stage `radiance` of a run without poses (`--poses none`): all begin at the identity."""

    name: ClassVar[str] = "radiance"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("photos",)
    makes: ClassVar[tuple[str, ...]] = _MAKES
    Config: ClassVar[type[StageConfig]] = RadianceConfig

    def run(
        self, inputs: Inputs, config: RadianceConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Train a field, and with it the poses of photographs that look one way."""
        from pipeline.radiance.outcome import unposed_products

        control.poll()
        return (yield from unposed_products(inputs["photos"], config, control))
