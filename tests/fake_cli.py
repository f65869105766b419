"""The command line with the fake stages in the place of the real ones: run it as a process."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import commands
from pipeline.stages import StageEntry, plan
from tests import fake_stages
from tui.cli import main


def fake_plan(*, poses_given: bool, until: str | None) -> Sequence[StageEntry]:
    """The fake table, as far as the real plan goes."""
    return fake_stages.METHOD[: len(plan(poses_given=poses_given, until=until))]


if __name__ == "__main__":
    vars(commands)["plan"] = fake_plan
    main()
