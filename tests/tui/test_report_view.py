"""What reports and `barfield compare` say of stages, depth maps and meshes."""

from __future__ import annotations

import json

import pytest

from pipeline.comparison import Comparison
from pipeline.depth_errors import DepthErrors
from pipeline.mesh_errors import MeshErrors
from tui.report_view import cloud_lines, errors_in_short, outcome, show_comparison, stage_table

CAMERAS = Comparison(4, 4, 0.001, 0.002, 0.0005, 0.01, 0.02, model="sparse/0")


def shown(comparison: Comparison, capsys: pytest.CaptureFixture[str]) -> str:
    show_comparison(comparison)
    return " ".join(capsys.readouterr().out.split())


def with_surfaces(**surfaces: DepthErrors | MeshErrors) -> Comparison:
    return Comparison(**{**vars(CAMERAS), **surfaces})


def test_errors_of_surfaces_are_told_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    depth = DepthErrors(35, 36, 0.0031, 0.0017, 0.8123, 0.05)
    comparison = with_surfaces(depth=depth, mesh=MeshErrors(0.0023, 0.002, 0.0011, 0.934))
    text = shown(comparison, capsys)
    for words in (
        "depth: 35 of 36 photographs; median error 0.170% of the true depth where known, 0.310% of",
        "81.2% of the pixels right within 1 %, 5.0% unknown",
        "mesh: 0.0023 from the true surface on average, 0.200% of the scene size (median 0.110%)",
        "93.4% of the true surface found within 1 %",
    ):
        assert words in text
    assert "draft" not in text
    data = json.loads(json.dumps(comparison.to_json()))
    assert list(data)[7:] == ["photos", "reason", "model", "depth", "mesh", "draft"]
    assert (data["depth"]["photographs"], data["depth"]["median_relative"]) == (35, 0.0031)
    assert data["mesh"]["within_1_percent"] == 0.934 and data["draft"] is None


def test_reasons_take_the_place_of_errors(capsys: pytest.CaptureFixture[str]) -> None:
    depth = DepthErrors(0, 36, reason="the run has no depth: too few photographs")
    text = shown(with_surfaces(depth=depth, draft=MeshErrors(reason="nothing is seen")), capsys)
    assert "depth: the run has no depth: too few photographs" in text
    assert "draft: nothing is seen" in text
    mostly_unknown = DepthErrors(3, 3, None, 0.002, 0.3, 0.6)
    assert "more than half unknown" in shown(with_surfaces(depth=mostly_unknown), capsys)
    assert "depth" not in shown(CAMERAS, capsys)


def test_errors_fit_into_a_short_line_each() -> None:
    depth = DepthErrors(35, 36, 0.0031, 0.0017, 0.8123, 0.05)
    comparison = with_surfaces(
        depth=depth, mesh=MeshErrors(0.0023, 0.002, 0.0011, 0.934), draft=MeshErrors(reason="none")
    )
    assert errors_in_short(comparison) == [
        ("positions", "0.050% of the scene size off, at most 0.100%"),
        ("rotations", "0.010 degrees off, at most 0.020"),
        ("depth maps", "0.17% of the depth off (median), 81% of pixels within 1 %"),
        ("mesh", "0.20% of the scene size off, 93% of the surface within 1 %"),
        ("quick mesh", "none"),
    ]
    lost = Comparison(2, 4, None, None, None, None, None, reason="two photographs only")
    assert errors_in_short(lost) == [("cameras", "not compared: two photographs only")]
    assert len(errors_in_short(CAMERAS)) == 2


def test_the_outcome_tells_of_surfaces_and_why_there_are_none() -> None:
    depth = {"photographs": 36, "share_with_depth": 0.916}
    report = {"seconds": {"depth": 1.0, "mesh": 1.0}, "stages": {
        "depth": depth, "mesh": {"triangles": 500, "points": 400},
    }}  # fmt: skip
    assert outcome(report) == [
        "depth maps of 36 photographs, 92% of their pixels",
        "mesh of 500 triangles, from a cloud of 400 points",
    ]
    report["stages"] = {"depth": {"photographs": 0, "reason": "a"}, "mesh": {"reason": "b"}}
    assert outcome(report) == ["no depth maps: a", "no mesh: b"]


def test_clouds_tell_what_the_filter_did_where_it_did_something() -> None:
    sparse = {"name": "sparse", "before": 9, "after": 7, "strays": 2, "seconds": 0.51, "note": "a"}
    dense = {**sparse, "name": "dense", "after": 9, "strays": 0, "note": ""}
    assert cloud_lines([sparse, dense]) == [
        "cloud sparse: 9 points, 7 without 2 strays in 0.5 s; a",
        "cloud dense: 9 points in 0.5 s",
    ]


def test_a_stage_tells_what_it_found_and_nothing_that_is_empty() -> None:
    facts = {"state": "done", "steps": 12, "psnr": 24.7811, "refined": False, "reason": "", "r": {}}
    report = {"seconds": {"radiance": 3.21}, "stages": {"radiance": facts}}
    found = [list(column.cells) for column in stage_table(report).columns]
    assert [str(cells[0]) for cells in found] == [
        "radiance", "3.2", "steps 12, psnr 24.78, refined false",
    ]  # fmt: skip
