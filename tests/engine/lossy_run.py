"""`barfield` with fake stages, all of whose processes note what they sync.

`python -m tests.engine.lossy_run command ...`; ROOT and NOTES are those of the `Disk`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.engine.fake_worker import fake_plan
from tests.engine.power_loss import Disk
from tests.fake_engine_process import plan_to_mapping

ROOT, NOTES = "LOSSY_RUN_ROOT", "LOSSY_RUN_NOTES"
COMMAND = (sys.executable, "-m", "tests.engine.lossy_run")


def be(role: str) -> None:
    """Be one of the processes of a run: command, engine or worker."""
    if role == "worker":
        from pipeline.engine import worker

        worker.main(plan=fake_plan)
    elif role == "engine":
        from pipeline.engine import course
        from tui import engine_process

        vars(course)["plan"] = plan_to_mapping
        vars(engine_process)["WORKER_COMMAND"] = (*COMMAND, "worker")
        sys.exit(engine_process.main())
    else:
        from tui import cli, launch

        vars(launch)["ENGINE_COMMAND"] = (*COMMAND, "engine")
        cli.main()


if __name__ == "__main__":
    with Disk(Path(os.environ[ROOT]), Path(os.environ[NOTES])).recording():
        be(sys.argv.pop(1))
