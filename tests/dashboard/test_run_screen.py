"""The run screen on recorded runs: what is on it, at three sizes, and what its keys do."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from pipeline.engine.messages import Answer, StageView
from pipeline.events import Metric, Progress, RunChanged, StageChanged, Warned
from tests.dashboard.pilot import SIZES, ThisPilot, drive, press, settle, shown, text_of
from tests.dashboard.recorded import RecordedRun, app_of, begin, in_mapping, in_radiance
from tests.dashboard.sketched import growing
from tui.dashboard.dialogs import LEAST_SIZE, Confirm, TooSmall
from tui.dashboard.keys import APP_KEYS, SCREEN_KEYS
from tui.dashboard.look import AsciiFilter, Look
from tui.dashboard.model import Connection, Model, ViewerAddress
from tui.dashboard.run_screen import RunScreen
from tui.dashboard.stage_list import stage_text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the recorded run is said to be."""
    return tmp_path / "garden"


@pytest.mark.parametrize("size", SIZES)
def test_mapping_shows_how_the_model_grows(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run), size) as pilot:
            text = text_of(pilot)
            for words in ("garden", "running", "13/24 photographs", "registered", "3600", "left"):
                assert words in text, text
            assert "CPU 50%" in text and "disk 100 GiB left" in text
            assert max(map(len, text.splitlines())) <= size[0]

    drive(scenario())


@pytest.mark.parametrize("size", SIZES)
def test_radiance_shows_curves_and_the_picture(root: Path, size: tuple[int, int]) -> None:
    async def scenario() -> None:
        run = in_radiance(root)
        async with shown(app_of(run), size) as pilot:
            text = text_of(pilot)
            for words in ("650/1500 steps", "PSNR", "loss", "w_k", "007.jpg", "▀▀▀"):
                assert words in text, text
            await press(pilot, "up")
            assert "2 not registered" in text_of(pilot)
            assert "9 inliers, 30 needed" in text_of(pilot)
            await press(pilot, "f")
            assert "w_k" in text_of(pilot)

    drive(scenario())


def test_no_pictures_and_ascii(root: Path) -> None:
    async def scenario() -> None:
        run = in_radiance(root)
        look = Look(unicode=False, color=False, pictures=False, panel_s=0.0)
        async with shown(app_of(run, look)) as pilot:
            text = text_of(pilot)
            assert "▀" not in text and "007.jpg" not in text
            (ascii_only,) = (
                entry for entry in pilot.app.get_line_filters() if isinstance(entry, AsciiFilter)
            )
            for strip in pilot.app.screen._compositor.render_strips():
                drawn = strip.apply_filter(ascii_only, Color(0, 0, 0))
                assert drawn.text.isascii() and drawn.cell_length == strip.cell_length

    drive(scenario())


def test_a_failed_stage_tells_why_and_is_tried_again(root: Path) -> None:
    async def scenario() -> None:
        run = RecordedRun(root)
        begin(run)
        failed = StageChanged("features", "failed", 1.0, "no memory", "use less", ("last words",))
        run.tell("features", StageChanged("features", "started"), failed)
        run.tell("", RunChanged("failed", "features: no memory", "use less"))
        async with shown(app_of(run)) as pilot:
            text = text_of(pilot)
            for words in ("failed", "no memory", "use less", "last words", "t tries it again"):
                assert words in text
            await press(pilot, "t")
            assert run.commands == [{"op": "retry"}]
            run.tell("features", StageChanged("features", "started"))
            run.tell("", RunChanged("running"))
            await settle(pilot)
            assert "no memory" not in text_of(pilot)

    drive(scenario())


def test_keys_steer_the_run_and_stopping_asks(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run)) as pilot:
            await press(pilot, "space", "c", "up", "x")
            assert [command["op"] for command in run.commands] == [
                "pause", "checkpoint", "run-until",
            ]  # fmt: skip
            assert run.commands[-1]["stage"] == "verification"
            run.tell("", RunChanged("paused", "by you"))
            await settle(pilot)
            assert "paused" in text_of(pilot)
            await press(pilot, "space", "s")
            assert run.commands[-1] == {"op": "resume"} and isinstance(pilot.app.screen, Confirm)
            await press(pilot, "n")
            assert run.commands[-1] == {"op": "resume"}
            await press(pilot, "s", "y")
            assert run.commands[-1] == {"op": "stop"}
            run.answer = Answer(ok=False, message="Not [b]now[/b].", hint="Later.")
            await press(pilot, "c")
            assert "Not [b]now[/b]. Later." in text_of(pilot), text_of(pilot)

    drive(scenario())


