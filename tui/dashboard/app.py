"""The dashboard's application: what its screens share, and what its keys do.

Data flows one way: the link takes it from the engine, the app folds it into the model four times a
second, the screen on top draws itself from that. What the user wants goes out as commands of the
engine, from a thread.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from pipeline.engine.messages import Answer
from pipeline.events import ENDED
from tui.dashboard.collector import IdleCollector
from tui.dashboard.dialogs import Confirm, TooSmall, fit
from tui.dashboard.early_keys import EarlyKeys
from tui.dashboard.keys import APP_KEYS, SCREEN_KEYS, Key, bindings, steers
from tui.dashboard.link import Source
from tui.dashboard.look import AsciiFilter, Look, environment_look, safe
from tui.dashboard.model import Model
from tui.dashboard.notices import NOTICES_CSS, show_notice
from tui.dashboard.run_screen import RunScreen
from tui.dashboard.screens import SCREENS, DashboardScreen, import_screens, screen_class
from tui.dashboard.steering import Restarter, give
from tui.dashboard.system import SystemSample
from tui.dashboard.tunnel import tunnel_command, viewer_url

SECONDS_BETWEEN_UPDATES = 0.25
_SECONDS_BETWEEN_SAMPLES = 2.0
_SECONDS_TO_FIRST_PAINT = 0.5
Outcome = Literal["left", "ended"]


class Sampler(Protocol):
    """Reads how the machine is doing."""

    def read(self) -> SystemSample: ...


class DashboardApp(App[Outcome]):
    """Shows one run. Returns `ended` where it had come to its end when the user left.

    readonly: nothing that changes the run is offered. clock: monotonic seconds, the same as the
    link's. sampler: None shows nothing of the machine. restart: starts the engine of a run at rest.
    collector: None leaves Python's own as it is.
    """

    TITLE = "barfield"
    BINDINGS: ClassVar[list[BindingType]] = bindings(APP_KEYS)
    CSS = f"""{NOTICES_CSS}
    App.-ascii * {{ scrollbar-size: 0 0; }}
    """
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        link: Source,
        *,
        look: Look | None = None,
        readonly: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sampler: Sampler | None = None,
        restart: Callable[[Path], Answer] | None = None,
        collector: IdleCollector | None = None,
    ) -> None:
        self.look = look or environment_look()
        super().__init__()
        self.animation_level = "none"
        self.model = Model()
        self.link = link
        self.readonly = readonly
        self.clock = clock
        self._collector = collector
        self.system = SystemSample()
        self._sampler = sampler
        self._restart = restart or Restarter()
        self._sampling = False
        self.theme = "textual-light" if self.look.light else "textual-dark"

    @property
    def run_name(self) -> str:
        """The run's name, before the first view too."""
        return self.link.root.name

    def on_mount(self) -> None:
        """Begin to follow."""
        self.set_class(not self.look.unicode, "-ascii")
        self.push_screen(RunScreen())
        self.link.start()
        self.set_interval(SECONDS_BETWEEN_UPDATES, self.take_news)
        self.set_interval(1.0, self.tick)
        if self._collector is not None:
            self.set_interval(1.0, self._collector.rest)
        self.set_timer(_SECONDS_TO_FIRST_PAINT, self._prepare_screens)
        if self._sampler is not None:
            self.sample()
            self.set_interval(_SECONDS_BETWEEN_SAMPLES, self.sample)
        try:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.action_detach)
        except (RuntimeError, ValueError):
            return  # not in the main thread: whoever started us hears the signals

    async def on_event(self, event: events.Event) -> None:
        """Note that somebody types, and let early keys wait for the screen on top, or for the key
        before."""
        if self._collector is not None and isinstance(event, events.InputEvent):
            self._collector.typed()
        if self._waits(event):
            return
        is_key = isinstance(event, events.Key) and not event.is_forwarded
        early = self._early_keys() if is_key else None
        field = None if early is None or early.is_reading else self.focused
        await super().on_event(event)
        if early is not None and isinstance(field, Input):
            early.follow(field)

    async def on_early_keys_next(self, message: EarlyKeys.Next) -> None:
        """Let a key act that had to wait; in a dialog that one has opened, all that follow."""
        early = message.early
        if message.target is not None and message.target.post_message(EarlyKeys.Next(early)):
            return
        while (key := early.take()) is not None:
            target = self.focused or self.screen
            is_own = self._early_keys() is early
            await super().on_event(key)
            if is_own and early.follow(target):
                return

    def _early_keys(self) -> EarlyKeys | None:
        top = self.screen_stack[-1:]
        return top[0].early if top and isinstance(top[0], DashboardScreen) else None

    def _waits(self, event: events.Event) -> bool:
        if not isinstance(event, events.Key) or event.is_forwarded:
            return False
        early = self._early_keys()
        return early is not None and early.keeps(event)

    def on_unmount(self) -> None:
        """Let the link go."""
        self.link.close()

    def on_resize(self, event: events.Resize) -> None:
        """Say so where there is no room, and go on as soon as there is."""
        fit(self, event.size)

    def take_news(self) -> None:
        """Fold what is new into the model, and let the screen on top draw itself."""
        update = self.link.take()
        if update is not None:
            self.model.fold(update)
            self.tick()

    def tick(self) -> None:
        """Draw again, because something is new or for the age of the data."""
        top = self.screen_stack[-1:]  # none while the app ends: its timers may still come
        if top and isinstance(top[0], DashboardScreen):
            top[0].show_now()

    def sample(self) -> None:
        """Look at the machine, in a thread; one look at a time, and none after one that failed."""
        if self._sampler is not None and not self._sampling:
            self._sampling = True
            self.run_worker(partial(self._sample, self._sampler), thread=True, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Tell what went wrong in a thread, where that does not end the dashboard."""
        error = event.worker.error
        if event.state == WorkerState.ERROR and error is not None:
            words = f"A fault of the dashboard: {type(error).__name__}: {error}"
            self.say(safe(words), wrong=True)

    def give(self, command: Mapping[str, Any]) -> None:
        """Give a command to the engine, and show its answer. Nothing with `--readonly`."""
        if not self.readonly:
            self._in_thread(partial(give, self.link, command))

    def restart(self) -> None:
        """Start the engine of a run at rest, and show how that went."""
        if not self.readonly:
            self._in_thread(partial(self._restart, self.link.root))

    def offers(self, key: Key) -> bool:
        """Whether a key does something in this version."""
        return not key.action.startswith("open(") or key.action[6:-2] in SCREENS

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what --readonly forbids, and screens that are not there."""
        if self.readonly and steers(action):
            return False
        return not (action == "open" and parameters and parameters[0] not in SCREENS)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """ASCII alone where the terminal has no more."""
        filters = super().get_line_filters()
        return filters if self.look.unicode else [*filters, AsciiFilter()]

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The command palette: every key of the screen and of the app by its help."""
        here = SCREEN_KEYS.get(screen.NAME, ()) if isinstance(screen, DashboardScreen) else ()
        for key in (*here, *APP_KEYS):
            if self.offers(key) and key.action != "command_palette" and not key.moves:
                action = key.action
                if not (self.readonly and key.steers):
                    yield SystemCommand(
                        f"{key.label}: {key.help}", f"Key: {key.shown}", partial(self._act, action)
                    )

    def _act(self, action: str) -> None:
        self.call_later(self.screen.run_action, _namespaced(action, self.screen))

    def action_open(self, name: str) -> None:
        """Open a screen above the run's; the same key again goes back. The help lies above any."""
        wanted = screen_class(name)
        top = self.screen
        if wanted is None or isinstance(top, TooSmall):
            return
        if self._without_help():
            if name not in ("help", getattr(self.screen, "NAME", "")):
                self._act(f"open('{name}')")
            return
        if name != "help" and isinstance(top, DashboardScreen) and not isinstance(top, RunScreen):
            self.pop_screen()
            if isinstance(top, wanted):
                return
        self.push_screen(wanted())

    def screen_below(self, screen: DashboardScreen) -> DashboardScreen:
        """What lies below a screen; the one on top, where that is not there any more."""
        known = [entry for entry in self.screen_stack if isinstance(entry, DashboardScreen)]
        return known[known.index(screen) - 1] if screen in known[1:] else known[-1]

    def _without_help(self) -> bool:
        """Take the help away where it is on top: what is below may ask before it is left."""
        on_top = isinstance(self.screen, DashboardScreen) and self.screen.NAME == "help"
        if on_top:
            self.pop_screen()
        return on_top

    def action_toggle_light(self) -> None:
        """Between dark and light."""
        self.theme = "textual-dark" if self.theme == "textual-light" else "textual-light"

    def action_copy_tunnel(self) -> None:
        """Copy the ssh line, by OSC 52: it reaches the user's own machine."""
        self._copy(tunnel_command(self.model.viewer, os.environ), "The ssh line")

    def action_copy_viewer(self) -> None:
        """Copy the viewer's address."""
        self._copy(viewer_url(self.model.viewer), "The viewer's address")

    def action_pause_or_resume(self) -> None:
        """Pause, or go on after a pause."""
        self.give({"op": "resume" if self.model.state == "paused" else "pause"})

    def action_checkpoint(self) -> None:
        """Save a checkpoint now."""
        self.give({"op": "checkpoint"})

    def action_retry(self) -> None:
        """Retry the failed stage where its engine is still there, else start the run again."""
        if self.readonly:
            return
        if self.model.connection.state == "live" and self.model.state not in ("stopped", "done"):
            self.give({"op": "retry"})
        elif self.model.state == "done":
            self.say("The run is done: nothing to try again.", "Change a parameter first.")
        else:
            self.restart()

    def action_stop(self) -> None:
        """Stop the run, after a question."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.give({"op": "stop"})

        if self.model.state in (*ENDED, "", "interrupted"):
            self.say(f"The run is {self.model.state or 'not there'}: nothing to stop.")
        elif not self.readonly:
            self.push_screen(
                Confirm(
                    f"Stop {self.run_name} after the step at hand?",
                    "What is finished is kept; t goes on later. q only leaves the dashboard.",
                ),
                answered,
            )

    def action_detach(self) -> None:
        """Leave; the run goes on."""
        if self._without_help() and hasattr(self.screen, "action_detach"):
            self._act("detach")
            return
        ended = self.model.view is not None and self.model.view.state in ENDED
        self.exit("ended" if ended else "left")

    def action_help_quit(self) -> None:
        """Ctrl-C: neither leaves nor stops by accident."""
        self.say("q leaves, and the run goes on; s stops the run.")

    async def action_quit(self) -> None:
        """As Textual calls it."""
        self.action_detach()

    def say(self, message: str, hint: str = "", *, wrong: bool = False) -> None:
        """Show words for a few seconds; plain text."""
        show_notice(self, f"{message} {hint}".strip(), wrong=wrong)

    def _copy(self, text: str, what: str) -> None:
        if text:
            self.copy_to_clipboard(text)
            self.say(f"{what} is in your clipboard, if your terminal takes OSC 52.")
        else:
            self.say("This run has no viewer.", "Start it with --port N.")

    def _in_thread(self, ask: Callable[[], Answer]) -> None:
        def work() -> None:
            answer = ask()
            self.call_from_thread(self.say, answer.message, answer.hint, wrong=not answer.ok)

        self.run_worker(work, thread=True, group="commands")

    def _prepare_screens(self) -> None:
        self.run_worker(import_screens, thread=True, exit_on_error=False)

    def _sample(self, sampler: Sampler) -> None:
        self.call_from_thread(self._take_sample, sampler.read())

    def _take_sample(self, sample: SystemSample) -> None:
        self.system, self._sampling = sample, False


def _namespaced(action: str, screen: Screen[Any]) -> str:
    """An action with where it is found: of the screen, if that has it, else of the app."""
    name = action.partition("(")[0]
    return action if hasattr(screen, f"action_{name}") else f"app.{action}"
