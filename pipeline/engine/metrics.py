"""The metrics of a run: every value in a file, and a curve of each metric in memory.

`metrics/<stage>.<name>.f64` begins with a magic word, the length of what follows, and stage, name
and unit as JSON; then come records of step (int64), seconds since the epoch and value (float64),
little endian.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO
from urllib.parse import quote

from pipeline.engine.append_file import AppendFile
from pipeline.engine.curve import Curve
from pipeline.engine.messages import Bucket
from pipeline.events import Metric

METRICS = "metrics"
MOST_SERIES = 100
MOST_WAITING_BYTES = 16 * 2**20
RECORD = struct.Struct("<qdd")
_MAGIC = b"bfmetric"
_LENGTH = struct.Struct("<I")
_LONGEST_HEADER_BYTES = 64 * 1024
_LONGEST_FILE_NAME = 120
_RECORDS_PER_READ = 4096
_LARGEST_STEP = 2**63 - 1
Key = tuple[str, str]  # stage, name
Batch = dict[Path, bytes]


@dataclass
class _Series:
    """curve: None until the file was read; values that come earlier are in `early`. waiting: what
    goes to the file next."""

    path: Path
    newest: Metric
    curve: Curve | None = None
    early: list[tuple[int, float]] = field(default_factory=list)
    waiting: bytearray = field(default_factory=bytearray)


class MetricStore:
    """Keeps the metrics of a run in a folder.

    `open`, `read_curves`, `write` and `close` read and write files, one of them at a time, in any
    thread; the others belong to the event loop.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._series: dict[Key, _Series] = {}
        self._found: dict[Key, tuple[Path, int]] = {}
        self._files: dict[Path, AppendFile] = {}
        self._waiting_bytes = 0
        self._lost = 0
        self.damages: list[str] = []

    def open(self, *, mends: bool = True) -> None:
        """Find the metrics that are there, and put aside what is none. mends: else that stays, and
        is passed over. Raises OSError where they cannot be read."""
        for path in sorted(self._folder.glob("*.f64")):
            with path.open("rb") as file:
                try:
                    stage, name, unit = read_header(file)
                except (ValueError, KeyError, TypeError):
                    if not mends:
                        continue
                    aside = path.replace(path.with_name(f"{path.name}.damaged"))
                    self.damages.append(f"{METRICS}/{path.name}: now {aside.name}, begins anew")
                    continue
                size, step, value = _last_record(file)
            self._series[stage, name] = _Series(path, Metric(name, value, step, unit))
            self._found[stage, name] = (path, size)

    def read_curves(self) -> Mapping[Key, Curve]:
        """The curves of the metrics that were found; may take seconds."""
        return {key: self._read_curve(*found) for key, found in self._found.items()}

    def set_curves(self, curves: Mapping[Key, Curve]) -> None:
        """Take over what was read. A metric that could not be read begins anew."""
        for key, series in self._series.items():
            if series.curve is None:
                series.curve = curves.get(key, Curve())
                for step, value in series.early:
                    series.curve.add(step, value)
                series.early.clear()

    def newest(self) -> Iterator[tuple[str, Metric]]:
        """Stage and newest value of every metric."""
        for (stage, _), series in self._series.items():
            yield stage, series.newest

    def add(self, stage: str, metric: Metric, time: float) -> bool:
        """Keep a value that is a `plain_metric`; time: seconds since the epoch. False where there
        are too many metrics to begin another one."""
        series = self._series.get((stage, metric.name))
        if series is None:
            if len(self._series) >= MOST_SERIES:
                return False
            path = self._folder / _file_name(stage, metric.name)
            series = _Series(path, metric, Curve(), waiting=_header(stage, metric))
            self._series[stage, metric.name] = series
        series.newest = metric
        if series.curve is None:
            series.early.append((metric.step, metric.value))
        else:
            series.curve.add(metric.step, metric.value)
        if self._waiting_bytes < MOST_WAITING_BYTES:
            series.waiting += RECORD.pack(metric.step, time, metric.value)
            self._waiting_bytes += RECORD.size
        else:
            self._lost += 1
        return True

    def buckets(self, stage: str, name: str, most: int) -> tuple[Bucket, ...]:
        """A metric in at most that many buckets; KeyError for an unknown one."""
        curve = self._series[stage, name].curve
        return () if curve is None else curve.buckets(most)

    def take(self) -> Batch:
        """What is to be written: for `write`, until nothing is left of it."""
        batch: Batch = {}
        for series in self._series.values():
            if series.waiting:
                batch[series.path] = bytes(series.waiting)
                series.waiting.clear()
        self._waiting_bytes = 0
        return batch

    def take_lost(self) -> int:
        """The number of values since the last call that came while too many waited: they are in no
        file."""
        lost, self._lost = self._lost, 0
        return lost

    def write(self, batch: Batch) -> None:
        """Append what was taken. Raises OSError where the disk refuses; `batch` keeps the rest."""
        sizes = dict(self._found.values())
        for path in list(batch):
            if path not in self._files:
                self._files[path] = AppendFile(path, sizes.get(path, 0))
            self._files[path].append(batch[path])
            del batch[path]

    def close(self) -> None:
        """Sync and close the files. Raises OSError where the disk refuses."""
        files = list(self._files.values())
        self._files.clear()
        try:
            for file in files:
                file.sync()
        finally:
            for file in files:
                file.close()

    def _read_curve(self, path: Path, size: int) -> Curve:
        curve = Curve()
        with path.open("rb") as file:
            read_header(file)
            while data := file.read(min(_RECORDS_PER_READ * RECORD.size, size - file.tell())):
                for step, _, value in RECORD.iter_unpack(data):
                    curve.add(step, value)
        return curve


