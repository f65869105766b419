"""Features: keypoints of the photographs, and a photograph to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text

from pipeline.engine.messages import StageView
from pipeline.sketches import MOST_NAMES, FeaturesSketch, keypoints_sketch
from tui.dashboard.model import Model
from tui.dashboard.panels.base import Panel, figures, report_of
from tui.dashboard.panels.general import heading
from tui.dashboard.plots import PlotStyle, bars, number

_NARROW_CELLS = 26


class FeaturesPanel(Panel):
    """Figures and the weakest photographs; keypoints per photograph; a photograph."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("2fr", "3fr", "2fr")

    def draw(self, model: Model, stage: StageView) -> None:
        """Draw all columns."""
        sketch = model.sketches.get(stage.name)
        known = sketch if isinstance(sketch, FeaturesSketch) else None
        if known is None:
            known = _of_report(report_of(model, stage))
        self.column(0).show(self._figures(model, stage, known))
        if known is None:
            self.only(0)
            return
        self.show_picture(2, self.picture_of(model, stage))
        self.column(1).show(self._plots(known))

    def _figures(self, model: Model, stage: StageView, known: FeaturesSketch | None) -> Text:
        text = heading(model, stage)
        if known is None:
            return text.append("The keypoints of each photograph appear here.", style="dim")
        text.append("keypoints\n", style="bold")
        text.append_text(
            figures(
                (
                    ("least", str(known.least)),
                    ("median", number(known.median, 5)),
                    ("most", str(known.most)),
                ),
                9,
            )
        )
        self.append_names(text, "weakest", [(str(count), name) for name, count in known.weakest])
        return text

    def _plots(self, known: FeaturesSketch) -> Text:
        per_photograph = known.per_photograph

        def in_order(style: PlotStyle) -> Text:
            title = "keypoints" if style.width < _NARROW_CELLS else "keypoints per photograph"
            return bars(per_photograph, replace(style, title=title), ("1", str(known.done)))

        def spread(style: PlotStyle) -> Text:
            ends = str(known.least), str(known.most)
            title = "photographs by keypoints"
            return bars(known.spread.counts, replace(style, title=title), ends)

        return self.stacked(1, (in_order, spread))


def _of_report(report: dict[str, Any]) -> FeaturesSketch | None:
    """What the report of a finished stage tells, where the run has kept no sketch."""
    try:
        kept = {str(name): int(counts["kept"]) for name, counts in report["photos"].items()}
        if not kept:
            return None
        counts = dict(enumerate(kept.values()))
        return keypoints_sketch(list(kept), counts, MOST_NAMES)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # of another version
