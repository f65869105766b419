"""Plots, pictures, text that is safe, what a terminal can show, and what is imported for it."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.recorded import gradient
from tui.dashboard.keys import APP_KEYS, SCREEN_KEYS
from tui.dashboard.look import look_of, safe
from tui.dashboard.model import ViewerAddress
from tui.dashboard.panels import PANELS, panel_class
from tui.dashboard.panels.radiance import band_weights
from tui.dashboard.pictures import MOST_CELLS, half_blocks
from tui.dashboard.plots import PlotStyle, bars, from_above, heat_map, line_plot, number
from tui.dashboard.tunnel import tunnel_command, viewer_url

SIZES = st.tuples(st.integers(10, 80), st.integers(3, 20), st.booleans())
VALUES = st.floats(-1e9, 1e9)


@given(size=SIZES, values=st.lists(VALUES, max_size=60))
def test_plots_fit_their_room(size: tuple[int, int, bool], values: list[float]) -> None:
    width, height, unicode = size
    style = PlotStyle(width, height, unicode, "a title", marks=(3,))
    series = [(float(i), value - 1, value) for i, value in enumerate(values)]
    plots = [line_plot(series, style)]
    plots.append(bars([abs(value) for value in values], style, ("first", "last")))
    plots += [heat_map([values, values], style), from_above([(v, v) for v in values], [], style)]
    for plot in plots:
        lines = plot.plain.split("\n")
        assert len(lines) <= height and max(map(len, lines)) <= width
        assert unicode or plot.plain.isascii()


def test_a_line_shows_where_the_curve_is_and_the_change() -> None:
    series = [(float(i), float(i), float(i)) for i in range(11)]
    plot = line_plot(series, PlotStyle(20, 5, unicode=False, marks=(5,)))
    lines = plot.plain.split("\n")
    assert lines[0].startswith("      10 ") and lines[3].startswith("       0 ")
    assert lines[0].rstrip().endswith("*") and lines[3][9] == "*" and "|" in lines[0]
    longer = line_plot(series, PlotStyle(30, 5, unicode=False, until=20))
    assert longer.plain.split("\n")[4].split() == ["0", "20"]
    assert max(map(len, (line.rstrip() for line in longer.plain.split("\n")[:4]))) <= 20


def test_a_heat_map_and_bars_show_the_largest() -> None:
    grid = heat_map([[0, math.nan, 4], [1, 2, 0]], PlotStyle(10, 4, unicode=False))
    assert grid.plain == "  @\n.+ "
    drawn = bars([3, 0, 0, 1], PlotStyle(4, 3, unicode=False), ("1", "2")).plain.split("\n")
    assert drawn[1][0] == "@" and drawn[2].split() == ["1", "2"]
    few = bars([1, 2], PlotStyle(7, 3, unicode=False, title="t"), ("a", "b")).plain.split("\n")
    assert few == ["t", "===@@@", "a    b"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(math.nan, "-"), (None, "-"), (3.0, "3"), (0.01234, "0.0123"), (15142.6, "15.1k"),
     (2.5e6, "2.5M"), (1.2e-5, "1.2e-05"), (123.4, "123")],
)  # fmt: skip
def test_numbers_are_short(value: float | None, words: str) -> None:
    assert number(value) == words


def test_pictures_are_small_and_in_proportion() -> None:
    text = half_blocks(gradient(), 200, 200)
    assert text is not None
    lines = text.plain.split("\n")
    assert len(lines) <= MOST_CELLS[1] and len(lines[0]) <= MOST_CELLS[0]
    assert len(lines[0]) / (2 * len(lines)) == pytest.approx(120 / 80, rel=0.1)


@pytest.mark.parametrize("data", [b"", b"GIF89a", gradient()[:60], b"\xff\xd8\xff" * 9])
def test_what_is_no_picture_gives_none(data: bytes) -> None:
    assert half_blocks(data, 20, 10) is None


@given(text=st.text(max_size=400))
def test_safe_text_is_printable_and_bounded(text: str) -> None:
    assert safe(text, 40).isprintable() and len(safe(text, 40)) <= 40


def test_what_a_terminal_can_show() -> None:
    assert look_of({"LANG": "C.UTF-8"}).unicode and look_of({"LANG": "C.UTF-8"}).pictures
    assert not look_of({"LANG": "en_US.ISO-8859-1"}).unicode
    assert not look_of({"LANG": "C.UTF-8", "LC_ALL": "C.ascii"}).unicode
    assert not look_of({"LANG": "C.UTF-8", "NO_COLOR": "1"}).pictures
    assert look_of({"LANG": "C.UTF-8", "COLORFGBG": "0;15"}).light


def test_the_ssh_line_goes_where_the_user_came_from() -> None:
    viewer = ViewerAddress(8000, "secret")
    environment = {"SSH_CONNECTION": "10.0.0.2 5000 10.0.0.9 2222"}
    line = tunnel_command(viewer, environment)
    assert line.startswith("ssh -p 2222 -L 8000:127.0.0.1:8000 ") and line.endswith("@10.0.0.9")
    assert viewer_url(viewer) == "http://127.0.0.1:8000/?token=secret"
    assert tunnel_command(ViewerAddress(None), environment) == ""


def test_band_weights_are_those_of_barf() -> None:
    assert band_weights(math.nan) == [] and band_weights(0.0) == []
    assert band_weights(2.5) == pytest.approx([1.0, 1.0, 0.5])
    assert band_weights(1.5, 4.0) == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert band_weights(0.0, 2.0) == [0.0, 0.0] and len(band_weights(1e9, 1e9)) == 64


def test_no_key_means_two_things_and_every_panel_exists() -> None:
    for own in SCREEN_KEYS.values():
        keys = [key for entry in (*own, *APP_KEYS) for key in entry.keys.split(",")]
        assert len(keys) == len(set(keys))
    for stage in (*PANELS, "anything"):
        assert panel_class(stage, "started").__name__ != "FailurePanel"
    assert panel_class("mapping", "failed").__name__ == "FailurePanel"


def test_the_dashboard_imports_nothing_that_computes() -> None:
    code = (
        "import sys, tui.dashboard.app, tui.dashboard.start, tui.dashboard.panels.mapping\n"
        "print(*(m for m in ('numpy','scipy','torch','cv2','numba','PIL') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_link_and_the_model_know_no_terminal() -> None:
    code = (
        "import sys, tui.dashboard.link, tui.dashboard.model, tui.dashboard.plots\n"
        "print('textual' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
