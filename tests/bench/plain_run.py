"""The method up to mapping in one process, without an engine: what `bench_engine` compares with.

``python -m tests.bench.plain_run PHOTOS OUT``
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from pipeline.commands import run
from pipeline.request import GivenPaths, RunRequest


def main() -> None:
    """Run the stages and tell nobody about it."""
    photos, out = (Path(argument).absolute() for argument in sys.argv[1:])
    request = RunRequest(paths=GivenPaths(photos=photos), out=out, until="mapping")
    run(request, (), threading.Event())


if __name__ == "__main__":
    main()
