"""Films that clients ask for: what is refused, how they end, and one out of a real worker."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline import film_making
from pipeline.browsing import Browser
from pipeline.engine.filming import Filming
from pipeline.engine.messages import (
    COMMAND,
    MOST_FILM_FRAMES,
    MOST_KEYFRAMES,
    Answer,
    CancelRender,
    RenderPath,
)
from pipeline.engine.orders import Filmed, FilmProgress, RenderFilm, StageEnd
from pipeline.engine.worker_process import Listeners, WorkerProcess, WorkerSpec
from pipeline.errors import PipelineError
from pipeline.events import FilmChanged
from pipeline.film_making import MOST_GIF_PIXELS, free_name, make_film, work_folder
from pipeline.path_entries import PathEntry
from pipeline.render_request import RenderRequest
from pipeline.request import GivenPaths
from pipeline.run_directory import RunDirectory
from pipeline.stages import STAGE_NAMES
from pipeline.version import VERSION
from tests.engine.stand import FakeWorker as StageWorker
from tests.engine.stand import Stand as RunStand
from tests.engine.stand import play
from tests.radiance.test_films import trained_run
from tests.radiance.test_novel_views import blob_model, world_pose

SECONDS = 120.0
KIND = "gif" if importlib.util.find_spec("av") is None else "mp4"
WAY = [
    {"position": [0, -4, 0], "look_at": [0, 0, 0], "up": [0, 0, 1], "fov_deg": 40},
    {"position": [1, -4, 0], "look_at": [0, 0, 0], "up": [0, 0, 1], "fov_deg": 50},
]
SMALL: dict[str, Any] = {
    "op": "render-path", "keyframes": WAY, "frames": 4, "width": 24, "height": 16
}  # fmt: skip


def asked(**changes: Any) -> RenderPath:
    command = COMMAND.validate_python({**SMALL, **changes}, strict=True)
    assert isinstance(command, RenderPath)
    return command


class FakeWorker:
    """Renders until it is told how that ends."""

    def __init__(self) -> None:
        self.order: RenderFilm | None = None
        self.tell: Callable[[FilmProgress], None] = lambda progress: None
        self.end: asyncio.Future[Filmed] = asyncio.get_running_loop().create_future()
        self.grace_s: float | None = None

    async def render_film(self, order: RenderFilm, told: Callable[[FilmProgress], None]) -> Filmed:
        self.order, self.tell = order, told
        return await self.end

    async def close(self, grace_s: float = 120.0) -> None:
        self.grace_s = grace_s


class Stand:
    """A run directory, and who renders films of it."""

    def __init__(self, root: Path) -> None:
        self.at_work = False
        self.has_field = True
        self.refusal = ""
        self.fault: Exception | None = None
        self.workers: list[FakeWorker] = []
        self.told: list[FilmChanged] = []
        self.filming = Filming(
            root,
            self._start,
            lambda stage, film: self.told.append(film),
            lambda: self.at_work,
            lambda: self.has_field,
            nullcontext,
        )

    async def _start(self, preload: tuple[str, ...]) -> Any:
        if self.fault is not None:
            raise self.fault
        if self.refusal:
            raise PipelineError("No worker", self.refusal)
        self.workers.append(FakeWorker())
        return self.workers[-1]

    async def command(self, **fields: Any) -> Answer:
        return await self.filming.command(asked(**fields), "a test")

    async def until(self, state: str) -> FilmChanged:
        while not self.told or self.told[-1].state != state:
            await asyncio.sleep(0.001)
        return self.told[-1]


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(SECONDS):
            await work()

    asyncio.run(limited())


async def cancel(filming: Filming) -> Answer:
    return await filming.command(CancelRender(op="cancel-render"), "a test")


def test_a_film_is_told_from_its_beginning_to_its_file(tmp_path: Path) -> None:
    async def work() -> None:
        stand = Stand(tmp_path)
        answer = await stand.command()
        assert answer.ok and "film-1 of 4 frames" in answer.message
        await asyncio.sleep(0)
        (worker,) = stand.workers
        assert worker.order is not None
        assert [entry.seconds for entry in worker.order.keyframes] == [0.0, 1.0]
        worker.tell(FilmProgress(done=1, total=4, left_s=3.0))
        assert stand.told[-1] == FilmChanged("film-1", "rendering", 1, 4, 3.0)
        second = await stand.command()
        assert not second.ok and "film-1 is being rendered: 1 of 4" in second.message
        worker.end.set_result(Filmed(file="film-1.mp4", note="somehow"))
        end = await stand.until("done")
        assert end == FilmChanged("film-1", "done", 4, 4, 0.0, "film-1.mp4", "somehow")
        assert worker.grace_s == 120.0
        view = stand.filming.view()
        assert view is not None and view.file == "film-1.mp4"
        assert (await stand.command(name="another")).ok
        await stand.filming.end()

    run(work)


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "renders" / "orbit").mkdir(parents=True)
    (tmp_path / "renders" / "film-1.gif").touch()
    assert free_name(tmp_path, "") == "film-2"

    async def work() -> None:
        stand = Stand(tmp_path)
        for name in ("orbit", "film-1"):
            refused = await stand.command(name=name)
            assert not refused.ok and name in refused.message and "another name" in refused.hint
        stand.has_field = False
        assert "no radiance field" in (await stand.command()).message
        stand.at_work = True
        refused = await stand.command()
        assert not refused.ok and "at work" in refused.message and "barfield render" in refused.hint
        assert not (await cancel(stand.filming)).ok
        assert not stand.told and not stand.workers

    run(work)


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_film_that_is_not_wanted_any_more(tmp_path: Path, by_hand: bool) -> None:
    async def work() -> None:
        stand = Stand(tmp_path)
        await stand.command(name="mine")
        await asyncio.sleep(0)
        work_folder(tmp_path, "mine").mkdir(parents=True)
        if by_hand:
            assert (await cancel(stand.filming)).ok
        else:
            await stand.filming.end()
        why = "by a test" if by_hand else "the run goes on"
        assert stand.told[-1].state == "cancelled" and why in stand.told[-1].why
        assert stand.workers[0].grace_s == 0.0
        assert not work_folder(tmp_path, "mine").exists()
        assert (await stand.command(name="mine")).ok
        await stand.filming.end()  # before its worker is started
        assert stand.told[-1].state == "cancelled" and len(stand.workers) == 1

    run(work)


def test_a_film_that_cannot_be_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        stand = Stand(tmp_path)
        stand.refusal = "too many processes"
        assert (await stand.command()).ok
        assert "too many processes" in (await stand.until("failed")).why
        stand.refusal = ""
        await stand.command()
        await asyncio.sleep(0)
        stand.workers[0].end.set_result(Filmed(error="the disk is full"))
        assert "disk is full" in (await stand.until("failed")).why

    run(work)


def test_a_fault_of_ours_ends_a_film_and_is_kept_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        stand = Stand(tmp_path)
        stand.fault = RuntimeError("nobody thought of this")
        assert (await stand.command()).ok
        assert "its log says why" in (await stand.until("failed")).why

    run(work)
    assert "nobody thought of this" in caplog.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keyframes": []}, "keyframes"),
        ({"keyframes": WAY * MOST_KEYFRAMES}, "keyframes"),
        ({"keyframes": [{"position": [0, 0, 0]}]}, "look_at"),
        ({"keyframes": [{**WAY[0], "position": [0, float("inf"), 0]}]}, "position"),
        ({"keyframes": [{**WAY[0], "seconds": 1}, WAY[1]]}, "entry 2 has no seconds"),
        ({"keyframes": [{**w, "seconds": 1} for w in WAY]}, "not after"),
        ({"keyframes": [{**WAY[0], "fov_deg": None}, WAY[1]]}, "field of view"),
        ({"frames": 0}, "frames"),
        ({"frames": MOST_FILM_FRAMES + 1}, "frames"),
        ({"seconds": 2.0}, "not both"),
        ({"frames": None, "seconds": 3000.0}, "too many"),
        ({"frames": None, "keyframes": [{**w, "seconds": 9e9 * n} for n, w in enumerate(WAY)]},
         "too many"),
        ({"fps": 0.0}, "fps"),
        ({"width": 4}, "width"),
        ({"height": 5000}, "height"),
        ({"name": "../etc"}, "name"),
        ({"name": "a.mp4"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"path": "/etc/passwd"}, "path"),
    ],
)  # fmt: skip
def test_impossible_values_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        asked(**changes)


def test_how_long_a_film_is() -> None:
    timed = [{**entry, "seconds": 1 + 2 * n} for n, entry in enumerate(WAY)]
    assert asked(keyframes=timed, frames=None).frame_count == 49
    assert asked(keyframes=timed, frames=None, seconds=1, fps=10).frame_count == 11
    assert asked(frames=None).frame_count == 2
    assert asked(frames=None, seconds=1).frame_count == 25
    assert asked().frame_count == 4


def test_a_run_at_work_renders_no_film(tmp_path: Path) -> None:
    async def acts(stand: RunStand) -> None:
        stand.has_field = True

        async def wait(worker: StageWorker, order: Any) -> Any:
            refused = await stand.command(**SMALL)
            assert not refused.ok and "at work" in refused.message
            return worker.done(order)

        stand.scripts[STAGE_NAMES[0]] = wait
        await stand.until("done")

    play(tmp_path, acts)


def test_a_film_of_a_failed_run_ends_when_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def render_film(worker: StageWorker, order: RenderFilm, told: Any) -> Filmed:
        never: asyncio.Future[Filmed] = asyncio.get_running_loop().create_future()
        return await never

    async def close(worker: StageWorker, grace_s: float = 120.0) -> None:
        worker.alive = False

    monkeypatch.setattr(StageWorker, "render_film", render_film, raising=False)
    monkeypatch.setattr(StageWorker, "close", close)

    async def acts(stand: RunStand) -> None:
        async def fail(worker: StageWorker, order: Any) -> StageEnd:
            return StageEnd(stage=order.stage, state="failed", why="as it must")

        stand.has_field = True
        stand.scripts[STAGE_NAMES[0]] = fail
        await stand.until("failed")
        assert (await stand.command(**SMALL)).ok
        del stand.scripts[STAGE_NAMES[0]]
        assert (await stand.command("retry")).ok
        await stand.until("done")

    stand = play(tmp_path, acts)
    films = [record for record in stand.told.records if isinstance(record, FilmChanged)]
    assert [film.state for film in films] == ["rendering", "cancelled"]
    assert "the run goes on" in films[-1].why


def test_a_film_too_large_for_a_gif_is_refused_before_it_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.radiance.pictures.check_video_extra", _no_video)
    frames = MOST_GIF_PIXELS // 4096**2 + 1
    way = tuple(PathEntry.model_validate(entry) for entry in WAY)
    request = RenderRequest("x", frames, (4096, 4096), keyframes=way)
    with pytest.raises(PipelineError, match="too many") as refused:
        make_film(tmp_path, "x", request, lambda progress: None)
    assert "video" in refused.value.hint


@pytest.mark.parametrize("has_av", [False, True])
def test_a_film_that_no_gif_can_hold_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_av: bool
) -> None:
    found = object() if has_av else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    largest = {"width": 4096, "height": 4096}
    most = MOST_GIF_PIXELS // 4096**2

    async def work() -> None:
        stand = Stand(tmp_path)
        answer = await stand.command(frames=most + 1, **largest)
        assert answer.ok is has_av
        if not has_av:
            assert "too many" in answer.message and "video" in answer.hint and not stand.told
            assert (await stand.command(frames=most, **largest)).ok
        await stand.filming.end()

    run(work)


def _no_video() -> None:
    raise PipelineError("MP4 needs PyAV", "there is none")


def way_through_photographs() -> list[dict[str, Any]]:
    """Where two photographs of the field were taken: there it is to be seen."""
    model = blob_model()
    poses = [world_pose(model, image) for image in (0, 1)]
    rows = [np.column_stack([pose.rotation, pose.translation]).tolist() for pose in poses]
    return [{"cam_from_world": of_pose} for of_pose in rows]


class Real:
    """Films of a run with a tiny field, by real workers."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.workers: list[WorkerProcess] = []
        self.told: list[FilmChanged] = []
        self.filming = Filming(
            directory.root,
            self._start,
            lambda stage, film: self.told.append(film),
            lambda: False,
            lambda: True,
            nullcontext,
        )

    async def _start(self, preload: tuple[str, ...]) -> WorkerProcess:
        spec = WorkerSpec(
            root=self.directory.root,
            lock_fd=self.directory.lock_fd,
            paths=GivenPaths(photos=self.directory.root),
            log=self.directory.root / "engine.log",
            threads=1,
            preload=preload,
        )
        listeners = Listeners(lambda *told: None, lambda paused: None, lambda frame: None)
        self.workers.append(await WorkerProcess.start(spec, listeners))
        return self.workers[-1]

    async def until(self, condition: Callable[[FilmChanged], object]) -> FilmChanged:
        while not self.told or not condition(self.told[-1]):
            await asyncio.sleep(0.01)
        return self.told[-1]


