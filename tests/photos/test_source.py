"""Which files of a folder are photographs, and what is wrong with a folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.photos.source import PhotoSource, list_photos


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def names_of(root: Path, masks: Path | None = None) -> list[str]:
    return [name for name, _ in list_photos(PhotoSource(root), masks).photos]


def reasons_of(root: Path) -> dict[str, str]:
    return {photo.name: photo.reason for photo in list_photos(PhotoSource(root)).refused}


def test_folder_is_read_with_all_below_it_in_byte_order(tmp_path: Path) -> None:
    files = ["b.jpg", "a/z.PNG", "a/y.tiff", "B.webp", "a.jpeg", "é.jpg", "c.tif"]
    touch(*(tmp_path / name for name in files), tmp_path / "notes.txt", tmp_path / "noextension")
    assert names_of(tmp_path) == [
        "B.webp", "a.jpeg", "a/y.tiff", "a/z.PNG", "b.jpg", "c.tif", "é.jpg",
    ]  # fmt: skip


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "._a.jpg", tmp_path / ".cache" / "b.jpg")
    assert names_of(tmp_path) == ["a.jpg"]


def test_only_images_is_read_if_there_is_one(tmp_path: Path) -> None:
    touch(tmp_path / "poster.jpg", tmp_path / "images" / "a.jpg", tmp_path / "images/in/b.jpg")
    listing = list_photos(PhotoSource(tmp_path))
    assert [name for name, _ in listing.photos] == ["a.jpg", "in/b.jpg"]
    assert listing.folder == tmp_path / "images"


def test_the_mask_folder_is_not_read_as_photographs(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "masks" / "a.jpg.png")
    assert names_of(tmp_path, tmp_path / "masks") == ["a.jpg"]
    assert names_of(tmp_path) == ["a.jpg", "masks/a.jpg.png"]


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    photos = tmp_path / "photos"
    touch(elsewhere / "far.jpg", photos / "near.jpg")
    (photos / "link").symlink_to(elsewhere)
    (photos / "zz_again").symlink_to(elsewhere)
    (photos / "loop").symlink_to(photos)
    (elsewhere / "back").symlink_to(photos)
    (photos / "one.jpg").symlink_to(elsewhere / "far.jpg")
    assert names_of(photos) == ["link/far.jpg", "near.jpg", "one.jpg"]


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    reasons = reasons_of(tmp_path)
    assert names_of(tmp_path) == ["a.jpg"]
    assert "does not exist" in reasons["gone.jpg"]
    assert "cannot be reached" in reasons["self.jpg"]
    assert "regular file" in reasons["pipe.jpg"]


def test_names_with_spaces_unicode_and_newlines_are_kept(tmp_path: Path) -> None:
    names = ["with space.jpg", "line\nbreak.jpg", "Füße 足.jpg", "quote'\".jpg"]
    touch(*(tmp_path / name for name in names))
    assert sorted(names_of(tmp_path)) == sorted(names)


def test_a_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jpg")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such names")
    reasons = reasons_of(tmp_path)
    assert names_of(tmp_path) == ["a.jpg"]
    assert reasons == {"bad�.jpg": "its name is not valid UTF-8; rename it"}


def test_other_pictures_and_videos_are_refused_with_what_to_do(tmp_path: Path) -> None:
    touch(tmp_path / "a.heic", tmp_path / "b.CR2", tmp_path / "c.mp4")
    reasons = reasons_of(tmp_path)
    assert names_of(tmp_path) == []
    assert reasons["a.heic"].startswith("HEIC is not read; convert")
    assert reasons["b.CR2"].startswith("CR2 is not read")
    assert "on its own" in reasons["c.mp4"]


@pytest.mark.parametrize("kind", ["missing", "empty", "only text", "a file"])
def test_a_folder_without_photographs_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "photos"
    if kind == "a file":
        root.write_text("x")
    elif kind != "missing":
        root.mkdir()
        if kind == "only text":
            (root / "notes.txt").write_text("x")
    with pytest.raises(PipelineError) as caught:
        list_photos(PhotoSource(root))
    assert str(root) in caught.value.message
    assert caught.value.hint


def test_an_unreadable_folder_is_an_error_and_an_unreadable_subfolder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "locked" / "b.jpg")
    scandir = os.scandir
    locked = {tmp_path / "locked"}

    def guarded(folder: Path) -> object:
        if folder in locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert reasons_of(tmp_path) == {"locked/": "the folder cannot be opened: Permission denied"}
    locked.add(tmp_path)
    with pytest.raises(PipelineError, match="cannot be opened"):
        list_photos(PhotoSource(tmp_path))


def test_a_list_of_files_is_named_from_their_common_folder(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.jpg", tmp_path / "two" / "b.jpg", tmp_path / "two" / "c.jpg")
    files = [tmp_path / "two/b.jpg", tmp_path / "one/a.jpg", tmp_path / "two/b.jpg"]
    listing = list_photos(PhotoSource.of_files(files))
    assert [name for name, _ in listing.photos] == ["one/a.jpg", "two/b.jpg"]
    assert listing.folder == tmp_path


def test_a_list_with_a_missing_file_or_nothing_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    with pytest.raises(PipelineError, match=r"b\.jpg does not exist"):
        list_photos(PhotoSource.of_files([tmp_path / "a.jpg", tmp_path / "b.jpg"]))
    with pytest.raises(PipelineError, match="empty"):
        PhotoSource.of_files([])


def test_a_video_is_known_by_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "walk.MP4")
    assert PhotoSource(tmp_path / "walk.MP4").is_video
    assert not PhotoSource(tmp_path).is_video
    assert not PhotoSource(tmp_path / "missing.mp4").is_video
