"""A stage that failed: why, what to try, and the last lines of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text

from pipeline.engine.messages import StageView
from tui.dashboard.look import safe
from tui.dashboard.model import Model
from tui.dashboard.panels.base import Panel
from tui.dashboard.widgets import Prose, Quiet

if TYPE_CHECKING:
    from tui.dashboard.app import DashboardApp


class FailurePanel(Panel):
    """The reason of a failure, and the way out of it."""

    COLUMN: ClassVar[type[Quiet]] = Prose

    def draw(self, model: Model, stage: StageView) -> None:
        """The reason first: on a small terminal only the log is cut."""
        _, height = self.room(0)
        text = Text(overflow="fold")
        text.append(f"{stage.name} failed: ", style="bold red")
        text.append(f"{safe(stage.why, 1000)}\n")
        if stage.hint:
            text.append(f"{safe(stage.hint, 1000)}\n")
        if not cast("DashboardApp", self.app).readonly:
            text.append("t tries it again; p changes parameters first.\n", style="dim")
        text.append("\n")
        for line in stage.log[-max(3, height - 5) :]:
            text.append(f"{safe(line)}\n", style="dim")
        self.column(0).show(text)
