"""What a run has found out about its photographs and pairs, written to standard output.

`python -m pipeline.browsing_facts RUN` in a process of its own, which ends when that is told: it
needs numpy and the models of the run in memory, and the process that serves browsers has neither.
Beside the stages this costs a second at most, and only when somebody looks; a file that every stage
kept up to date would cost them something always, and would have to be part of their products.

The answer is one container: `photographs` and `pairs` are JSON, gzipped, as browsers get them, and
each `seen/I` has a bit for each keypoint of photograph I that sees a 3D point.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.depth_index import depth_version, has_depth
from pipeline.formats.bundle import Buffer, pack
from pipeline.manifest import StageEntry
from pipeline.photograph_facts import PhotographFacts, Photographs, read_photographs
from pipeline.plain_pairs import PAIR_KINDS
from pipeline.run_directory import read_manifest

KIND = "facts"
_NICE = 10
_GZIP_LEVEL = 6


def main(arguments: Sequence[str]) -> int:
    """Tell of the run that is named."""
    os.nice(_NICE)
    root = Path(arguments[0])
    answer = facts_of(root, read_manifest(root).stages)
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


def facts_of(root: Path, finished: Mapping[str, StageEntry]) -> bytes:
    """The container. finished: the stages whose products count."""
    found = read_photographs(root, finished)
    depths = depth_version(finished)
    numbers = {photograph.name: i for i, photograph in enumerate(found.facts)}
    photographs = {
        "photographs": [
            {**_photograph(i, one), "depth": depths if has_depth(root, one.name) else None}
            for i, one in enumerate(found.facts)
        ],
        "gaps": list(found.gaps)
        + ["mapping: the models are too large to look at"] * found.skipped_model,
    }
    parts = {
        "photographs": _as_json(photographs),
        "pairs": _as_json({"pairs": list(_pairs(found))}),
        **{f"seen/{numbers[name]}": bits.tobytes() for name, bits in found.seen_bits.items()},
    }
    buffers = [Buffer(name, "u8", (len(data),), data) for name, data in parts.items()]
    return pack(KIND, {}, buffers)


def _photograph(i: int, facts: PhotographFacts) -> dict[str, Any]:
    width, height = facts.size or (None, None)
    names = ("registered", "reason", "model", "keypoints", "matches", "inliers", "partners")
    return {
        "index": i,
        "name": _presentable(facts.name),
        "width": width,
        "height": height,
        **{name: getattr(facts, name) for name in names},
        "points": facts.points,
        "error_px": _finite(facts.error_px),
        "focal_px": _finite(facts.focal_px),
        "sharpness": _finite(facts.sharpness),
        "about": {key: _presentable(value) for key, value in facts.about.items()},
    }


def _pairs(found: Photographs) -> Iterator[list[Any]]:
    """`[i1, i2, matches, inliers, kind, reason, angle_deg]` of every pair that was compared."""
    verified: dict[tuple[int, int], list[Any]] = {}
    if found.verified is not None:
        values = found.verified.values
        for row, (i1, i2) in enumerate(found.verified.indices.tolist()):
            verified[i1, i2] = [
                int(values["inliers"][row]),
                kind_in_words(int(values["kind"][row])),
                found.verified.reasons[row],
                _finite(float(values["angle_deg"][row])),
            ]
    if found.matched is None:
        return
    for row, (i1, i2) in enumerate(found.matched.indices.tolist()):
        inliers, kind, reason, angle = verified.get((i1, i2), [None, "", "", None])
        matches = int(found.matched.values["matches"][row])
        if inliers == 0 or not matches:  # otherwise what matching remarked is no reason
            reason = reason or found.matched.reasons[row]
        yield [i1, i2, matches, inliers, kind, reason, angle]


def kind_in_words(number: int) -> str:
    """The kind of a two-view geometry; "" for an unknown number."""
    return PAIR_KINDS[number] if 0 <= number < len(PAIR_KINDS) else ""


def _as_json(data: Any) -> bytes:
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    return gzip.compress(text, _GZIP_LEVEL, mtime=0)


def _finite(value: float | None) -> float | None:
    """Few digits are enough for people."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _presentable(text: str) -> str:
    """Names of files need not be UTF-8."""
    return text.encode("utf-8", "replace").decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
