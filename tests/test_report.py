"""What to try, in words, for each way in which a run can fall short."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.report import advice, compose_report
from pipeline.runner import StageOutcome

FINE: dict[str, Any] = {
    "complete": True, "images": 5, "registered": 5, "models": 1, "refused": 0,
    "config": RunConfig().model_dump(), "verdicts": [], "seconds": {"mapping": 1.0},
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


def test_a_run_without_mapping_is_told_nothing_of_models() -> None:
    unposed = {**FINE, "seconds": {"ingest": 1.0, "radiance": 2.0}, "models": 0, "registered": 4}
    assert advice(unposed) == []
    outcome = StageOutcome("radiance", "done", 2.0, {"registered": 4})
    report = compose_report([outcome], RunConfig(), None, None, complete=True)
    assert report["registered"] == 4 and report["models"] == 0 and report["complete"]


def test_a_report_without_a_reconstruction_has_zeros() -> None:
    report = compose_report([], RunConfig(), None, None, complete=False)
    assert report["images"] == report["registered"] == report["points"] == 0
    assert report["reprojection_error_px"] == 0.0 and not report["complete"]
