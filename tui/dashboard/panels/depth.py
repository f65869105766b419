"""Depth: what is known of the depth maps, and the newest of them as a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from rich.text import Text

from pipeline.engine.messages import StageView
from tui.dashboard.model import Model
from tui.dashboard.panels.base import Panel, figures, report_of
from tui.dashboard.panels.general import heading, report_rows

_MOST_NAMES = 10


class DepthPanel(Panel):
    """How far it is, or figures and the photographs with the least depth; a depth map."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("2fr", "3fr")
    FIGURES_CELLS: ClassVar[int] = 30  # with `comparing photographs: 3 of 8`

    def draw(self, model: Model, stage: StageView) -> None:
        """Figures to the left, the picture to the right."""
        picture = self.picture_of(model, stage)
        if picture is not None:
            picture = replace(picture, caption=f"{picture.caption or picture.file}, red is near")
        self.show_picture(1, picture)
        self.column(0).show(self._figures(model, stage, picture is not None))

    def _figures(self, model: Model, stage: StageView, has_picture: bool) -> Text:
        text = heading(model, stage)
        report = report_of(model, stage)
        plain = {name: value for name, value in report.items() if name != "shares"}
        text.append_text(figures(report_rows(plain), 17))
        self.append_names(text, "least depth", _least(report.get("shares")))
        if stage.state == "started" and self.look.pictures and not has_picture:
            text.append("A depth map appears here soon.", style="dim")
        return text


def _least(shares: Any) -> list[tuple[str, str]]:
    """The share of each photograph that has depth, and its name, the least first."""
    try:
        known = sorted((float(share), str(name)) for name, share in shares.items())
        return [(f"{share:.0%}", name) for share, name in known[:_MOST_NAMES]]
    except (AttributeError, TypeError, ValueError):
        return []  # of another version
