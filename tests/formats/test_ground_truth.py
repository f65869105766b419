"""ground_truth.json: conventions, the size of the photographs, and malformed entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.ground_truth import read_ground_truth
from pipeline.geometry.poses import rotation_from_rotvec

K = [[600.0, 0.0, 321.0], [0.0, 600.0, 239.0], [0.0, 0.0, 1.0]]


def write(folder: Path, content: Any) -> Path:
    path = folder / "ground_truth.json"
    path.write_text(json.dumps(content))
    return path


def entry(**changes: Any) -> dict[str, Any]:
    return {"K": K, "R_c2w": np.eye(3).tolist(), "center": [1.0, 2.0, 3.0], **changes}


def test_poses_and_intrinsics(tmp_path: Path) -> None:
    rotation = rotation_from_rotvec(np.array([0.3, -0.2, 0.5]))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (640, 480)).save(tmp_path / "images" / "a.jpg")
    rounded = np.round(rotation, 6).tolist()
    path = write(tmp_path, {"a.jpg": entry(R_c2w=rounded, k1=-0.05), "b.jpg": entry()})
    found = read_ground_truth(path)
    pose = found.cam_from_world["a.jpg"]
    np.testing.assert_allclose(pose.center, [1.0, 2.0, 3.0], atol=1e-14)
    assert np.abs(pose.rotation - rotation.T).max() < 1e-6
    assert np.abs(pose.rotation @ pose.rotation.T - np.eye(3)).max() < 1e-15 * 4
    assert set(found.intrinsics) == {"a.jpg"}  # b.jpg is not there to be measured
    camera = found.intrinsics["a.jpg"]
    assert camera.model == "SIMPLE_RADIAL" and (camera.width, camera.height) == (640, 480)
    assert camera.params.tolist() == [600.0, 321.0, 239.0, -0.05]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "JSON object is needed"),
        ({"a.jpg": 3}, "a.jpg has no center"),
        ({"a.jpg": {"center": [0, 0, 0]}}, "a.jpg has no R_c2w"),
        ({"a.jpg": entry(center=[1, 2])}, "center has the shape"),
        ({"a.jpg": entry(center=[1, 2, "x"])}, "no number"),
        ({"a.jpg": entry(R_c2w=np.ones((3, 3)).tolist())}, "a.jpg: the rotation's axes"),
        ({"a.jpg": entry(center=[1, 2, float("nan")])}, "not finite"),
    ],
)
def test_malformed_entries_are_named(content: Any, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(PipelineError, match=reason) as caught:
        read_ground_truth(path)
    assert str(path) in caught.value.message


def test_text_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "ground_truth.json"
    path.write_text("{")
    with pytest.raises(PipelineError, match="not JSON"):
        read_ground_truth(path)
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(PipelineError, match="not UTF-8"):
        read_ground_truth(path)
    with pytest.raises(PipelineError, match="not readable"):
        read_ground_truth(tmp_path)
