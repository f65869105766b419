"""The command line with the fake stages in the place of the real ones: run it as a process."""

from __future__ import annotations

from tests.fake_engine_process import COMMAND
from tui import launch
from tui.cli import main

if __name__ == "__main__":
    vars(launch)["ENGINE_COMMAND"] = COMMAND
    main()
