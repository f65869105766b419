"""Which executor a stage gets, and how long it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import ClusterConfig
from pipeline.engine.executor import (
    Executors,
    Kind,
    Resources,
    kind_for,
)
from pipeline.errors import PipelineError, Stopped
from pipeline.stage import RemoteExecutor, Stage, run_items
from pipeline.stages import METHOD
from tests.engine.fan_out.item_work import Nap, nap
from tests.engine.fan_out.opened import AtHome, Spread, control_of, is_running


@pytest.mark.parametrize(
    ("stage", "address", "workers", "kind"),
    [
        (Spread(), "", 0, "processes"),
        (Spread(), "tcp://a:1", 0, "cluster"),
        (Spread(), "", 2, "cluster"),
        (AtHome(), "tcp://a:1", 2, "threads"),
        (METHOD[0].load(), "tcp://a:1", 0, "threads"),
        (METHOD[1].load(), "tcp://a:1", 0, "cluster"),
        (METHOD[1].load(), "", 0, "threads"),
        (METHOD[3].load(), "", 2, "cluster"),
        (METHOD[4].load(), "", 2, "cluster"),
    ],
)
def test_the_stage_and_the_settings_decide_where(
    stage: Stage, address: str, workers: int, kind: Kind
) -> None:
    resources = Resources(Path(), 1, ClusterConfig(workers=workers), address)
    assert kind_for(stage, resources) == kind


def test_executors_are_kept_from_stage_to_stage_and_made_anew_after_a_failure(
    tmp_path: Path,
) -> None:
    def process(executors: Executors, item: Nap) -> int:
        with executors.of(Spread(), ClusterConfig()) as opened:
            assert not isinstance(opened.executor, RemoteExecutor)
            (done,) = run_items(nap, [item], control_of(opened))
            return int(done.result[1])

    with Executors(tmp_path, 1) as executors:
        first = process(executors, Nap("a"))
        assert process(executors, Nap("b")) == first
        with pytest.raises(Stopped), executors.of(Spread(), ClusterConfig()):
            raise Stopped
        assert process(executors, Nap("c")) == first
        with pytest.raises(PipelineError, match="deadly"):
            process(executors, Nap("deadly", deadly=True))
        assert process(executors, Nap("d")) != first
    assert not is_running(first)
