"""The stage `planar`: its products, that it goes on where it was, and the images that it takes."""

from __future__ import annotations

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.codecs import load_product, save_product
from pipeline.errors import PipelineError, Stopped
from pipeline.events import Metric, Report
from pipeline.item_store import DiskStore
from pipeline.photos.source import PhotoSource
from pipeline.planar_config import PlanarConfig
from pipeline.products import ItemStore, MemoryStore, PlanarAlignment
from pipeline.radiance.planar import race
from pipeline.radiance.planar.alignment import Alignment, Figures, judge
from pipeline.radiance.planar.image_file import read_image
from pipeline.radiance.planar.patches import Patches
from pipeline.radiance.planar.stage import AlignPlanar
from pipeline.runner import ForegroundControl
from pipeline.stage import Checkpoint, Stage
from tests.contracts.stage_contract import StageContract
from tests.radiance.planar.textures import WIDTH, small, texture

TWO = ["smooth-grid", "barf"]


class KeepingControl(ForegroundControl):
    """Keeps checkpoints in memory, and stops when that of step `stop_at` is kept."""

    def __init__(self, kept: Checkpoint | None = None, stop_at: int | None = None) -> None:
        super().__init__(MemoryStore(), ThreadPoolExecutor(1), 1, threading.Event())
        self.kept = kept
        self._stop_at = stop_at

    def checkpoint_due(self, step: int) -> bool:
        return True

    def save_checkpoint(self, checkpoint: Checkpoint, step: int) -> None:
        self.kept = Checkpoint(checkpoint.arrays, json.loads(json.dumps(dict(checkpoint.data))))
        if step == self._stop_at:
            self._stop.set()

    def load_checkpoint(self) -> Checkpoint | None:
        return self.kept


def picture_file(folder: Path) -> Path:
    """The texture as a file."""
    path = folder / "texture.png"
    Image.fromarray(texture()).save(path)
    return path


def align(path: Path, config: PlanarConfig, control: KeepingControl) -> tuple[list[Any], Any]:
    """Records and product of the stage."""
    work = AlignPlanar().run({"source": PhotoSource.of_files([path])}, config, control)
    records = []
    while True:
        try:
            records.append(next(work))
        except StopIteration as end:
            return records, end.value["planar"]


class TestAlignPlanar(StageContract):
    @pytest.fixture(autouse=True)
    def _picture(self, tmp_path: Path) -> None:
        self.path = picture_file(tmp_path)

    def make_stage(self) -> Stage:
        return AlignPlanar()

    def make_inputs(self, store: ItemStore) -> dict[str, Any]:
        return {"source": PhotoSource.of_files([self.path])}

    def make_config(self) -> PlanarConfig:
        return small(methods=["smooth-grid"], steps=2)


def test_a_stage_that_goes_on_makes_the_same_product(tmp_path: Path) -> None:
    path, config = picture_file(tmp_path), small(steps=4, methods=TWO)
    records, whole = align(path, config, KeepingControl())
    stopped = KeepingControl(stop_at=2)
    with pytest.raises(Stopped):
        align(path, config, stopped)
    _, resumed = align(path, config, KeepingControl(stopped.kept))
    assert resumed.curves == whole.curves
    assert resumed.animation == whole.animation and resumed.plot == whole.plot

    told = {record.name for record in records if isinstance(record, Metric)}
    assert told == {f"{kind}.{m}" for kind in ("psnr", "warp_error") for m in TWO}
    (report,) = [record.data for record in records if isinstance(record, Report)]
    assert set(report["methods"]) == set(TWO)  # type: ignore[arg-type]
    for method in TWO:
        curve = whole.curves["methods"][method]
        assert curve["step"] == list(range(5))
        assert 0.2 < curve["warp_error"][0] < 0.5 and 5 < curve["psnr"][-1] < 40
    animation = Image.open(io.BytesIO(whole.animation))
    assert animation.n_frames == 5 and animation.width == 2 * 240 + 3 * 10  # type: ignore[attr-defined]

    save_product("planar", whole, tmp_path)
    loaded = load_product("planar", tmp_path, DiskStore(tmp_path))
    assert isinstance(loaded, PlanarAlignment) and loaded.curves == whole.curves
    assert (tmp_path / "animation.gif").read_bytes() == whole.animation
    assert json.loads((tmp_path / "curves.json").read_text())["patch_px"] == 45


def test_the_end_is_judged_once_from_all_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race, "_JUDGED_PIXELS", 9)
    judged: list[int | None] = []

    def counted(alignment: Alignment, patches: Patches, most_pixels: int | None = None) -> Figures:
        judged.append(most_pixels)
        return judge(alignment, patches, most_pixels)

    monkeypatch.setattr(race, "judge", counted)
    config = small(methods=["smooth-grid"], steps=4)
    records, product = align(picture_file(tmp_path), config, KeepingControl())
    assert judged == [9, 9, 9, 9, None]
    curve = product.curves["methods"]["smooth-grid"]
    methods: Any
    (methods,) = [record.data["methods"] for record in records if isinstance(record, Report)]
    told = [record.value for record in records if isinstance(record, Metric)]
    for name in ("warp_error", "psnr"):
        end = curve[name][-1]
        assert curve["final"][name] == methods["smooth-grid"][name] == end
        assert end in told


def test_rates_that_blow_up_are_named(tmp_path: Path) -> None:
    config = small(methods=["full"], steps=12, warp_rate=1.0, network_rate=1.0)
    config = config.model_copy(update={"warp_rate": 1e30})
    with pytest.raises(PipelineError, match="full has no finite") as caught:
        align(picture_file(tmp_path), config, KeepingControl())
    assert "planar.warp_rate" in caught.value.hint


@pytest.mark.parametrize("mode", ["L", "RGBA", "RGB"])
def test_pictures_of_every_kind_are_read_as_colours(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(texture(200, 150)).convert(mode).save(path)
    image = read_image(path, WIDTH)
    assert image.shape == (90, 120, 3) and image.dtype == np.uint8
    grey = bool((image[..., 0] == image[..., 1]).all())
    assert grey == (mode == "L")


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("no picture")
    with pytest.raises(PipelineError, match=r"text\.png.*no JPEG"):
        read_image(path, WIDTH)
    Image.fromarray(texture(20, 15)).save(path)
    with pytest.raises(PipelineError, match="20x15 pixels"):
        read_image(path, WIDTH)
    with pytest.raises(PipelineError, match="No such file"):
        read_image(tmp_path / "none.png", WIDTH)


def test_one_image_is_needed(tmp_path: Path) -> None:
    path = picture_file(tmp_path)
    sources = PhotoSource(tmp_path), PhotoSource.of_files([path, path])
    for source in sources:
        work = AlignPlanar().run({"source": source}, small(), KeepingControl())
        with pytest.raises(PipelineError, match="takes one image"):
            list(work)


def test_each_method_once() -> None:
    with pytest.raises(ValueError, match="each method once"):
        small(methods=["barf", "barf"])
    with pytest.raises(ValueError, match="smooth-grid"):
        small(methods=["smoothgrid"])
