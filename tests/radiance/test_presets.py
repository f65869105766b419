"""What a configuration comes to: presets by device, what overrides them, and which device it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline import torch_devices as devices
from pipeline.errors import PipelineError
from pipeline.radiance.grid import GridShape
from pipeline.radiance.mlp import MlpShape
from pipeline.radiance.problem import Tracks
from pipeline.radiance.rendering import DepthRange
from pipeline.radiance.settings import Rate, preset_for, resolve, view_size_px
from pipeline.radiance_config import RadianceConfig
from pipeline.torch_devices import choose_device, is_device_lost, is_out_of_memory
from tests.radiance.blobs import BlobSpec, blob_problem
from tests.radiance.trainers import CPU

PROBLEM = blob_problem(BlobSpec(views=2, width=4, height=4))[0]
FORWARD = replace(PROBLEM, depth_range=DepthRange(1.0, math.inf, inverse=True))


def test_barf_is_the_published_recipe() -> None:
    around = resolve(RadianceConfig(preset="barf"), CPU, PROBLEM)
    forward = resolve(RadianceConfig(preset="barf"), CPU, FORWARD)
    assert around.field == MlpShape(8, 256, 128, 10, 4)
    assert (around.samples, around.fine_samples, around.steps) == (128, 0, 200_000)
    assert (around.rays, forward.rays) == (1024, 2048)
    assert (around.field_rate, forward.field_rate) == (Rate(5e-4, 1e-4), Rate(1e-3, 1e-4))
    assert (around.pose_rate, forward.pose_rate) == (Rate(1e-3, 1e-5), Rate(3e-3, 1e-5))
    assert (around.alpha_start, around.c2f_start, around.c2f_end) == (0.0, 0.1, 0.5)
    assert around.pose_solver == "adam" and around.same_pixels
    assert not around.exposure and around.track_weight == 0.0
    assert around.alpha_at(0.3, 10) == pytest.approx(5.0)


def test_surroundings_are_learned_in_detail_and_an_object_alone_in_one_grid() -> None:
    for preset in ("barf-cpu", "barf-fast"):
        config = RadianceConfig.model_validate({"preset": preset})
        alone = resolve(config, CPU, PROBLEM)
        around = resolve(config, CPU, replace(PROBLEM, bounded=False))
        assert isinstance(alone.field, GridShape) and isinstance(around.field, GridShape)
        assert (alone.field.details, alone.looks, alone.smoothness) == (0, 0, 0.0)
        assert around.field.details == 2 and around.smoothness > 0.0
        assert around.looks > around.samples > 0
        assert around.model_shape.looks == around.looks


def test_cameras_amid_surroundings_that_no_tracks_hold_begin_with_detail() -> None:
    around = replace(PROBLEM, bounded=False)
    tracks = Tracks(
        np.zeros((1, 3)), np.zeros(2, np.int64), np.arange(2), np.ones((2, 2)),
        np.zeros(1, np.bool_),
    )  # fmt: skip
    held = replace(around, tracks=tracks)
    loose = RadianceConfig(track_weight=0.0)
    auto = RadianceConfig()
    assert resolve(auto, CPU, held).alpha_start < resolve(auto, CPU, around).alpha_start
    assert resolve(loose, CPU, held).alpha_start == resolve(auto, CPU, around).alpha_start
    assert resolve(auto, CPU, around).relocate_at == () != resolve(auto, CPU, PROBLEM).relocate_at


def test_auto_goes_by_the_device_and_sizes_by_the_preset() -> None:
    auto = RadianceConfig()
    assert preset_for(auto, CPU) == "barf-cpu"
    assert preset_for(auto, torch.device("cuda")) == "barf-fast"
    assert preset_for(RadianceConfig(preset="barf"), CPU) == "barf"
    assert view_size_px(auto, CPU) < view_size_px(auto, torch.device("cuda"))
    assert view_size_px(RadianceConfig(size_px=77), CPU) == 77


def test_what_is_given_overrides_the_preset_and_nothing_else() -> None:
    preset = resolve(RadianceConfig(preset="barf"), CPU, PROBLEM)
    given = RadianceConfig(
        preset="barf", rays=64, pose_rate=0.5, track_weight=0.0, exposure=True, c2f_start=0.0
    )
    assert resolve(given, CPU, PROBLEM) == replace(
        preset, rays=64, pose_rate=Rate(0.5, 1e-5), exposure=True, c2f_start=0.0
    )


def test_minutes_stand_in_for_the_steps_of_the_preset_but_not_for_given_ones() -> None:
    minutes = resolve(RadianceConfig(minutes=3.0), CPU, PROBLEM)
    assert (minutes.steps, minutes.minutes) == (None, 3.0)
    both = resolve(RadianceConfig(minutes=3.0, steps=50), CPU, PROBLEM)
    assert (both.steps, both.minutes) == (50, None)


def test_a_budget_of_time_changes_the_steps_of_auto_alone() -> None:
    for device in (CPU, torch.device("cuda")):
        whole = resolve(RadianceConfig(), device, PROBLEM)
        assert whole.preset == ("barf-cpu" if device == CPU else "barf-fast")
        for minutes in (0.1, 5.0, 10_000.0):
            given = RadianceConfig(minutes=minutes)
            assert resolve(given, device, PROBLEM) == replace(whole, steps=None, minutes=minutes)
            assert view_size_px(given, device) == view_size_px(RadianceConfig(), device)


def test_rates_fall_exponentially() -> None:
    rate = Rate(1e-2, 1e-4)
    assert [rate.at(share) for share in (0.0, 0.5, 1.0)] == pytest.approx([1e-2, 1e-3, 1e-4])


def test_controls_ignore_the_schedule() -> None:
    for encoding, alpha in (("full", 10.0), ("none", 0.0)):
        config = RadianceConfig.model_validate({"preset": "barf", "encoding": encoding})
        settings = resolve(config, CPU, PROBLEM)
        assert {settings.alpha_at(share, 10) for share in (0.0, 0.3, 1.0)} == {alpha}


@pytest.mark.parametrize(
    "impossible",
    [{"rays": 0}, {"field_rate": 0.0}, {"pose_rate": math.nan}, {"holdout": 1.0}, {"ray": 5}],
)
def test_impossible_values_are_refused(impossible: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(impossible))):
        RadianceConfig.model_validate(impossible)


def test_a_gpu_that_is_asked_for_has_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_gpu_problem", lambda: "there is none.")
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(PipelineError, match="there is none") as missing:
        choose_device("cuda")
    assert "auto" in missing.value.hint
    monkeypatch.setattr(devices, "_gpu_problem", lambda: None)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu") == CPU


def test_errors_are_told_apart() -> None:
    memory = torch.OutOfMemoryError("CUDA out of memory.")
    lost = RuntimeError("CUDA error: device-side assert triggered")
    other = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert [is_out_of_memory(e) for e in (memory, MemoryError(), lost, other)] == [
        True,
        True,
        False,
        False,
    ]
    assert [is_device_lost(e) for e in (lost, other)] == [True, False]
