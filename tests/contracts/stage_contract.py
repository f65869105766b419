"""What every stage must keep to. Inherit `StageContract` and say which stage and which inputs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import GeneratorType
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.errors import Stopped
from pipeline.events import Record
from pipeline.products import ItemStore, MemoryStore
from pipeline.runner import ForegroundControl
from pipeline.stage import Stage
from pipeline.stages import FIELD_MESH, IMPORTED_POSES, METHOD, PLANAR, UNPOSED_RADIANCE


class CountingControl(ForegroundControl):
    """A control that counts how often it is polled."""

    def __init__(self, store: ItemStore, executor: ThreadPoolExecutor) -> None:
        self.stop = threading.Event()
        super().__init__(store, executor, 2, self.stop)
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1
        super().poll()


class StageContract:
    """Subclasses give `make_stage`, and `make_inputs`: small products that the stage needs."""

    entries = (*METHOD, IMPORTED_POSES, UNPOSED_RADIANCE, FIELD_MESH, PLANAR)

    def make_stage(self) -> Stage:
        """The stage under test."""
        raise NotImplementedError

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        """The products that the stage needs; their items are in the store."""
        raise NotImplementedError

    def make_config(self) -> Any:
        """The stage's section of the configuration."""
        return getattr(RunConfig(), self.make_stage().name)

    @pytest.fixture
    def control(self) -> Iterator[CountingControl]:
        """A control over a store in memory and two threads."""
        with ThreadPoolExecutor(2) as executor:
            yield CountingControl(MemoryStore(), executor)

    def run(self, control: CountingControl) -> tuple[list[Record], dict[str, Any]]:
        """Records and products of one run."""
        work = self.make_stage().run(self.make_inputs(control.store), self.make_config(), control)
        assert isinstance(work, GeneratorType)
        records = []
        while True:
            try:
                records.append(next(work))
            except StopIteration as end:
                return records, dict(end.value)

    def test_it_is_the_stage_of_the_table(self) -> None:
        stage = self.make_stage()
        declared = {(entry.name, entry.needs, entry.makes) for entry in self.entries}
        assert (stage.name, stage.needs, stage.makes) in declared
        assert stage.version >= 1
        assert isinstance(getattr(RunConfig(), stage.name), stage.Config)

    def test_it_makes_what_it_declares_and_reports(self, control: CountingControl) -> None:
        records, products = self.run(control)
        assert set(products) == set(self.make_stage().makes)
        assert all(isinstance(record, Record) for record in records)
        for record in records:
            assert record.to_json()["kind"] == record.kind

    def test_it_polls(self, control: CountingControl) -> None:
        self.run(control)
        assert control.polls >= 1

    def test_it_stops_when_asked(self, control: CountingControl) -> None:
        control.stop.set()
        with pytest.raises(Stopped):
            self.run(control)
