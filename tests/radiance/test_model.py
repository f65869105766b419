"""A model renders what its field holds, and comes back from its arrays bit by bit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.array_files import encode_arrays, read_arrays
from pipeline.radiance import model as model_module
from pipeline.radiance.grid import GridField, GridShape
from pipeline.radiance.mlp import MlpField, MlpShape
from pipeline.radiance.model import ModelShape, RadianceModel
from pipeline.radiance.problem import Problem
from pipeline.radiance.rendering import DepthRange, Rays
from pipeline.radiance.setup import Setup
from tests.radiance.blobs import Blobs, BlobSpec, blob_problem
from tests.radiance.trainers import CPU, SMALL, TINY


@pytest.fixture(scope="module")
def problem() -> Problem:
    return blob_problem()[0]


def model_of(problem: Problem, shape: ModelShape, seed: int = 0) -> RadianceModel:
    """A model at its start, with some exposures and corrections."""
    model = RadianceModel(Setup.of(problem), shape, CPU, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for values in (model.exposure_logs, model.cameras.corrections, model.background_logits):
            values.add_(0.1 * torch.randn(values.shape, generator=generator))
    model.alpha = 1.5
    return model


def rays_of(model: RadianceModel, count: int = 40) -> tuple[Tensor, Rays]:
    generator = torch.Generator().manual_seed(4)
    images = torch.randint(len(model.setup.names), (count,), generator=generator)
    pixels = torch.rand(count, 2, generator=generator) * torch.tensor([20.0, 16.0])
    with torch.no_grad():
        return images, model.cameras.rays(images, pixels)


def with_blobs(model: RadianceModel) -> RadianceModel:
    """The same with a field that is known."""
    model.fields[0] = Blobs()
    with torch.no_grad():
        model.cameras.corrections.zero_()
    return model


def test_a_known_field_gives_the_photographs(problem: Problem) -> None:
    model = with_blobs(model_of(problem, ModelShape(TINY, 96)))
    rows, columns = np.indices((16, 20))
    pixels = torch.tensor(np.column_stack([columns.ravel(), rows.ravel()]) + 0.5).float()
    images = torch.full((320,), 7)
    with torch.no_grad():
        seen = model.render(model.cameras.rays(images, pixels), None, 1.0)
    photograph = problem.views[7].rgb.reshape(-1, 3) / 255.0
    assert np.abs(seen.rgb.numpy() - photograph).max() < 0.01
    middle = seen.depth.view(16, 20)[6:10, 8:12]
    assert 3.0 < float(middle.mean()) < 4.5
    assert float(seen.opacity.max()) <= 1.0 + 1e-5


def test_saved_and_loaded_it_renders_the_same_bits(problem: Problem, tmp_path: Path) -> None:
    """Two fields, exposures, a learned background, an endless unbounded scene, lens distortion."""
    distorted, _ = blob_problem(BlobSpec(distortion=(-0.1, 0.02, 0.001, -0.002)))
    endless = replace(
        distorted,
        depth_range=DepthRange(1.0, math.inf, inverse=True),
        bounded=False,
        background="learned",
    )
    model = model_of(endless, ModelShape(SMALL, 12, fine_samples=6, exposure=True))
    path = tmp_path / "model.arrays"
    path.write_bytes(b"".join(encode_arrays(model.to_arrays())))
    loaded = RadianceModel.from_arrays(read_arrays(path), CPU)
    assert loaded.alpha == 1.5 and loaded.setup.names == model.setup.names
    assert np.array_equal(loaded.setup.poses[3].rotation, model.setup.poses[3].rotation)
    images, _ = rays_of(model)
    for generator in (False, True):
        with torch.no_grad():
            one, other = (
                m.render(
                    m.cameras.rays(images, torch.full((40, 2), 7.25)),
                    images,
                    m.alpha,
                    torch.Generator().manual_seed(3) if generator else None,
                )
                for m in (model, loaded)
            )
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        assert torch.isfinite(one.rgb).all() and float(one.rgb.detach().std()) > 0.0


def test_samples_lie_where_the_field_was_dense_when_it_was_last_looked_at(
    problem: Problem, tmp_path: Path
) -> None:
    """A wall: at first samples are spread evenly, then most lie at it, and a loaded model's too."""
    shape = ModelShape(GridShape(resolution=16, details=1), samples=16, looks=32)
    model = model_of(replace(problem, bounded=False), shape)
    field = model.field
    assert isinstance(field, GridField)
    with torch.no_grad():
        field.values.fill_(-1.0)
        field.values[0, 8:] = 2.0
        model.cameras.corrections.zero_()
    _, rays = rays_of(model)

    def near_surface(model: RadianceModel) -> float:
        with torch.no_grad():
            seen = model.render(rays, None, float(field.bands))
        return float(((seen.depths - seen.depth[:, None]).abs() < 0.4).float().mean())

    spread = near_surface(model)
    field.refresh(float(field.bands))
    gathered = near_surface(model)
    assert gathered > 2.0 * spread > 0.0
    path = tmp_path / "model.arrays"
    path.write_bytes(b"".join(encode_arrays(model.to_arrays())))
    assert near_surface(RadianceModel.from_arrays(read_arrays(path), CPU)) == gathered


