"""The command line with the fake engine in the place of the real one: run it as a process."""

from __future__ import annotations

import sys

from tui import launch
from tui.cli import main

FAKE_ENGINE = (sys.executable, "-m", "tests.tui.fake_engine")

if __name__ == "__main__":
    vars(launch)["ENGINE_COMMAND"] = FAKE_ENGINE
    main()
