"""A run that is killed and started again ends with the model of an undisturbed one."""

from __future__ import annotations

from pathlib import Path

from tests.bench.bench_kill import copy_photos, kill_and_compare

KILLS = 3


def test_three_kills_change_nothing(tmp_path: Path) -> None:
    outcome = kill_and_compare(copy_photos(tmp_path), tmp_path, KILLS)
    assert outcome.kills == KILLS
    assert outcome.identical
