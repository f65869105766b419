"""Draw the dashboard's run screen while a run goes on: how docs/dashboard-*.svg were made.

usage: python docs/draw_dashboard.py RUN STAGE SHARE OUT.svg

SHARE: how much of the stage is done in the picture, from 0 to 1; it waits until then.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tui.dashboard.app import DashboardApp
from tui.dashboard.link import Link
from tui.dashboard.look import Look
from tui.dashboard.system import SystemReader

_SIZE = (120, 40)
_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_TO_DRAW = 1.0  # also what panels and pictures wait for
_SECONDS_TO_LOOK = 5.0  # at the machine, twice
# The same user and machine in all documents.
_ENVIRONMENT = {"SSH_CONNECTION": "there 50000 box 22", "LOGNAME": "you"}


async def draw(root: Path, stage: str, share: float, out: Path) -> None:
    """Wait until so much of the stage is done, and draw what is on the screen."""
    app = DashboardApp(Link(root), look=Look(), sampler=SystemReader(root))
    async with app.run_test(size=_SIZE):
        await asyncio.sleep(_SECONDS_TO_LOOK)
        while app.is_running and not _is_there(app, stage, share):
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        await asyncio.sleep(_SECONDS_TO_DRAW)
        out.write_text(app.export_screenshot(title="barfield"), encoding="utf-8")


def _is_there(app: DashboardApp, stage: str, share: float) -> bool:
    view = app.model.stage(stage)
    return view is not None and bool(view.total) and view.done >= share * (view.total or 0)


if __name__ == "__main__":
    os.environ.update(_ENVIRONMENT)
    run, name, part, file = sys.argv[1:]
    asyncio.run(draw(Path(run), name, float(part), Path(file)))
