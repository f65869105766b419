"""The radiance field against its bars: the method and its controls, row by row.

usage: python -m tests.bench.bench_radiance [ROW ...] [--gpu] [--quick] [--scenes FOLDER]
           [--out FOLDER] [--seeds 0,1,2] [--minutes M] [--set FIELD=VALUE ...]
           [--fit-iterations N] [--for-seconds S] [--list]

Rows on the CPU: lego-0.15, lego-0.05, fern (scenes of $BARFIELD_SCENES or --scenes), desk,
desk-tracks, desk-photometric, desk-view (the sample scene). The method runs on three seeds, each
control on one. --quick: one seed, a budget of 8 minutes a training. What is finished under --out is
only read, what was interrupted goes on; --for-seconds ends a piece with a checkpoint, and the
seconds of all pieces are summed. Exit code: 1 where a bar is missed, 3 where something is not
finished. Wall time is only worth something on a quiet machine; the processor minutes of all threads
stand beside it.

Rows for one GPU (--gpu): lego-reference, lego-fast, fern-reference, fern-fast, gpu-view; one seed.
A machine with torch, numpy, scipy, OpenCV and Pillow lacks only pydantic. Where it cannot install
it, make the folder elsewhere, for its version of Python, and take it there with the checkout:

    python -m pip install --target gpu-packages --only-binary=:all: --python-version 3.12 \\
        --platform manylinux2014_x86_64 --implementation cp pydantic

One command per row, to be given again until it ends with 0 or 1; a piece takes nine minutes:

    PYTHONPATH=gpu-packages:. python3 -m tests.bench.bench_radiance --gpu lego-reference \\
        --scenes SCENES --out OUT --for-seconds 500

Keep OUT between the pieces (checkpoint, about 10 MB), and SCENES holds lego/ and fern/.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from pipeline.errors import PipelineError
from tests.bench.bars import Measured, figures_in_words, number
from tests.bench.radiance_rows import GPU_ROWS, METHOD, PUBLIC_ROWS, Options, Row
from tests.bench.radiance_views import VIEW_ROW

QUICK_MINUTES = 8.0
MISSED, UNFINISHED = 1, 3
_WORST = {True: min, False: max}


def main(arguments_given: Sequence[str], halt: threading.Event) -> int:
    """Measure the rows and print each as soon as it is known; the exit code.

    halt: once it is set, a training ends at its next step, with a checkpoint.
    """
    arguments = _arguments(arguments_given)
    rows = _rows(arguments)
    if arguments.list:
        print("\n".join(row.name for row in rows))
        return 0
    options = _options(arguments)
    code = 0
    for row in rows:
        code = max(code, measure(row, options, halt))
        if halt.is_set():
            break
    return code


def measure(row: Row, options: Options, halt: threading.Event) -> int:
    """Measure a row and print its part of the table; the exit code."""
    print(row.name, flush=True)
    measured: dict[str, list[Measured]] = {}
    finished = True
    for arm in row.arms:
        measured[arm.name] = []
        for seed in options.seeds if arm.name == METHOD else options.seeds[:1]:
            if halt.is_set():
                return UNFINISHED
            print(f"  {arm.name}, seed {seed}", flush=True)
            found = arm.measure(options, seed, halt)
            finished &= found is not None
            if found is not None:
                measured[arm.name].append(found)
                print(f"    {figures_in_words(found)}", flush=True)
    missed = judge(row, measured)
    if not finished:
        print("  not finished: the same command goes on", flush=True)
        return UNFINISHED
    return MISSED if missed else 0


def judge(row: Row, measured: dict[str, list[Measured]]) -> int:
    """Print each bar beside the worst seed of the method, and the comparisons with the controls;
    how many bars that must be met are missed."""
    method = measured[METHOD]
    missed = 0
    for bar in row.bars:
        values = [value for found in method if (value := found.get(bar.figure)) is not None]
        worst = _WORST[bar.least](values) if method and len(values) == len(method) else None
        missed += bar.misses(worst)
        print(bar.in_words(worst))
    for name in (*row.beats, *row.fails):
        against = [found.get("rotation_deg") for found in measured.get(name, [])]
        verdict = compared(row, name, [found.get("rotation_deg") for found in method], against)
        missed += verdict in ("missed", "unknown")
        words = "rotation below that of" if name in row.beats else "as published, fails:"
        print(f"  {words} {name}: {', '.join(map(number, against)) or '-'}   must {verdict}")
    return missed


def compared(
    row: Row, name: str, method: Sequence[float | None], control: Sequence[float | None]
) -> str:
    """Whether the method's worst rotation error is below the control's (`beats`), or the control's
    above the bar of the row (`fails`): `met`, `missed` or `unknown`.

    A control whose cameras cannot even be aligned has failed.
    """
    if not control or not method or None in method:
        return "unknown"
    worst = max(value for value in method if value is not None)
    bar = row.bars[0].must if name in row.fails else worst
    assert bar is not None
    return "met" if all(value is None or value > bar for value in control) else "missed"


def _rows(arguments: argparse.Namespace) -> list[Row]:
    if arguments.gpu:
        rows: tuple[Row, ...] = (*GPU_ROWS, VIEW_ROW)
    else:
        # The rows on the sample scene go through runs, which want more than a GPU row has.
        from tests.bench.radiance_desk import DESK_ROWS

        rows = (*PUBLIC_ROWS, *DESK_ROWS)
    names = [row.name for row in rows]
    unknown = [name for name in arguments.rows if name not in names]
    if unknown:
        sys.exit(f"no row {unknown[0]}; there are {', '.join(names)}")
    return [row for row in rows if not arguments.rows or row.name in arguments.rows]


def _options(arguments: argparse.Namespace) -> Options:
    minutes = QUICK_MINUTES if arguments.quick else arguments.minutes
    seeds: tuple[int, ...] = (0,) if arguments.quick or arguments.gpu else (0, 1, 2)
    if arguments.seeds:
        seeds = tuple(int(seed) for seed in arguments.seeds.split(","))
    scenes = arguments.scenes or Path(os.environ.get("BARFIELD_SCENES", "."))
    return Options(
        scenes,
        arguments.out,
        minutes,
        seeds,
        tuple(_setting(text) for text in arguments.set),
        arguments.fit_iterations,
        arguments.for_seconds,
    )


def _setting(text: str) -> tuple[str, JsonValue]:
    """``field=value`` of RadianceConfig; the value is JSON, or else plain text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--gpu", action="store_true", help="the rows for one GPU")
    parser.add_argument("--quick", action="store_true", help="one seed, 8 minutes a training")
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-radiance"))
    parser.add_argument("--seeds", default="")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--fit-iterations", type=int, default=100)
    parser.add_argument("--for-seconds", type=float)
    parser.add_argument("--list", action="store_true", help="names of the rows")
    return parser.parse_args(given)


if __name__ == "__main__":
    HALT = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: HALT.set())
    try:
        sys.exit(main(sys.argv[1:], HALT))
    except PipelineError as error:
        sys.exit(f"{error.title}: {error.message} {error.hint}")
