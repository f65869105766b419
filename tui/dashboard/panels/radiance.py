"""Radiance: how well the field explains the photographs, and how it looks."""

from __future__ import annotations

import math
from typing import ClassVar

from rich.text import Text

from pipeline.engine.messages import StageView
from tui.dashboard.model import Model, Series
from tui.dashboard.panels.base import Panel, figures, report_of, value_of
from tui.dashboard.panels.general import heading
from tui.dashboard.plots import number
from tui.dashboard.widgets import picture_text

_STAGE = "radiance"
_MOST_BANDS = 64
_BLOCKS, _ASCII_BLOCKS = "·▁▂▃▄▅▆▇█", "_.:-=+*#@"


class RadiancePanel(Panel):
    """Figures with the band weights; curves; the current view."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("3fr", "4fr", "3fr")
    FIGURES_CELLS: ClassVar[int] = 28  # with `6.42 of 7 bands`

    def draw(self, model: Model, stage: StageView) -> None:
        """Draw all columns."""
        self.column(0).show(self._figures(model, stage))
        names = ("psnr", "loss", "pose_change_deg", "rays_per_s", "alpha")
        metrics = [(name, model.metric(_STAGE, name)) for name in names]
        titles = {"psnr": "PSNR", "pose_change_deg": "pose change", "rays_per_s": "rays/s"}
        marks = [mark.step for mark in model.marks_of(_STAGE)]
        until = stage.total if stage.unit == "steps" else None
        titled = [(titles.get(name, name), metric) for name, metric in metrics]
        self.column(1).show(self.plots(1, titled, marks, until))
        self.only(*((0, 1, 2) if self.look.pictures else (0, 1)))
        if self.look.pictures:
            self.column(2).show(picture_text(model.pictures.get(_STAGE), *self.room(2)))

    def _figures(self, model: Model, stage: StageView) -> Text:
        text = heading(model, stage)
        held_out = report_of(model, stage).get("held_out_psnr")
        alpha = model.metric(_STAGE, "alpha")
        bands = model.metric(_STAGE, "bands")
        weights = (
            band_weights(alpha.last, None if bands is None else bands.last)
            if alpha is not None
            else []
        )
        signs = _BLOCKS if self.look.unicode else _ASCII_BLOCKS
        text.append_text(
            figures(
                (
                    ("PSNR", value_of(model, _STAGE, "psnr")),
                    ("held out", f"{held_out:.2f} dB" if isinstance(held_out, float) else ""),
                    ("loss", value_of(model, _STAGE, "loss", 3)),
                    ("pose change", value_of(model, _STAGE, "pose_change_deg", 3)),
                    ("track error", value_of(model, _STAGE, "track_error_px", 3)),
                    ("rays/s", value_of(model, _STAGE, "rays_per_s").removesuffix(" 1/s")),
                    ("alpha", _opened(alpha, bands)),
                    ("w_k", "".join(signs[round(8 * weight)] for weight in weights)),
                ),
                12,
            )
        )
        return text


def _opened(alpha: Series | None, bands: Series | None) -> str:
    """How many of the bands are open; "" where nobody told."""
    if alpha is None:
        return ""
    return (
        number(alpha.last) + (f" of {number(bands.last)}" if bands is not None else "") + " bands"
    )


def band_weights(alpha: float, bands: float | None = None) -> list[float]:
    """The weights w_k of the bands, k from 0, each from 0 to 1.

    BARF (ICCV 2021), equation 14. alpha: bands; NaN and less than nought give none. bands: how many
    there are; None: those that have begun to enter.
    """
    if not alpha >= 0:
        return []
    known = bands is not None and 0 < bands < math.inf
    count = bands if known and bands is not None else math.ceil(min(alpha, _MOST_BANDS))
    return [
        (1 - math.cos(math.pi * max(0.0, min(1.0, alpha - k)))) / 2
        for k in range(min(_MOST_BANDS, int(count)))
    ]
