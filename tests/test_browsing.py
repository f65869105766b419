"""What people see of a run's photographs and pairs: the same as its products say."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.browsing import Browser, NotThere, NotYet
from pipeline.depth_index import depth_file, has_depth
from pipeline.errors import PipelineError
from pipeline.formats.bundle import unpack
from pipeline.item_store import DiskStore
from pipeline.manifest import Ingredients, StageEntry
from pipeline.photograph_facts import read_photographs
from pipeline.plain_pairs import PAIR_KINDS
from pipeline.products import PairKind
from pipeline.run_directory import RunDirectory
from tests.dashboard.photograph_run import KEYPOINTS, REASON
from tests.viewer.run_to_browse import (
    INLIERS,
    MATCHES,
    PHOTOGRAPHS,
    STAGES,
    F,
    finish,
    give_depth,
    write_run_to_browse,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browse") / "run"
    write_run_to_browse(root)
    return root


def array(data: Any, dtype: str, *shape: int) -> np.ndarray:
    return np.frombuffer(data, dtype).reshape(shape)


def test_kinds_are_those_of_the_products() -> None:
    words = [kind.name.lower().replace("_", " ") for kind in PairKind]
    assert list(PAIR_KINDS) == words and [*PairKind] == [*range(len(words))]


def test_facts_are_those_of_the_dashboard(root: Path) -> None:
    found = asyncio.run(Browser(root).facts())
    told = json.loads(gzip.decompress(found.photographs))
    expected = read_photographs(root, STAGES)
    assert told["gaps"] == list(expected.gaps) == []
    assert len(told["photographs"]) == PHOTOGRAPHS + 1
    for i, (one, facts) in enumerate(zip(told["photographs"], expected.facts, strict=True)):
        assert (one["index"], one["name"], one["registered"]) == (i, facts.name, facts.registered)
        names = ("reason", "keypoints", "matches", "inliers", "partners", "points")
        assert {name: one[name] for name in names} == {n: getattr(facts, n) for n in names}
        assert (one["width"], one["height"]) == (facts.size or (None, None))
        assert one["error_px"] == pytest.approx(facts.error_px, rel=1e-5)
    assert told["photographs"][4]["reason"] == REASON
    pairs = json.loads(gzip.decompress(found.pairs))["pairs"]
    assert pairs == [
        [0, 1, 4, 2, "planar", "", 4.5],
        [0, 2, 4, 0, "degenerate", "9 inliers, 15 needed", None],
        [1, 2, 0, None, "", "no matches", None],
    ]
    assert sorted(found.seen) == [0, 1, 2, 3, 5]


def test_facts_are_found_once_for_all_and_anew_when_a_stage_is(tmp_path: Path) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)
    browser = Browser(root)

    async def work() -> None:
        first, second = await asyncio.gather(browser.facts(), browser.facts())
        assert first is second is await browser.facts()
        with RunDirectory(root, "0.1.0") as directory:
            directory.forget("mapping", "verification")
        less = await browser.facts()
        assert less.version != first.version and not less.seen
        pairs = json.loads(gzip.decompress(less.pairs))["pairs"]
        assert pairs[0] == [0, 1, 4, None, "", "", None]

    asyncio.run(work())


def test_keypoints_are_passed_on_as_they_were_stored(root: Path) -> None:
    browser = Browser(root)
    stored = DiskStore(root, writes=False).get("features", f"{0:032x}")["keypoints"]
    header, parts = unpack(browser.keypoints(0))
    assert (header["kind"], header["index"], list(parts)) == ("keypoints", 0, ["keypoints"])
    assert np.array_equal(array(parts["keypoints"], "<f4", KEYPOINTS, 4), stored)
    seen = asyncio.run(browser.facts()).seen[0]
    _, parts = unpack(browser.keypoints(0, seen))
    half = KEYPOINTS // 2
    assert array(parts["sees_point"], "u1", KEYPOINTS).tolist() == [1] * half + [0] * half
    _, parts = unpack(browser.keypoints(0, b"12345"))  # of another attempt
    assert "sees_point" not in parts


def test_matches_before_and_after_verification(root: Path) -> None:
    browser = Browser(root)
    header, parts = unpack(browser.matches(0, 1))
    assert (header["kind"], header["two_view"], header["reason"]) == ("matches", "planar", "")
    assert header["F"] == F.ravel().tolist() and header["E"] is None and header["H"] is None
    assert header["angle_deg"] == 4.5
    assert np.array_equal(array(parts["matches"], "<u4", 4, 2), MATCHES)
    assert np.array_equal(array(parts["inliers"], "<u4", 2, 2), INLIERS)
    header, parts = unpack(browser.matches(0, 2))
    assert (header["two_view"], header["reason"]) == ("degenerate", "9 inliers, 15 needed")
    assert header["angle_deg"] is None and not parts["inliers"]
    header, parts = unpack(browser.matches(1, 2))
    assert (header["two_view"], header["reason"]) == ("", "no matches")
    assert not parts["matches"] and not parts["inliers"]
    for pair in ((0, 3), (1, 0), (5, 6), (0, 0)):
        with pytest.raises(NotThere, match="not compared"):
            browser.matches(*pair)


def test_depth_maps_are_passed_on_as_they_were_stored(tmp_path: Path) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)
    browser = Browser(root)
    with pytest.raises(NotYet):
        browser.depth(0)
    depth = give_depth(root)
    header, parts = unpack(browser.depth(0))
    assert header["kind"] == "depth"
    assert np.array_equal(array(parts["depth"], "<f4", 2, 3), depth)
    for number in (1, PHOTOGRAPHS):
        with pytest.raises(NotThere):
            browser.depth(number)
    path = depth_file(root, "00000.jpg")
    for damaged in (path.read_bytes()[:-1], b"3&2&3&" + bytes(24), b"\xff", b""):
        path.write_bytes(damaged)
        with pytest.raises(PipelineError, match="cannot be read"):
            browser.depth(0)
    secret = tmp_path / "secret"
    secret.write_bytes(b"1&1&1&" + bytes(4))
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(NotThere):
        browser.depth(0)


def test_facts_tell_whose_depth_is_known_and_when_it_may_be_another(tmp_path: Path) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)

    def told() -> list[str | None]:
        facts = json.loads(gzip.decompress(asyncio.run(Browser(root).facts()).photographs))
        return [photograph["depth"] for photograph in facts["photographs"]]

    assert told() == [None] * (PHOTOGRAPHS + 1)
    give_depth(root)
    first, *others = told()
    assert first and set(others) == {None}
    assert not has_depth(root, 250 * "a")
    with RunDirectory(root, "0.1.0") as directory:
        made = Ingredients("depth", 1, {"of": "another depth"}, {}, {})
        directory.record(StageEntry(made, 1.0, {}))
    assert told()[0] not in (first, None)


def test_what_no_stage_has_made_yet_is_said(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with RunDirectory(root, "0.1.0"):
        browser = Browser(root)
        for ask in (
            lambda: browser.thumbnail(0),
            lambda: browser.keypoints(0),
            lambda: browser.depth(0),
            lambda: browser.matches(0, 1),
        ):
            with pytest.raises(NotYet, match="is not done"):
                ask()
    facts = asyncio.run(browser.facts())
    assert json.loads(gzip.decompress(facts.photographs)) == {"photographs": [], "gaps": []}
    with pytest.raises(NotThere):
        browser.planar()
    assert browser.films() == []


def test_a_photograph_is_sent_only_where_it_is_a_picture(root: Path) -> None:
    browser = Browser(root)
    assert browser.picture(0).path.name == "a.jpg"
    for number in (1, 2, 3):  # a browser shows no TIFF; a text is no picture; one is away
        assert browser.picture(number) == browser.thumbnail(number)
    for number in (-1, PHOTOGRAPHS, 10**8):
        with pytest.raises(NotThere):
            browser.picture(number)


@pytest.mark.parametrize("text", ["[]", "{", '{"photos": 7}', '{"photos": [{}]}', ""])
def test_damaged_files_are_errors_with_words(tmp_path: Path, text: str) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)
    (root / "photos" / "index.json").write_text(text)
    with pytest.raises(PipelineError):
        Browser(root).picture(0)
    (root / "features" / "index.arrays").write_bytes(b"BFARRAY1")
    with pytest.raises(PipelineError):
        Browser(root).keypoints(0)
    assert asyncio.run(Browser(root).facts()).version


def test_a_link_that_leads_out_of_the_run_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "run"
    write_run_to_browse(root)
    (tmp_path / "secret").write_text("secret")
    preview = root / "mapping" / "previews" / "00000099.scene"
    preview.symlink_to(tmp_path / "secret")
    (root / "renders" / "link.mp4").symlink_to(tmp_path / "secret")
    browser = Browser(root)
    with pytest.raises(NotThere):
        browser.preview("mapping", preview.name)
    with pytest.raises(NotThere):
        browser.film("link.mp4")
    assert browser.preview("mapping", "00000012.scene").read_bytes() == b"preview of mapping"


def test_films_are_named_after_their_folders(root: Path) -> None:
    browser = Browser(root)
    assert {film.name for film in browser.films()} == {"flight.mp4", "orbit.mp4"}
    assert browser.film("flight.mp4").read_bytes() == b"mp4 of a flight"
    for name in ("notes.txt", "../run.toml", "flight", ""):
        with pytest.raises(NotThere):
            browser.film(name)


def test_only_the_files_of_a_cloud_are_its_files(root: Path) -> None:
    browser = Browser(root)
    cloud = next((root / "clouds").iterdir()).name
    assert browser.cloud_file(cloud, "points.bin").is_file()
    for name, file in (
        (cloud, "cloud.json"), (cloud, "secret.txt"), (cloud, "../manifest.json"),
        ("sparse-000000000000", "points.bin"), ("..", "points.bin"), ("", "points.bin"),
    ):  # fmt: skip
        with pytest.raises(NotThere):
            browser.cloud_file(name, file)


def test_browsing_imports_nothing_that_computes() -> None:
    heavy = "[m for m in ('numpy', 'cv2', 'scipy', 'torch') if m in sys.modules]"
    code = f"import sys, pipeline.browsing; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(PipelineError):
        asyncio.run(Browser(tmp_path / "nothing").facts())
    finish_only = tmp_path / "run"
    with RunDirectory(finish_only, "0.1.0"):
        pass
    finish(finish_only, "ingest")
    with pytest.raises(NotThere):
        Browser(finish_only).picture(0)
