"""The command line whose dashboard has a fault: run it as a process."""

from __future__ import annotations

from typing import NoReturn

from tests.tui.fake_cli import FAKE_ENGINE
from tui import launch
from tui.cli import main
from tui.dashboard.model import Model


def _break_down(*_: object) -> NoReturn:
    raise ZeroDivisionError("by nought")


if __name__ == "__main__":
    vars(launch)["ENGINE_COMMAND"] = FAKE_ENGINE
    Model.fold = _break_down  # type: ignore[assignment,method-assign]
    main()
