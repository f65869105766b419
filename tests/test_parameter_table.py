"""The page of all parameters says what the schema says."""

from __future__ import annotations

from pathlib import Path

from pipeline.parameter_table import parameters_as_markdown
from pipeline.settings import parameters

PAGE = Path(__file__).parents[1] / "docs" / "parameters.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == parameters_as_markdown(), (
        "python -m pipeline.parameter_table > docs/parameters.md"
    )


def test_every_parameter_has_a_row_of_six_cells() -> None:
    lines = parameters_as_markdown().splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("| `")]
    assert len(rows) == len(parameters())
    assert all(row.count("|") == 7 for row in rows)


def test_units_ranges_effects_and_the_bar_in_a_cell_are_there() -> None:
    page = parameters_as_markdown()
    for row in (
        "| `max_error_px` | `4` | px | number, > 0, ≤ 50 | most epipolar or transfer error of an "
        "inlier | stage |",
        "| `minutes` | `null` | min | number, > 0, ≤ 100000, `null` | length",
        "| `next_image` | `visibility` |  | `visibility`, `overlap` |",
        "dense: \\|D\\| threshold",
    ):
        assert row in page
