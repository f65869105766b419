"""The report of a run: what came out, what became of every photograph, and what to try next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import RunConfig
    from pipeline.products import PhotoIndex, Reconstruction
    from pipeline.runner import StageOutcome


def compose_report(
    outcomes: Sequence[StageOutcome],
    config: RunConfig,
    photos: PhotoIndex | None,
    reconstruction: Reconstruction | None,
    complete: bool,
) -> dict[str, Any]:
    """The content of `report.json`: the figures of the whole, then every stage's own report.

    points, observations and reprojection error are those of all models of mapping together. Without
    a reconstruction (a run that ended before mapping, or without mapping) they are 0 and there are
    no verdicts but those of refused files. complete: whether the run has come as far as mapping,
    or to its end where it has no mapping.
    """
    models = reconstruction.models if reconstruction else ()
    verdicts = reconstruction.verdicts if reconstruction else ()
    refused = photos.refused if photos else ()
    observations = [len(model.points.track_images) for model in models]
    points = sum(len(model.points) for model in models)
    error_sum = sum(len(model.points) * model.mean_error_px for model in models)
    rows = [
        {"image": verdict.image, "registered": verdict.registered, "reason": verdict.reason,
         "model": verdict.model}
        for verdict in verdicts
    ]  # fmt: skip
    rows += [
        {"image": photo.name, "registered": False, "reason": f"not read: {photo.reason}",
         "model": None}
        for photo in refused
    ]  # fmt: skip
    if reconstruction is None:  # cameras that the field alone has found
        registered = sum(outcome.report.get("registered", 0) for outcome in outcomes)
    else:
        registered = sum(verdict.registered for verdict in verdicts)
    return {
        "images": len(photos.photos) if photos else 0,
        "refused": len(refused),
        "registered": registered,
        "models": len(models),
        "model_images": [len(model.images) for model in models],
        "points": points,
        "observations": sum(observations),
        "reprojection_error_px": error_sum / points if points else 0.0,
        "seconds": {outcome.name: round(outcome.seconds, 3) for outcome in outcomes},
        "complete": complete,
        "verdicts": rows,
        "stages": {
            outcome.name: {"state": outcome.state, **outcome.report} for outcome in outcomes
        },
        "config": config.model_dump(mode="json"),
    }


def advice(report: Mapping[str, Any]) -> list[str]:
    """What to try when a run left something to be desired, in words; empty if nothing did."""
    if not report["complete"]:
        return ["The run ended before its cameras were found: run it again without --until."]
    if "mapping" not in report["seconds"]:
        return []
    tips = []
    missing = report["images"] - report["registered"]
    if report["models"] == 0:
        reasons = Counter(v["reason"] for v in report["verdicts"] if v["model"] is None)
        tips += [f"{count} photographs: {reason}." for reason, count in reasons.most_common(1)]
        tips.append(
            "No model came out: take more photographs, each sharing half with the next, and move "
            "between them instead of only turning."
        )
    elif missing:
        tips.append(
            f"{missing} photographs are in no model: add photographs between them and the others, "
            "or lower the bar with --set mapping.min_resection_inliers=20."
        )
    if report["models"] > 1:
        tips.append(
            f"The photographs fell into {report['models']} models: add some that show both parts."
        )
    if (missing or report["models"] > 1) and report["config"]["matching"]["preview_keypoints"]:
        tips.append("Compare all keypoints of all pairs: --set matching.preview_keypoints=0.")
    if report["refused"]:
        tips.append(f"{report['refused']} files were not read; the verdicts say why.")
    return tips