def test_readonly_steers_nothing(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run, readonly=True)) as pilot:
            await press(pilot, "space", "c", "x", "t", "s")
            assert run.commands == [] and isinstance(pilot.app.screen, RunScreen)
            assert "read only" in text_of(pilot) and "Stop" not in text_of(pilot)
            run.tell("mapping", StageChanged("mapping", "failed", 1.0, "no memory", "use less"))
            run.connection = Connection("left", "No engine", "t starts it again")
            await settle(pilot)
            text = text_of(pilot)
            assert "use less" in text and "No engine" in text
            assert "t tries" not in text and "t starts" not in text

    drive(scenario())


def test_figures_are_whole_on_the_smallest_terminal(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(growing(root)), LEAST_SIZE) as pilot:
            lines = [line for line in text_of(pilot).splitlines() if line.startswith("points  ")]
            assert len(lines) == 1 and "…" not in lines[0][:23], text_of(pilot)
        run = in_radiance(root)
        run.tell("radiance", Metric("alpha", 6.42, 651), Metric("bands", 7.0, 651))
        async with shown(app_of(run)) as pilot:
            assert "6.42 of 7 bands" in text_of(pilot)

    drive(scenario())


@pytest.mark.parametrize(
    ("done", "left_s", "width", "words", "none"),
    [
        (8, 8300.0, 100, ("8/2000 steps", "0.2/s", "48 s", "2 h 18 min left"), "\u2026"),
        (8, 8300.0, 60, ("8/2000 steps", "0.2/s", "2 h 18 min left"), "48 s"),
        (2000, 0.0, 100, ("2000/2000 steps", "48 s"), "left"),
    ],
)
def test_the_time_left_is_what_a_narrow_line_keeps(
    root: Path, done: int, left_s: float, width: int, words: tuple[str, ...], none: str
) -> None:
    stage = StageView(
        name="radiance", state="started", done=done, total=2000, unit="steps", rate=0.2,
        left_s=left_s, seconds=48.0,
    )  # fmt: skip
    text = stage_text(Model(), stage, Look(), width, False)
    assert text.cell_len <= width and none not in text.plain
    for word in words:
        assert word in text.plain


@pytest.mark.parametrize(("width", "none"), [(100, "no such"), (80, "\u2588"), (68, "0.2/s")])
def test_warnings_are_told_before_what_is_nice_to_know(width: int, none: str) -> None:
    stage = StageView(
        name="radiance", state="started", done=847, total=2000, unit="steps", rate=0.2,
        left_s=8300.0, seconds=48.0, warnings=2,
    )  # fmt: skip
    text = stage_text(Model(), stage, Look(), width, False)
    assert text.cell_len <= width and none not in text.plain
    assert "847/2000 steps" in text.plain and "2 h 18 min left  2 warnings" in text.plain


def test_the_last_stage_is_told_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        seen = run.view
        monkeypatch.setattr(run, "view", lambda: seen().model_copy(update={"until": "mapping"}))
        async with shown(app_of(run), (100, 40)) as pilot:
            assert "until mapping" in text_of(pilot)
            run.tell("", RunChanged("done", "up to mapping"))
            await settle(pilot)
            assert "up to mapping" in text_of(pilot) and "until mapping" not in text_of(pilot)

    drive(scenario())


@pytest.mark.parametrize(
    ("end", "outcome"), [("running", "left"), ("done", "ended"), ("failed", "ended")]
)
def test_leaving_tells_whether_the_run_goes_on(root: Path, end: str, outcome: str) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        if end != "running":
            run.tell("", RunChanged(end))  # type: ignore[arg-type]
        app = app_of(run)
        async with shown(app) as pilot:
            await pilot.press("q")
        assert app.return_value == outcome and not app.return_code

    drive(scenario())


def test_every_key_is_in_the_help(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root)), (100, 40)) as pilot:
            await press(pilot, "question_mark")
            text = text_of(pilot)
            app = pilot.app
            for key in (*SCREEN_KEYS["run"], *APP_KEYS):
                if app.offers(key):  # type: ignore[attr-defined]
                    assert key.help in text and key.all_shown in text
            await press(pilot, "escape")
            assert isinstance(app.screen, RunScreen)

    drive(scenario())


