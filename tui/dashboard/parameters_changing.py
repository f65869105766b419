"""What the parameters' screen asks of others: the engine for values and changes, a file to save
to, and the user before drafts are lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from textual.widgets import Input

from pipeline.engine.messages import Answer
from pipeline.settings import SettingsError
from tui.dashboard.dialogs import Confirm
from tui.dashboard.keys import PARAMETER_KEYS
from tui.dashboard.look import safe
from tui.dashboard.model import Model
from tui.dashboard.parameters_drafts import Drafts, in_words
from tui.dashboard.parameters_effect import Known, look_up, undoable
from tui.dashboard.parameters_save import SaveDialog, free_name
from tui.dashboard.screens import DashboardScreen
from tui.dashboard.steering import give
from tui.words import duration_in_words

_UNDER_WAY = "The change before is still on its way: try again."
_OWN = frozenset(key.action.partition("(")[0] for key in PARAMETER_KEYS)


class ChangingScreen(DashboardScreen):
    """A screen with drafts of parameters: keeps them beside what the engine has, applies, takes
    back and saves."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts = Drafts()
        self._asked: object = None
        self._busy = False
        self._under_way = False  # a change was asked for, and the engine has not answered
        self._expected = 0  # the revision of a change that was made, and will be told of

    def keep_up(self, model: Model) -> None:
        """Look the values up again where the model says that they have changed."""
        view = model.view
        told = (view and (view.engine, view.revision), model.connection.state)
        if told != self._asked and not self._busy:
            self._asked = told
            self._look_up()

    def action_apply(self) -> None:
        """Apply the drafts, but for those that are fixed while a run goes on."""
        changes = self.drafts.applicable()
        if changes:
            self._set(changes)
        elif self.drafts.values:
            self.dashboard.say(
                _sentence(self.drafts.effect(self.dashboard.model.stages, {}).in_words())
            )
        else:
            self.dashboard.say("Nothing to apply.", "Enter changes the parameter at the cursor.")

    def action_undo(self) -> None:
        """Drop the last draft; without drafts, take the last change back."""
        if self.drafts.values:
            self.dashboard.say(f"{self.drafts.drop_last()} stays as it is.")
            self.show_now()
            return
        changes = [change for _, change in self.dashboard.model.changes]
        if self._expected > max((change.revision for change in changes), default=0):
            self.dashboard.say(_UNDER_WAY)  # else the same change would be undone twice
            return
        change = undoable(changes)
        if change is None:
            self.dashboard.say("Nothing to undo: no parameter was changed.")
        else:
            self._set({change.parameter: change.old})

    def action_save(self) -> None:
        """Save what is shown, drafts too, as a file for --config."""
        try:
            config = self.drafts.known.with_changes(self.drafts.values)
        except SettingsError as error:
            self.dashboard.say(error.message, error.hint, wrong=True)
            return
        if config is None:
            self.dashboard.say("The parameters are not known yet.")
            return
        drafts = f", with {self.drafts.counted()} not applied yet" if self.drafts.values else ""
        folder = Path.cwd()
        note = f"Save all parameters{drafts}, for --config. Into {safe(str(folder))}, as:"
        name = free_name(folder, self.dashboard.run_name).name

        def saved(path: Path | None) -> None:
            if path is not None:
                self.dashboard.say(
                    f"Saved: {safe(str(path))}", "Use it with `barfield run --config`."
                )

        self.app.push_screen(SaveDialog(name, config, note), saved)

    def action_open(self, name: str) -> None:
        """To another screen, or back with this one's name; asks where drafts would be lost."""
        if name == "help":  # it lies above this one
            self.dashboard.action_open(name)
        else:
            self._leaving(lambda: self.dashboard.action_open(name))

    def action_detach(self) -> None:
        """Leave the dashboard; asks as `action_open` does."""
        self._leaving(self.dashboard.action_detach)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what --readonly forbids, and screens that are not there."""
        if action in _OWN and isinstance(self.focused, Input):
            return False  # it is a letter of what is being typed
        return self.dashboard.check_action(action, parameters)

    def _leaving(self, leave: Callable[[], None]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                leave()

        if self.drafts.values:
            question = f"Leave without applying {self.drafts.counted()}?"
            self.app.push_screen(Confirm(question, safe(in_words(self.drafts.values))), answered)
        else:
            leave()

    def _look_up(self) -> None:
        self._busy = True

        def work() -> None:
            known = look_up(self.dashboard.link)
            self.app.call_from_thread(self._take, known)

        self.run_worker(work, thread=True, group="parameters")

    def _take(self, known: Known) -> None:
        self._busy = False
        self.drafts.take(known)
        self.show_now()
        self.has_read()

    def _set(self, changes: Mapping[str, JsonValue], revision: int | None = None) -> None:
        """Ask the engine for changes, in a thread. revision: as it was when the user agreed that
        stages run again; None before they were asked."""
        if self.dashboard.readonly:
            return
        if self._under_way:
            self.dashboard.say(_UNDER_WAY)
            return
        self._under_way = True
        base = self.drafts.known.answer.revision if revision is None else revision
        command: dict[str, Any] = {
            "op": "set",
            "changes": dict(changes),
            "base_revision": base,
            "confirm": revision is not None,
        }

        def work() -> None:
            answer = give(self.dashboard.link, command)
            self.app.call_from_thread(self._answered, changes, base, answer)

        self.run_worker(work, thread=True, group="parameters")

    def _answered(self, changes: Mapping[str, JsonValue], base: int, answer: Answer) -> None:
        self._under_way = False
        if answer.reruns and not answer.ok:
            model = self.dashboard.model
            lost = sum(stage.seconds for stage in model.stages if stage.name in answer.reruns)

            def answered(yes: bool | None) -> None:
                if yes:
                    self._set(changes, answer.revision)

            self.app.push_screen(
                Confirm(
                    f"{', '.join(answer.reruns)} run again: {duration_in_words(lost)} of work. "
                    "Apply?",
                    safe(in_words(changes)),
                ),
                answered,
            )
            return
        self.dashboard.say(safe(answer.message), safe(answer.hint), wrong=not answer.ok)
        if answer.ok:
            self.drafts.applied(changes)
            self._expected = answer.revision if answer.revision > base else 0
        self._asked = None  # look the values up again: the engine may have settled others
        self.show_now()


def _sentence(effect: str) -> str:
    return f"Not now: {effect}." if effect else "Nothing can be applied."