def test_arrays_that_are_not_a_model_are_refused_with_a_reason(problem: Problem) -> None:
    arrays = model_of(problem, ModelShape(TINY, 8)).to_arrays()
    weight = "fields.0.weights.0"
    text = arrays["model.json"].tobytes().decode()
    spoiled = arrays[weight].copy()
    spoiled[0, 0] = np.inf
    cases = {
        "no model.json": {k: v for k, v in arrays.items() if k != "model.json"},
        weight: {k: v for k, v in arrays.items() if k != weight},
        "version 7": {**arrays, "model.json": _bytes(text.replace('"format": 2', '"format": 7'))},
        "kind 'cloud'": {**arrays, "model.json": _bytes(text.replace('"mlp"', '"cloud"'))},
        "lacks 'setup'": {**arrays, "model.json": _bytes(text.replace('"setup"', '"sitting"'))},
        "Expecting": {**arrays, "model.json": _bytes(text[: len(text) // 2] + "}")},
        "not finite": {**arrays, weight: spoiled},
        r"\(8, 2\)": {**arrays, weight: arrays[weight][:, :2]},
        "float64": {**arrays, weight: arrays[weight].astype(np.float64)},
    }
    for reason, broken in cases.items():
        with pytest.raises(ValueError, match=reason):
            RadianceModel.from_arrays(broken, CPU)


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def test_exposure_is_of_the_photograph_and_mean_free(problem: Problem) -> None:
    model = model_of(problem, ModelShape(TINY, 8, exposure=True))
    images, rays = rays_of(model)
    with torch.no_grad():
        plain, exposed = (model.render(rays, of, 1.0).rgb for of in (None, images))
    assert torch.allclose(exposed, plain * model.gains()[images])
    assert (exposed - plain).abs().max() > 0.01
    assert torch.allclose(model.gains().log().mean(dim=0), torch.zeros(3), atol=1e-6)
    without = model_of(problem, ModelShape(TINY, 8, exposure=False))
    with torch.no_grad():
        assert torch.equal(without.render(rays, images, 1.0).rgb, plain)


@pytest.mark.parametrize(
    ("background", "seen"), [("white", 1.0), ("black", 0.0), ("none", 0.0), ("learned", 0.5)]
)
def test_rays_that_meet_nothing_see_the_background(
    problem: Problem, background: str, seen: float
) -> None:
    model = RadianceModel(
        Setup.of(replace(problem, background=background)),  # type: ignore[arg-type]
        ModelShape(TINY, 8),
        CPU,
        torch.Generator().manual_seed(0),
    )
    away = Rays(torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[0.0, 0.0, 1.0]]))
    with torch.no_grad():
        found = model.render(away, None, 0.0)
    assert found.rgb[0].tolist() == pytest.approx([seen] * 3)
    assert found.opacity.item() == 0.0


def test_gradients_reach_poses_and_focal_lengths_as_finite_differences_say(
    problem: Problem,
) -> None:
    """Through camera, sampling, field and quadrature, in double precision."""
    cameras = model_of(problem, ModelShape(TINY, 24)).cameras.double()
    images = torch.tensor([2, 5])
    pixels = torch.tensor([[7.0, 6.5], [11.0, 9.0]], dtype=torch.float64)

    def loss() -> Tensor:
        rays = cameras.rays(images, pixels)
        points = rays.origins[:, None] + rays.directions[:, None] * depths[:, None]
        density, _ = Blobs()(points.reshape(-1, 3), rays.directions, 1.0)
        total: Tensor = density.sum()
        return total

    depths = torch.linspace(3.0, 5.0, 24, dtype=torch.float64)
    loss().backward()  # type: ignore[no-untyped-call]
    for parameter, place in ((cameras.corrections, (2, 1)), (cameras.focal_logs, (0,))):
        assert parameter.grad is not None
        found = parameter.grad[place].item()
        with torch.no_grad():
            parameter[place] += 1e-6
            more = loss().item()
            parameter[place] -= 2e-6
            less = loss().item()
            parameter[place] += 1e-6
        assert found == pytest.approx((more - less) / 2e-6, rel=1e-4) and abs(found) > 1e-3


def test_bfloat16_gives_nearly_the_same_in_float32(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, but on this device, whether or not it pays there."""
    monkeypatch.setattr(model_module, "bfloat16_pays", lambda device: False)
    plain = model_of(problem, ModelShape(SMALL, 12))
    monkeypatch.setattr(model_module, "bfloat16_pays", lambda device: True)
    mixed = model_of(problem, ModelShape(SMALL, 12))
    _, rays = rays_of(plain)
    one, other = (m.render(rays, None, 3.0) for m in (plain, mixed))
    assert other.rgb.dtype == other.depth.dtype == torch.float32
    difference = (one.rgb - other.rgb).abs().max().item()
    assert 0.0 < difference < 0.03
    other.rgb.sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in mixed.fields.parameters()]
    assert all(g is not None and g.dtype == torch.float32 and g.isfinite().all() for g in gradients)


def test_the_published_network_has_the_published_shape() -> None:
    field = MlpField(MlpShape(), torch.Generator().manual_seed(0))
    shapes = [tuple(weight.shape) for weight in field.weights]
    assert shapes == [
        (256, 63),
        *[(256, 256)] * 3,
        (256, 256 + 63),
        *[(256, 256)] * 2,
        (257, 256),
        (128, 256 + 27),
        (3, 128),
    ]
    bound = math.sqrt(2.0) * math.sqrt(6.0 / (256 + 256))  # Xavier's, with the gain of a ReLU
    assert 0.95 * bound < float(field.weights[1].detach().abs().max()) <= bound
    density_bound = math.sqrt(6.0 / (256 + 1))
    assert 0.9 * density_bound < float(field.weights[7][0].detach().abs().max()) <= density_bound
    assert not any(bias.detach().any() for bias in field.biases)


def test_closed_bands_hide_detail_and_directions_too() -> None:
    """With no band open, the network sees coordinates alone; the start values need no global
    random state."""
    torch.manual_seed(1)
    field = MlpField(SMALL, torch.Generator().manual_seed(0))
    torch.manual_seed(2)
    again = MlpField(SMALL, torch.Generator().manual_seed(0))
    points = torch.rand(6, 3, generator=torch.Generator().manual_seed(1))
    directions = torch.nn.functional.normalize(points - 0.5)
    with torch.no_grad():
        for alpha in (0.0, 2.0, 4.0):
            one, other = (f(points, directions, alpha) for f in (field, again))
            assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
        density, rgb = field(points, directions, 0.0)
        field.weights[0][:, 3:] = 0.0
        field.weights[3][:, SMALL.width + 3 :] = 0.0
        assert torch.allclose(field(points, directions, 0.0)[0], density)
        assert torch.allclose(field(points, directions, 0.0)[1], rgb)
        assert not torch.allclose(
            field(points, directions, 4.0)[1], again(points, directions, 4.0)[1]
        )
    assert density.shape == (6,) and (density >= 0).all() and ((rgb > 0) & (rgb < 1)).all()


def test_setup_shares_cameras_with_equal_intrinsics_only(problem: Problem) -> None:
    smaller, _ = blob_problem(BlobSpec(width=10, height=8))
    mixed = replace(problem, views=(*problem.views[:6], *smaller.views[6:]))
    setup = Setup.of(mixed)
    assert setup.camera_of_image == (0,) * 6 + (1,) * 4
    assert [camera.width for camera in setup.cameras] == [20, 10]
    assert setup.scene_size == pytest.approx(4.0, rel=0.1)
