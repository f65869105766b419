"""Changes that are not applied yet, beside the configuration that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from pipeline.engine.messages import ConfigAnswer, StageView
from pipeline.settings import SettingsError
from tui.dashboard.parameters_effect import Effect, Known, effect_of, objection
from tui.dashboard.parameters_form import FormField, fields_of, value_in_words
from tui.dashboard.parameters_typed import Refused, read_value


class Drafts:
    """The configuration as the user would have it.

    known: as it is. fields: of the form. values: the drafts, oldest first. looks: how often the
    configuration was looked up.
    """

    def __init__(self) -> None:
        self.known = Known(ConfigAnswer(revision=0, parameters={}))
        self.fields: dict[str, FormField] = {}
        self.values: dict[str, JsonValue] = {}
        self.looks = 0
        self._foreseen: tuple[object, Effect] = (None, Effect({}))

    def take(self, known: Known) -> None:
        """The configuration was looked up; drafts that are so by now are none any more."""
        if known.answer.parameters or not self.known.answer.parameters:
            self.known = known
        else:  # nobody answers: what is known stays
            self.known = replace(self.known, problem=known.problem)
        self.fields = fields_of(self.known.answer)
        self.looks += 1
        self.values = {name: v for name, v in self.values.items() if not self._is_so(name, v)}

    def value(self, field: FormField) -> JsonValue:
        """Of the draft, else as it is."""
        return self.values.get(field.name, field.view.value)

    def draft(self, name: str, value: JsonValue) -> str:
        """Draft a value. Returns what speaks against it; then nothing has changed."""
        others = {key: entry for key, entry in self.values.items() if key != name}
        drafts = others if self._is_so(name, value) else {**others, name: value}
        wrong = objection(self.known, drafts)
        if not wrong:
            self.values = drafts
        return wrong

    def drop_last(self) -> str:
        """Drop the newest draft; returns its name."""
        return self.values.popitem()[0]

    def applied(self, changes: Mapping[str, JsonValue]) -> None:
        """These have been applied: they are drafts no more, but for what was drafted since."""
        self.values = {
            name: value
            for name, value in self.values.items()
            if not (name in changes and _same(changes[name], value))
        }

    def applicable(self) -> dict[str, JsonValue]:
        """The drafts that can be applied while the run goes on."""
        return {
            name: value
            for name, value in self.values.items()
            if name in self.fields and self.fields[name].view.applies != "restart"
        }

    def read(self, name: str, text: str) -> tuple[JsonValue, str]:
        """What is typed for a parameter, and what speaks against it, by its schema and beside the
        other settings."""
        try:
            value = read_value(self.fields[name], text)
        except Refused as refused:
            return None, str(refused)
        return value, objection(self.known, {**self.values, name: value})

    def effect(self, stages: Sequence[StageView], typed: Mapping[str, JsonValue]) -> Effect:
        """What the drafts would do, with what is being typed."""
        wanted = {**self.values, **typed}
        states = tuple((stage.name, stage.state) for stage in stages)
        key = (self.looks, repr(wanted), states)
        if key != self._foreseen[0]:
            try:
                effect = effect_of(self.known, wanted, stages)
            except SettingsError:
                effect = Effect({})
            self._foreseen = key, effect
        return self._foreseen[1]

    def counted(self) -> str:
        """How many there are, in words."""
        return f"{len(self.values)} change" + ("s" if len(self.values) != 1 else "")

    def _is_so(self, name: str, value: JsonValue) -> bool:
        field = self.fields.get(name)
        return field is not None and _same(field.view.value, value)


def in_words(changes: Mapping[str, JsonValue]) -> str:
    """`matching.ratio = 0.7, pairs.words = 32`."""
    return ", ".join(f"{name} = {value_in_words(value)}" for name, value in changes.items())


def _same(old: JsonValue, new: JsonValue) -> bool:
    """Whether two values are one; 1 and true are not."""
    return old == new and isinstance(old, bool) == isinstance(new, bool)