def test_a_small_terminal_is_told_so_until_it_grows(root: Path) -> None:
    async def scenario() -> None:
        async with shown(app_of(in_mapping(root))) as pilot:
            for size in ((59, 18), (60, 17), (10, 3), (1, 1)):
                await resize(pilot, *size)
                assert isinstance(pilot.app.screen, TooSmall)
            await resize(pilot, 30, 10)
            assert "60x18 needed" in text_of(pilot)
            await resize(pilot, 60, 18)
            assert isinstance(pilot.app.screen, RunScreen) and "mapping" in text_of(pilot)

    drive(scenario())


@pytest.mark.parametrize("size", [LEAST_SIZE, *SIZES])
def test_what_to_do_without_an_engine_is_told_at_any_size(
    root: Path, size: tuple[int, int]
) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run), size) as pilot:
            words = "The engine is gone: it was killed, or the machine ran out of memory"
            run.connection = Connection("left", words, "t starts it again where it was")
            run.add(viewer=ViewerAddress(None))
            await settle(pilot)
            run.now += 65
            await settle(pilot)
            text = " ".join(text_of(pilot).split())
            assert f"{words} t starts it again where it was data of 1 min" in text, text
            assert "barfield view garden" in text and "--port" not in text
            row = next(line for line in text_of(pilot).splitlines() if "13/24" in line)
            assert "stopped" in row and "left" not in row, row

    drive(scenario())


@pytest.mark.parametrize(
    ("connection", "size", "told"),
    [
        ("", (80, 18), ["Viewer  {url}"]),
        ("", (120, 30), ["Viewer  {url}  u copies it, y an ssh line to it"]),
        ("", (70, 30), ["Viewer  http://127.0.0.1:8123/  u copies the whole of it"]),
        ("there 50000 box 22", (80, 23), ["Viewer  {ssh}  y copies the line, u the URL"]),
        (
            "there 50000 box 22",
            (100, 24),
            ["First   {ssh}  on your machine; y copies it", "Viewer  {url}  u copies it"],
        ),
    ],
)
def test_an_address_that_works_and_the_way_to_it_are_told(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    connection: str,
    size: tuple[int, int],
    told: list[str],
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", connection)
    monkeypatch.setenv("LOGNAME", "ada")
    url = f"http://127.0.0.1:8123/?token={'t' * 43}"
    ssh = "ssh -L 8123:127.0.0.1:8123 ada@box"

    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run), size) as pilot:
            run.add(viewer=ViewerAddress(8123, "t" * 43))
            await settle(pilot)
            lines = [line.strip() for line in text_of(pilot).splitlines()]
            found = [line for line in lines if line.startswith(("First ", "Viewer "))]
            assert found == [line.format(url=url, ssh=ssh) for line in told]

    drive(scenario())


def test_a_lost_engine_is_told_with_the_age_of_the_data(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        async with shown(app_of(run)) as pilot:
            run.connection = Connection("silent", "The engine does not answer")
            run.add()
            await settle(pilot)
            run.now += 65
            await settle(pilot)
            text = text_of(pilot)
            assert "The engine does not answer  data of 1 min 05 s ago" in text
            run.connection = Connection("live")
            run.add()
            await settle(pilot)
            assert "does not answer" not in text_of(pilot)

    drive(scenario())


HOSTILE = ("[red]x[/red].jpg", "a\x1b[2Jb\nc.jpg", "\u202egpj.exe", "n" * 300, "[/]", "語" * 90)


@pytest.mark.parametrize(
    "name", HOSTILE, ids=["markup", "controls", "right to left", "long", "end tag", "wide"]
)
def test_names_of_files_are_only_text(root: Path, name: str) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        failed = StageChanged("mapping", "failed", 1.0, f"{name}: broken", name, (name,))
        run.tell("mapping", Warned(name, name))
        for size in SIZES:
            async with shown(app_of(run), size) as pilot:
                run.tell("mapping", failed)
                await settle(pilot)
                text = text_of(pilot)
                assert "\x1b" not in text and "\u202e" not in text
                assert "[red]x" in text or not name.startswith("[red]")
                run.tell("mapping", StageChanged("mapping", "started", why=name))

    drive(scenario())


async def resize(pilot: ThisPilot, width: int, height: int) -> None:
    """Give the terminal another size."""
    await pilot.resize_terminal(width, height)
    await settle(pilot)


def test_a_timer_that_comes_while_the_app_ends_is_no_fault(root: Path) -> None:
    async def scenario() -> None:
        run = in_mapping(root)
        app = app_of(run)
        async with shown(app):
            pass
        run.tell("mapping", Progress(20, 24, "photographs"))
        app.take_news()
        assert app.model.updates == 2

    drive(scenario())
