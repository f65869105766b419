"""What the tests of planar alignment share."""

from __future__ import annotations

import pytest

from pipeline.radiance.planar import race


@pytest.fixture(autouse=True)
def _small_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moments that cost little: a tiny picture, and few pixels to judge by."""
    monkeypatch.setattr(race, "_PICTURE_PX", 24)
    monkeypatch.setattr(race, "_JUDGED_PIXELS", 81)