def test_a_real_worker_renders_a_film_and_ends_when_it_is_not_wanted(tmp_path: Path) -> None:
    root = trained_run(tmp_path / "run")
    renders = root / film_making.FOLDER

    async def work() -> None:
        with RunDirectory(root, VERSION) as directory:
            real = Real(directory)
            way = way_through_photographs()
            assert (await real.filming.command(asked(keyframes=way), "a test")).ok
            end = await real.until(lambda film: film.state != "rendering")
            assert (end.state, end.file, end.done) == ("done", f"film-1.{KIND}", 4), end
            assert ("PyAV" in end.why) == (KIND == "gif")
            assert sorted(path.name for path in renders.iterdir()) == [end.file]
            assert [film.name for film in Browser(root).films()] == [end.file]
            if KIND == "gif":
                with Image.open(renders / end.file) as film:
                    assert (film.size, getattr(film, "n_frames", 1)) == ((24, 16), 4)

            # Interrupted by hand, and by a kill: nothing is left of either.
            long = asked(frames=200, width=160, height=120, name="long")
            assert (await real.filming.command(long, "a test")).ok
            await real.until(lambda film: film.name == "long" and film.done > 0)
            assert work_folder(root, "long").is_dir()
            assert (await cancel(real.filming)).ok
            assert real.told[-1].state == "cancelled"
            assert (await real.filming.command(long, "a test")).ok
            await real.until(lambda film: film.state == "rendering" and film.done > 0)
            os.kill(real.workers[-1].pid, signal.SIGKILL)
            assert "SIGKILL" in (await real.until(lambda film: film.state == "failed")).why
            assert sorted(path.name for path in renders.iterdir()) == [end.file]
            assert not any(worker.alive for worker in real.workers)

    run(work)
