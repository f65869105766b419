"""The panel of radiance: the weights of all bands, also of those that have not begun to enter."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events import Metric
from tests.dashboard.pilot import SIZES, drive, settle, shown, text_of
from tests.dashboard.recorded import app_of, in_radiance


@pytest.mark.parametrize("size", SIZES)
def test_all_bands_have_a_weight(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        run = in_radiance(tmp_path)
        async with shown(app_of(run), size) as pilot:
            assert "5.17 bands" in text_of(pilot) and "█████▁" in text_of(pilot)
            run.tell("radiance", Metric("bands", 8, 0))
            await settle(pilot)
            text = text_of(pilot)
            assert "5.17 of 8" in text and "█████▁··" in text, text

    drive(scenario())
