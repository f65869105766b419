"""Run pycolmap, the peer, on a folder of photographs: one JSON line of stage times and model size.

usage: python -m tests.bench.peer_colmap PHOTOS OUT [--cameras single|auto] [--intrinsics
FX,FY,CX,CY]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import pycolmap

_THREADS = 2


def main() -> None:
    """Extract, match and map; the largest model is written to OUT/model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cameras", choices=["single", "auto"], default="single")
    parser.add_argument("--intrinsics", default="")
    arguments = parser.parse_args()
    print(json.dumps(reconstruct(arguments)))


def reconstruct(arguments: argparse.Namespace) -> dict[str, Any]:
    """Times in seconds by stage, sizes of the largest model, peak memory in MB."""
    database = arguments.out / "database.db"
    reader = pycolmap.ImageReaderOptions()
    mapping = pycolmap.IncrementalPipelineOptions()
    extraction = pycolmap.FeatureExtractionOptions()
    matching = pycolmap.FeatureMatchingOptions()
    for options in (extraction, matching):
        options.num_threads = _THREADS
        options.use_gpu = False
    mapping.num_threads = _THREADS
    if arguments.intrinsics:
        reader.camera_model = "PINHOLE"
        reader.camera_params = arguments.intrinsics
        mapping.ba_refine_focal_length = mapping.ba_refine_extra_params = False
    mode = pycolmap.CameraMode.SINGLE if arguments.cameras == "single" else pycolmap.CameraMode.AUTO
    seconds = {}
    start = time.perf_counter()
    pycolmap.extract_features(
        database,
        arguments.photos,
        camera_mode=mode,
        reader_options=reader,
        extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )
    seconds["features"] = time.perf_counter() - start
    start = time.perf_counter()
    pycolmap.match_exhaustive(database, matching_options=matching, device=pycolmap.Device.cpu)
    seconds["matching"] = time.perf_counter() - start
    start = time.perf_counter()
    models = pycolmap.incremental_mapping(
        database, arguments.photos, arguments.out, options=mapping
    )
    seconds["mapping"] = time.perf_counter() - start
    result: dict[str, Any] = {
        "models": len(models),
        "seconds": seconds,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if models:
        largest = max(models.values(), key=lambda model: int(model.num_reg_images()))
        folder = arguments.out / "model"
        folder.mkdir(exist_ok=True)
        largest.write(folder)
        result |= {
            "registered": largest.num_reg_images(),
            "points": largest.num_points3D(),
            "observations": largest.compute_num_observations(),
            "reprojection_error_px": largest.compute_mean_reprojection_error(),
        }
    return result


if __name__ == "__main__":
    main()
