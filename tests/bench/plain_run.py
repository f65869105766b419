"""The whole method in one process, without an engine: what `bench_engine` compares with.

``python -m tests.bench.plain_run PHOTOS OUT``
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from pipeline.commands import run
from pipeline.request import GivenPaths, RunRequest


def main() -> None:
    """Run all stages and tell nobody about it."""
    photos, out = (Path(argument).absolute() for argument in sys.argv[1:])
    run(RunRequest(paths=GivenPaths(photos=photos), out=out), (), threading.Event())


if __name__ == "__main__":
    main()
