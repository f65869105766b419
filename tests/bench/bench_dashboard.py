"""What the dashboard costs, on real terminals: time to the first paint, processor, bytes on the
wire, and how long its keys take while a thousand events a second arrive.

``python -m tests.bench.bench_dashboard [visit] [watch] [keys]``; all of them by default. `visit`
goes through a run of the sample scene in tmux, key by key; `watch` looks at its mapping and its
radiance. Ends with 1 where a bar is missed. It wants an idle machine: whoever shares the processor
with it is measured, too.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.state import read_view
from tests.bench.bench_engine import DESK, cpu_s_of
from tests.bench.dashboard_keys import print_keys
from tests.engine_runs import BARFIELD, Host, own_host, progress_of, state_of, until
from tests.tui.tmux import has_tmux, tmux_shell
from tests.tui.visit import is_line, visit
from tests.tui.watched import watched

SIZES = ((80, 24), (200, 60))
MOST_KB_S = {(80, 24): 8.0, (200, 60): 25.0}
MOST_FIRST_PAINT_S = 1.5
MOST_CPU_SHARE = 0.12
WATCH_S, KEYS_S = 20.0, 30.0
MOST_STAGE_S = 900.0


@dataclass(frozen=True)
class Watched:
    """What it cost to look at a stage: seconds to the first paint, share of a core, KB/s."""

    first_paint_s: float
    cpu_share: float
    kb_s: float
    seconds: float

    def keeps(self, size: tuple[int, int]) -> bool:
        """Whether the bars are kept."""
        return (
            self.first_paint_s <= MOST_FIRST_PAINT_S
            and self.cpu_share <= MOST_CPU_SHARE
            and self.kb_s <= MOST_KB_S[size]
        )


def look_at(run: Path, stage: str, size: tuple[int, int]) -> Watched:
    """Attach to a run, and watch a stage for a while, or until it ends."""
    with watched([*BARFIELD, "attach", str(run)], size, os.environ) as terminal:
        terminal.until(lambda text: is_line("q Detach")(text) and is_line(f"▶ {stage}")(text))
        first_paint_s = time.perf_counter() - terminal.begun
        terminal.watch(1.0)  # the first pictures and plots are part of the opening
        begin, cpu_s = time.perf_counter(), cpu_s_of(terminal.process.pid)
        received = terminal.received
        while is_line(f"▶ {stage}")(terminal.text) and time.perf_counter() < begin + WATCH_S:
            terminal.watch(0.5)
        seconds = time.perf_counter() - begin
        cpu_s = cpu_s_of(terminal.process.pid) - cpu_s
        terminal.type("q")
        terminal.end()
        kb_s = (terminal.received - received) / 1000 / seconds
    return Watched(first_paint_s, cpu_s / seconds, kb_s, seconds)


def ordered(host: Host, *arguments: str) -> None:
    """Carry out a command. Raises RuntimeError with its words if it fails."""
    called = host.call(*arguments)
    if called.code:
        raise RuntimeError(f"{' '.join(arguments)}: {called.err}")


def until_at(run: Path, stage: str) -> None:
    """Wait until a stage has made a step."""
    until(lambda: progress_of(run, stage) > 0, MOST_STAGE_S, every_s=0.2)


def until_done(run: Path) -> None:
    """Wait until a run has come to its end."""

    def done() -> bool:
        view = state_of(run) or read_view(run)
        return view is not None and view.state == "done"

    until(done, MOST_STAGE_S, every_s=0.2)


def print_watch() -> bool:
    """Measure and print; whether all bars are kept."""
    print(
        f"{'watched':<12}{'size':>8}{'first paint s':>15}{'% of a core':>13}{'KB/s':>8}{'for s':>7}"
    )
    print(
        f"{'at most':<12}{'':>8}{MOST_FIRST_PAINT_S:>15.2f}{100 * MOST_CPU_SHARE:>13.0f}    8; 25"
    )
    kept = True

    def row(stage: str, size: tuple[int, int], seen: Watched) -> bool:
        print(
            f"{stage:<12}{size[0]:>5}x{size[1]}{seen.first_paint_s:>15.2f}"
            f"{100 * seen.cpu_share:>13.1f}{seen.kb_s:>8.1f}{seen.seconds:>7.0f}",
            flush=True,
        )
        return seen.keeps(size)

    with tempfile.TemporaryDirectory() as folder, own_host() as host:
        run = Path(folder) / "desk"
        ordered(host, "run", str(DESK), "--out", str(run), "--until", "mapping", "--detach")
        for number, size in enumerate(SIZES):
            if number:
                until_done(run)
                ordered(host, "retry", str(run), "--from", "mapping", "--yes", "--detach")
            until_at(run, "mapping")
            kept &= row("mapping", size, look_at(run, "mapping", size))
        until_done(run)
        ordered(host, "run-until", str(run), "radiance", "--detach")
        until_at(run, "radiance")
        for size in SIZES:
            kept &= row("radiance", size, look_at(run, "radiance", size))
        ordered(host, "stop", str(run))
    return kept


def print_visit() -> bool:
    """Go through a run of the sample scene in a terminal, and print what each step took."""
    shell: AbstractContextManager[Any]
    with tempfile.TemporaryDirectory(prefix="bf-") as folder, own_host():
        if has_tmux():
            shell = tmux_shell(Path(folder), SIZES[0], os.environ)
        else:
            shell = watched(["sh"], SIZES[0], os.environ)
        options = [str(DESK), "--out", f"{folder}/desk", "--until", "mapping"]
        with shell as terminal:
            took = visit(
                terminal, BARFIELD, options, f"{folder}/desk", most_s=MOST_STAGE_S, pauses=False
            )
    print(f"a visit at {SIZES[0][0]}x{SIZES[0][1]}, in {'tmux' if has_tmux() else 'a terminal'}")
    for name, seconds in took:
        print(f"  {name:<36}{seconds:>8.2f} s", flush=True)
    return True


def main() -> None:
    """Print what came of it; ends with 1 where a bar is missed."""
    wanted = sys.argv[1:] or ["visit", "watch", "keys"]
    os.environ |= {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    kept = True
    if "visit" in wanted:
        kept &= print_visit()
    if "watch" in wanted:
        kept &= print_watch()
    if "keys" in wanted:
        for size in SIZES:
            kept &= print_keys(size, KEYS_S)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