def _file_name(stage: str, name: str) -> str:
    """A name that every file system takes; the true one is in the header."""
    quoted = (quote(part.encode(errors="surrogatepass"), "") for part in (stage, name))
    safe = ".".join(part.replace(".", "%2E") for part in quoted)
    if len(safe) > _LONGEST_FILE_NAME:
        safe = hashlib.sha256(safe.encode()).hexdigest()
    return f"{safe}.f64"


def _header(stage: str, metric: Metric) -> bytearray:
    text = json.dumps({"stage": stage, "name": metric.name, "unit": metric.unit}).encode()
    return bytearray(_MAGIC + _LENGTH.pack(len(text)) + text)


def read_header(file: IO[bytes]) -> tuple[str, str, str]:
    """Stage, name and unit; ValueError, KeyError or TypeError for anything else than a header."""
    begin = file.read(len(_MAGIC) + _LENGTH.size)
    if not begin.startswith(_MAGIC) or len(begin) < len(_MAGIC) + _LENGTH.size:
        raise ValueError("not a metric")
    (length,) = _LENGTH.unpack_from(begin, len(_MAGIC))
    data = json.loads(file.read(min(length, _LONGEST_HEADER_BYTES)))
    return str(data["stage"]), str(data["name"]), str(data["unit"])


def _last_record(file: IO[bytes]) -> tuple[int, int, float]:
    """Behind a header: the size of the file up to the last whole record, its step and value.

    What a power cut leaves behind counts for nothing: part of a record, or zeros.
    """
    begin = file.tell()
    count = (file.seek(0, 2) - begin) // RECORD.size
    while count:
        file.seek(begin + (count - 1) * RECORD.size)
        step, time, value = RECORD.unpack(file.read(RECORD.size))
        if time > 0:
            return begin + count * RECORD.size, step, value
        count -= 1
    return begin, 0, math.nan


def plain_metric(metric: Metric) -> Metric:
    """The metric with value and step as a file takes them; NaN for what is no number. In JSON, null
    stands for it."""
    if type(metric.value) is float and abs(metric.step) <= _LARGEST_STEP:
        return metric
    try:
        value = float(metric.value)
    except (TypeError, OverflowError):
        value = math.nan
    return replace(metric, value=value, step=max(-_LARGEST_STEP, min(metric.step, _LARGEST_STEP)))
