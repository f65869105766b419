"""Saving the parameters as a TOML file for `--config`; a file that is there stays as it is."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from pipeline.atomic_files import storage_error
from pipeline.config import RunConfig
from pipeline.errors import PipelineError
from pipeline.settings import settings_as_toml
from tui.dashboard.look import safe
from tui.dashboard.widgets import Prose

_MOST_NUMBER = 1000


def free_name(folder: Path, run: str) -> Path:
    """A file of the folder that is not there yet: `garden.toml`, else `garden-2.toml`."""
    names = (f"{run}.toml", *(f"{run}-{number}.toml" for number in range(2, _MOST_NUMBER)))
    free = (folder / name for name in names if not os.path.lexists(folder / name))
    return next(free, folder / f"{run}.toml")


def save_settings(path: Path, config: RunConfig) -> Path:
    """Write a configuration to a new file that `--config` reads. Returns where, absolute.

    Raises PipelineError where the file is there already or cannot be written; what was there is
    left alone, and nothing half-written stays behind.
    """
    path = path.expanduser().absolute()
    try:
        # Not by a temporary name: a rename would replace a file that came in between.
        with path.open("x", encoding="utf-8", errors="surrogateescape") as file:
            try:
                file.write(settings_as_toml(config))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    path.unlink()
                raise
    except FileExistsError as error:
        raise PipelineError(
            "There already", f"{path} is there already.", "Choose another name."
        ) from error
    except FileNotFoundError as error:
        raise PipelineError(
            "No folder", f"There is no folder {path.parent}.", "Choose another one."
        ) from error
    except OSError as error:
        raise PipelineError("Cannot write", storage_error(error, path).message, "") from error
    except ValueError as error:  # a NUL in the name
        raise PipelineError("No name", f"{str(path)!r} is no name of a file.", "") from error
    return path


class SaveDialog(ModalScreen[Path]):
    """Asks where to, saves, and closes with the file; None where the user thinks better of it.

    proposed: the file that is offered. note: what is saved, in words.
    """

    CSS = """
    SaveDialog { align: center middle; }
    SaveDialog > Vertical { width: 76; max-width: 94%; height: auto; padding: 1 2;
        background: $surface; }
    SaveDialog Input { height: 1; border: none; padding: 0; margin: 1 0; background: $boost; }
    SaveDialog Input:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, proposed: str, config: RunConfig, note: str) -> None:
        super().__init__()
        self._proposed, self._config, self._note = proposed, config, note

    def compose(self) -> ComposeResult:
        """What is saved, the name, what is wrong with it."""
        with Vertical():
            yield Prose(id="note")
            name = Input(self._proposed, select_on_focus=False)
            name.cursor_blink = False
            yield name
            yield Prose(id="answer")

    def on_mount(self) -> None:
        """Say what is saved."""
        self.query_one("#note", Prose).show(self._note)
        self.query_one("#answer", Prose).show("Enter saves, Esc does not.")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Save, or say why not."""
        event.stop()
        name = event.value.strip()
        if not name:
            self._refuse("Type the name of a file.")
            return
        event.input.disabled = True  # one file for one Enter
        self.query_one("#answer", Prose).show("Saving ...")
        self.run_worker(partial(self._save, Path(name)), thread=True)

    def action_leave(self) -> None:
        """Close without saving."""
        self.dismiss(None)

    def _save(self, path: Path) -> None:
        # In a thread: it waits until the disk has it.
        try:
            saved = save_settings(path, self._config)
        except PipelineError as error:
            self.app.call_from_thread(self._refuse, f"{error.message} {error.hint}".strip())
        else:
            self.app.call_from_thread(self._close, saved)

    def _close(self, saved: Path) -> None:
        if self.is_current:  # the user may have left
            self.dismiss(saved)

    def _refuse(self, words: str) -> None:
        if not self.is_current:
            return
        name = self.query_one(Input)
        name.disabled = False
        name.focus()
        self.query_one("#answer", Prose).show(safe(words))
