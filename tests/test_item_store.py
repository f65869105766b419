"""Items come back as they were put, from memory and from disk; damage is noticed."""

from __future__ import annotations

import errno
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from pipeline import item_store
from pipeline.array_files import (
    DamagedFile,
    encode_arrays,
    read_arrays,
    strings_as_array,
    strings_from_array,
)
from pipeline.errors import DiskFull
from pipeline.item_store import QUEUE_ITEMS, DiskStore, LostItem

ITEM: dict[str, np.ndarray] = {
    "keypoints": np.arange(12, dtype=np.float32).reshape(3, 4),
    "none": np.zeros((0, 2)),
}
ANY_ARRAY = arrays_of.arrays(
    st.sampled_from([np.uint8, np.uint32, np.int64, np.float32, np.float64, np.bool_]),
    arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.dictionaries(st.text(max_size=8), ANY_ARRAY, max_size=4))
def test_arrays_survive_a_file(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "a.arrays"
    path.write_bytes(b"".join(encode_arrays(arrays)))
    read = read_arrays(path)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)
        assert read[name].flags.writeable and read[name].flags.aligned


@settings(derandomize=True, deadline=None, max_examples=60)
@given(position=st.floats(0, 1, exclude_max=True), cut=st.booleans())
def test_any_damage_to_a_file_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, position: float, cut: bool
) -> None:
    whole = b"".join(encode_arrays(ITEM))
    at = int(position * len(whole))
    damaged = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    path = tmp_path_factory.mktemp("damaged") / "a.arrays"
    path.write_bytes(damaged)
    with pytest.raises(DamagedFile):
        read_arrays(path)


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="names"):
        encode_arrays({"names": np.array(["a", None], dtype=object)})


def test_any_text_survives_as_an_array() -> None:
    texts = ("", "a\nb", "Ünï", "\udc80")
    assert strings_from_array(strings_as_array(texts)) == texts


def test_an_item_is_there_at_once_and_after_reopening(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    assert not store.has("features", "abc")
    store.put("features", "abc", ITEM)
    assert store.has("features", "abc")
    store.flush()
    for reader in (store, DiskStore(tmp_path), pickle.loads(pickle.dumps(store))):
        for name, array in reader.get("features", "abc").items():
            np.testing.assert_array_equal(array, ITEM[name])
    assert (tmp_path / "features" / "ab" / "abc.arrays").exists()


def test_storing_again_changes_nothing(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    store.put("matches", "k1", {"matches": np.zeros(3)})
    store.put("matches", "k1", {"matches": np.ones(3)})
    store.flush()
    assert DiskStore(tmp_path).get("matches", "k1")["matches"].tolist() == [0, 0, 0]


def test_a_missing_item_is_lost(tmp_path: Path) -> None:
    with pytest.raises(LostItem, match="missing"):
        DiskStore(tmp_path).get("features", "abc")


@pytest.mark.parametrize("size", [0, 10, 150])
def test_a_short_file_counts_as_absent_with_a_warning(tmp_path: Path, size: int) -> None:
    store = DiskStore(tmp_path)
    store.put("features", "abc", ITEM)
    store.flush()
    path = store.path_of("features", "abc")
    path.write_bytes(path.read_bytes()[:size])
    again = DiskStore(tmp_path)
    assert not again.has("features", "abc")
    assert str(path) in again.take_warnings()[0]
    assert again.take_warnings() == []
    again.put("features", "abc", ITEM)
    again.flush()
    assert DiskStore(tmp_path).has("features", "abc")


def test_memory_is_bounded_and_nothing_is_lost(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, memory_bytes=3 * 8000)
    for number in range(20):
        store.put("features", f"{number:04d}", {"values": np.full(1000, number, np.int64)})
    store.flush()
    for number in range(20):
        assert store.get("features", f"{number:04d}")["values"][0] == number


def test_many_threads_put_many_items(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)

    def put(start: int) -> None:
        for number in range(start, 200, 4):
            store.put("matches", f"{number:03d}x", {"n": np.array([number])})

    threads = [threading.Thread(target=put, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    reopened = DiskStore(tmp_path)
    found = [int(reopened.get("matches", f"{n:03d}x")["n"][0]) for n in range(200)]
    assert found == list(range(200))


def test_flush_makes_new_folders_durable_up_to_the_run_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(item_store, "sync", synced.append)
    store = DiskStore(tmp_path)
    store.put("features", "abc", ITEM)
    store.flush()
    folder = store.path_of("features", "abc").parent
    assert set(synced) == {folder, folder.parent, tmp_path} and folder.parent.parent == tmp_path


def test_a_full_disk_is_told_and_the_item_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DiskStore(tmp_path)

    def refuse(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        store.put("features", "abc", ITEM)
        with pytest.raises(DiskFull, match="No space left"):
            store.flush()
    assert not store.has("features", "abc")
    store.put("features", "abc", ITEM)
    store.flush()
    assert DiskStore(tmp_path).has("features", "abc")


def test_a_failure_that_nobody_heard_of_does_not_fail_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DiskStore(tmp_path)
    refused = threading.Event()

    def refuse(handle: int) -> None:
        refused.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        store.put("features", "late", ITEM)
        assert refused.wait(10)
    store.begin_anew()
    assert not store.has("features", "late")
    store.put("features", "abc", ITEM)
    store.flush()
    store.begin_anew()  # and what was written well stays
    assert store.has("features", "abc") and not DiskStore(tmp_path).has("features", "late")


def test_another_process_reads_through_one_store_that_does_not_write(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    store.put("features", "abc", ITEM)
    store.flush()
    reader = pickle.loads(pickle.dumps(store))
    assert reader is pickle.loads(pickle.dumps(store)) is not store
    with pytest.raises(ValueError, match="writes"):
        reader.put("features", "other", ITEM)
    path = store.path_of("features", "abc")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LostItem, match="damaged"):
        reader.get("features", "abc")
    assert path.exists()  # only the run's own process removes what it finds damaged


class SlowDisk:
    """Every sync waits until it is let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        fsync = os.fsync

        def wait(handle: int) -> None:
            self.gate.wait()
            fsync(handle)

        monkeypatch.setattr(os, "fsync", wait)


def test_to_settle_is_to_wait_for_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SlowDisk(monkeypatch)
    store = DiskStore(tmp_path)
    store.put("features", "abc", ITEM)
    path = store.path_of("features", "abc")
    there: list[bool] = []

    def settle() -> None:
        store.settle("features", "abc")
        there.append(path.exists())

    waiting = threading.Thread(target=settle)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive() and not path.exists()
    disk.gate.set()
    waiting.join()
    assert there == [True]
    store.settle("features", "never put")


def test_what_a_kill_can_lose_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SlowDisk(monkeypatch)
    store = DiskStore(tmp_path)
    taken: list[int] = []

    def put() -> None:
        for number in range(2 * QUEUE_ITEMS):
            store.put("matches", f"{number:04d}", {"n": np.array([number])})
            taken.append(number)

    putting = threading.Thread(target=put)
    putting.start()
    putting.join(1.0)
    assert putting.is_alive() and len(taken) == QUEUE_ITEMS
    disk.gate.set()
    putting.join()
    store.flush()
    assert len(list(tmp_path.rglob("*.arrays"))) == 2 * QUEUE_ITEMS
