"""What to try, in words, for each way in which a run can fall short."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.report import advice, compose_report

FINE: dict[str, Any] = {
    "complete": True, "images": 5, "registered": 5, "models": 1, "refused": 0,
    "config": RunConfig().model_dump(), "verdicts": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, []),
        ({"complete": False}, ["--until"]),
        ({"registered": 3}, ["2 photographs are in no model", "preview_keypoints=0"]),
        ({"registered": 5, "models": 2}, ["fell into 2 models", "preview_keypoints=0"]),
        ({"registered": 0, "models": 0}, ["No model", "preview_keypoints=0"]),
        (
            {"registered": 0, "models": 0, "verdicts": [{"reason": "dark", "model": None}]},
            ["1 photographs: dark.", "No model", "preview_keypoints=0"],
        ),
        ({"refused": 2}, ["2 files were not read"]),
    ],
)
def test_advice(changed: dict[str, Any], words: list[str]) -> None:
    tips = advice({**FINE, **changed})
    assert len(tips) == len(words)
    assert all(word in tip for word, tip in zip(words, tips, strict=True))


def test_a_report_without_a_reconstruction_has_zeros() -> None:
    report = compose_report([], RunConfig(), None, None)
    assert report["images"] == report["registered"] == report["points"] == 0
    assert report["reprojection_error_px"] == 0.0 and not report["complete"]
