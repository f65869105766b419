"""Old or new content, never a part; and what a kill leaves behind goes away."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from pipeline import atomic_files
from pipeline.atomic_files import (
    clean_leftovers,
    make_folder,
    replacing_file,
    replacing_folder,
    temporary_beside,
    write_bytes,
)
from pipeline.errors import DiskFull, PipelineError


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _write_half_and_fail(path: Path) -> None:
    path.write_bytes(b"half")
    raise RuntimeError


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_bytes(path, b"old")
    write_bytes(path, b"new", b"er")
    assert path.read_bytes() == b"newer"
    assert names_in(path.parent) == ["a.txt"]


def test_an_error_while_writing_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), replacing_file(path) as temporary:
        _write_half_and_fail(temporary)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "title", "kind"),
    [
        (errno.ENOSPC, "No space left", DiskFull),
        (errno.EDQUOT, "No space left", DiskFull),
        (errno.EFBIG, "Cannot write", PipelineError),
        (errno.EIO, "Cannot write", PipelineError),
    ],
)
def test_a_refusing_disk_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    title: str,
    kind: type[PipelineError],
) -> None:
    path = tmp_path / "a.txt"
    write_bytes(path, b"old")

    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(PipelineError) as caught:
        write_bytes(path, b"new")
    assert caught.value.title == title and type(caught.value) is kind
    assert str(path) in caught.value.message
    assert path.read_bytes() == b"old"
    handed_over = pickle.loads(pickle.dumps(caught.value))
    assert type(handed_over) is kind and handed_over.hint == caught.value.hint


def test_new_folders_are_durable_before_what_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(atomic_files, "sync", lambda path: synced.append(path.name))
    write_bytes(tmp_path / "a" / "b" / "c.txt", b"new")
    assert synced[:2] == ["a", tmp_path.name] and synced[-1] == "b"
    synced.clear()
    write_bytes(tmp_path / "a" / "b" / "c.txt", b"newer")
    assert "a" not in synced and synced[-1] == "b"


@pytest.mark.parametrize("below", ["", "deep/er"])
@pytest.mark.parametrize("broken_link", [False, True])
def test_a_file_in_the_place_of_a_folder_is_named(
    tmp_path: Path, below: str, broken_link: bool
) -> None:
    file = tmp_path / "file"
    if broken_link:
        file.symlink_to("nowhere")
    else:
        file.touch()
    with pytest.raises(PipelineError) as caught:
        make_folder(file / below)
    assert caught.value.title == "Not a folder" and f"{file} is no folder" in caught.value.message
    assert "--out" in caught.value.hint


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "sparse"
    for content in ("old", "new"):
        with replacing_folder(target) as folder:
            (folder / "0").mkdir()
            (folder / "0" / content).write_text(content)
    assert [path.name for path in (target / "0").iterdir()] == ["new"]
    assert names_in(tmp_path) == ["sparse"]


def test_leftovers_are_removed_and_a_folder_moved_aside_returns(tmp_path: Path) -> None:
    (tmp_path / "features" / "ab").mkdir(parents=True)
    kept = tmp_path / "features" / "ab" / "item.arrays"
    kept.write_bytes(b"1")
    temporary_beside(kept).write_bytes(b"half")
    temporary_beside(tmp_path / "sparse").mkdir()
    (tmp_path / ".sparse.old").mkdir()
    (tmp_path / ".sparse.old" / "model").write_bytes(b"old")
    assert clean_leftovers(tmp_path) == 3
    assert kept.exists()
    assert (tmp_path / "sparse" / "model").read_bytes() == b"old"
    assert clean_leftovers(tmp_path) == 0


def test_a_folder_moved_aside_gives_way_to_its_successor(tmp_path: Path) -> None:
    (tmp_path / "sparse").mkdir()
    (tmp_path / ".sparse.old").mkdir()
    clean_leftovers(tmp_path)
    assert names_in(tmp_path) == ["sparse"]
