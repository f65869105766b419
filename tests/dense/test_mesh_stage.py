"""The stage `mesh` keeps the contract of stages, and says why where it makes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.dense.mesh_stage import MakeFieldMesh, MakeMesh
from pipeline.dense_products import NoDepth
from pipeline.events import Report, Warned
from pipeline.mesh_config import MeshConfig
from pipeline.mesh_products import NoMesh, SurfaceMesh
from pipeline.products import ItemStore
from pipeline.stage import Stage
from tests.contracts.stage_contract import StageContract
from tests.dense.ball_world import ball_maps

pytestmark = pytest.mark.open3d
QUICK = MeshConfig(voxel_px=5.0, texture_triangles=2000)


NOTHING = NoDepth("no field was trained")


class TestMeshStage(StageContract):
    def make_stage(self) -> Stage:
        return MakeMesh()

    def make_config(self) -> MeshConfig:
        return QUICK

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"depth": ball_maps(count=5), "field_depth": NOTHING}


class TestMeshOfNoDepth(TestMeshStage):
    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"depth": NoDepth("mapping found no model"), "field_depth": ball_maps(count=5)}

    def test_it_says_why(self, control: Any) -> None:
        _, products = self.run(control)
        assert products["mesh"] == NoMesh("there are no depth maps: mapping found no model")


class TestMeshOfOneMap(TestMeshStage):
    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"depth": ball_maps(count=1), "field_depth": NOTHING}

    def test_it_says_why(self, control: Any) -> None:
        _, products = self.run(control)
        assert products["mesh"] == NoMesh("1 depth map, 2 needed")


class TestMeshOfMoreThanNumbers(TestMeshStage):
    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        maps = ball_maps(count=5)
        maps.maps[2].depth[10:20, 30:40] = np.nan
        maps.maps[2].depth[50, 50] = -np.inf
        maps.maps[3].normals[40, 40, 1] = np.nan
        return {"depth": maps, "field_depth": NOTHING}

    def test_it_says_which_maps_hold_no_numbers(self, control: Any) -> None:
        records, products = self.run(control)
        warned = {record.subject: record.message for record in records if type(record) is Warned}
        assert {name: words.split()[4] for name, words in warned.items()} == {
            "2.png": "101",
            "3.png": "1",
        }
        assert isinstance(products["mesh"], SurfaceMesh)


class TestMeshOfTheField(StageContract):
    def make_stage(self) -> Stage:
        return MakeMesh()

    def make_config(self) -> MeshConfig:
        return QUICK.model_copy(update={"source": "field"})

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"depth": NOTHING, "field_depth": ball_maps(count=5)}

    def test_it_says_of_what_it_is(self, control: Any) -> None:
        records, products = self.run(control)
        assert isinstance(products["mesh"], SurfaceMesh)
        (report,) = (record for record in records if isinstance(record, Report))
        assert report.data["source"] == "field"


class TestMeshWithoutOtherDepth(TestMeshOfTheField):
    def make_stage(self) -> Stage:
        return MakeFieldMesh()

    def make_config(self) -> MeshConfig:
        return QUICK

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"field_depth": ball_maps(count=5)}


def test_the_configuration_has_the_stage() -> None:
    assert RunConfig().mesh == MeshConfig()
