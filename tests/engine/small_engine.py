"""An engine that only runs a stage in a worker: `python -m tests.engine.small_engine FOLDER STAGE`.

Writes the worker's process number to FOLDER/worker as soon as the stage tells something.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pipeline.events import Progress
from pipeline.stages import STAGE_NAMES
from tests.engine.worker_bench import open_bench, run_until


async def run(folder: Path, stage: str) -> None:
    """Run all stages up to one, and say when it has begun."""
    bench = open_bench(folder)
    async with bench.worker() as worker:
        before = STAGE_NAMES[STAGE_NAMES.index(stage) - 1]
        await run_until(worker, before)
        running = asyncio.create_task(run_until(worker, stage))
        await bench.until(
            lambda: any(name == stage and isinstance(r, Progress) for name, r in bench.told)
        )
        temporary = folder / "worker.tmp"
        temporary.write_text(str(worker.pid))
        temporary.rename(folder / "worker")
        await running


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
