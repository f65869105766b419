"""Runs with sketches, for tests of the panels that draw them."""

from __future__ import annotations

import math
from pathlib import Path

from pipeline.events import Metric, Preview, Progress, Report, StageChanged
from pipeline.sketches import (
    Bars,
    FeaturesSketch,
    MappingSketch,
    MatchingSketch,
    Matrix,
    VerificationSketch,
    keypoints_sketch,
)
from tests.dashboard.recorded import STAGES, RecordedRun, begin, finish, gradient
from tui.dashboard.model import Picture

PHOTOGRAPHS = 24


def keypoints(done: int = PHOTOGRAPHS) -> FeaturesSketch:
    """Photographs with 300 to 5000 keypoints; the weakest has markup in its name."""
    names = [f"{i:03}.jpg" for i in range(PHOTOGRAPHS - 1)] + ["[red]weak[/red].jpg"]
    kept = {i: 5000 - 200 * i for i in range(PHOTOGRAPHS - done, PHOTOGRAPHS)}
    return keypoints_sketch(names, kept)


def matrix(photographs: int = PHOTOGRAPHS) -> Matrix:
    """Neighbours share most; nothing was compared with the last one."""
    side = range(photographs)
    cells = tuple(
        tuple(
            None if i == j or photographs - 1 in (i, j) else 900.0 / abs(i - j) ** 2 for j in side
        )
        for i in side
    )
    return Matrix(photographs=photographs, cells=cells)


def matches() -> MatchingSketch:
    """All pairs, of which some have no match."""
    return MatchingSketch(pairs=276, matched=250, matrix=matrix(), sizes=(26, 0, 0, 20, 130, 100))


def outcomes() -> VerificationSketch:
    """Three kinds of geometry."""
    ratios = Bars(low=0, high=1, counts=(40, 0, 0, 2, 5, 9, 20, 60, 90, 50))
    kinds = {"calibrated": 200, "planar_or_panoramic": 36, "refused": 40}
    return VerificationSketch(inlier_ratios=ratios, kinds=kinds, matrix=matrix())


def ring(registered: int = 12) -> MappingSketch:
    """Cameras on a circle, level, about a square of points; two photographs wait."""
    angles = [2 * math.pi * k / PHOTOGRAPHS for k in range(registered)]
    grid = [(x / 4, y / 8, z / 4) for x in range(-4, 5) for y in (0, 1) for z in range(-4, 5)]
    return MappingSketch(
        registered=registered,
        photographs=PHOTOGRAPHS,
        centers=tuple((4 * math.cos(a), 0.0, 4 * math.sin(a)) for a in angles),
        points=tuple(grid),
        down=(0.0, 1.0, 0.0),
        errors_px=Bars(low=0, high=4, counts=(50, 90, 30, 10, 3, 1, 1, 0)),
        track_lengths=(800, 300, 120, 40, 0, 7, 0, 0),
        latest=("011.jpg", "010.jpg"),
        waiting=(("022.jpg", "sees 9 points of the model, 30 needed"), ("[/].jpg", "12 inliers")),
    )


def in_features(root: Path, done: int = 12) -> RecordedRun:
    """A run in the middle of features."""
    run = RecordedRun(root)
    begin(run)
    finish(run, "ingest")
    run.tell("features", StageChanged("features", "started"))
    run.tell("features", Progress(done, PHOTOGRAPHS, "photos", "011.jpg"))
    if done:
        run.add(sketches={"features": keypoints(done)})
        picture = Picture("features", "photos/thumbnails/000011.jpg", gradient(), "011.jpg")
        run.add(pictures=(picture,))
    return run


def after_verification(root: Path, *, sketches: bool = True) -> RecordedRun:
    """A run that has verified its pairs; sketches: whether it has kept any."""
    run = RecordedRun(root)
    begin(run)
    finish(run, *STAGES[:5])
    run.tell("matching", Report({"pairs": 276, "matches": 9000}))
    run.tell("verification", Report({"pairs": 276, "kinds": {"planar": 3}}))
    if sketches:
        run.add(sketches={"matching": matches(), "verification": outcomes()})
    return run


def growing(root: Path, registered: int = 12) -> RecordedRun:
    """A run in the middle of mapping."""
    run = after_verification(root)
    run.tell("mapping", StageChanged("mapping", "started"))
    for step in range(1, registered):
        run.tell(
            "mapping",
            Progress(step + 1, PHOTOGRAPHS, "photographs", "registering photographs"),
            Metric("registered", step + 1, step, "photographs"),
            Metric("points", 300.0 * step, step),
            Metric("observations", 900.0 * step, step),
            Metric("reprojection_error_px", 0.4 + 0.1 * math.sin(step), step, "px"),
        )
    run.add(sketches={"mapping": ring(registered)})
    return run


def in_depth(root: Path) -> RecordedRun:
    """A run that compares the photographs of its stage `depth`, with a picture of few colours."""
    run = RecordedRun(root)
    begin(run, (*STAGES[:6], "depth", *STAGES[6:]))
    finish(run, *STAGES[:6])
    run.tell("depth", StageChanged("depth", "started"))
    compare_photographs(run)
    return run


def compare_photographs(run: RecordedRun) -> None:
    """A third of the photographs, and a picture of a depth map."""
    for done in range(1, 9):
        words = f"comparing photographs: {done} of {PHOTOGRAPHS}"
        run.tell("depth", Progress(done, 2 * PHOTOGRAPHS, "steps", words))
    file = "depth/previews/000007.jpg"
    run.tell("depth", Preview(file, "007.jpg"))
    run.add(pictures=(Picture("depth", file, gradient(3, 2), "007.jpg"),))


def with_depth(root: Path) -> RecordedRun:
    """A run whose stage `depth` is done; the photograph with the least has markup in its name."""
    run = in_depth(root)
    shares = {f"{i:03}.jpg": round(0.95 - 0.03 * i, 4) for i in range(PHOTOGRAPHS - 1)}
    run.tell(
        "depth",
        Report(
            {
                "photographs": PHOTOGRAPHS,
                "without": [],
                "size_px": [300, 200],
                "device": "cpu",
                "share_with_depth": 0.8693,
                "shares": {**shares, "[red]weak[/red].jpg": 0.0712},
            }
        ),
        StageChanged("depth", "done", 20.0),
    )
    return run
