"""What a process must not have imported: the price of a quick start."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numba", "cv2", "torch", "open3d", "textual", "numpy", "scipy", "pydantic")


def imported_by(statement: str) -> set[str]:
    """The top-level modules in a fresh process after a statement."""
    code = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import tui.cli; tui.cli.build_app()", HEAVY),
        ("import pipeline.stages", HEAVY),
        (
            "import pipeline.run_directory, pipeline.request, pipeline.settings, "
            "pipeline.engine.messages, pipeline.engine.orders",
            ("numba", "cv2", "torch", "open3d", "textual", "numpy", "scipy"),
        ),
        ("import pipeline.engine.executor", ("numpy", "scipy", "cv2", "dask", "distributed")),
        ("import pipeline.workspace", ("numba", "cv2", "torch", "open3d", "textual", "scipy")),
        ("import tui.engine_process", ("numba", "cv2", "torch", "open3d", "numpy", "scipy")),
        ("import pipeline.radiance.stage", ("torch", "cv2", "scipy")),
        ("import pipeline.commands", ("numba", "torch", "open3d", "textual")),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(
    statement: str, forbidden: tuple[str, ...]
) -> None:
    assert imported_by(statement) & set(forbidden) == set()
