"""Keys that come before a screen has what they are about: that is read from the disk or asked of
the engine, and whoever knows the keys does not wait for it. Then those that come while a field has
not done yet what the key before means: over a slow link many come at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from textual import events
from textual.message import Message
from textual.message_pump import MessagePump

from tui.dashboard.keys import Key


class EarlyKeys:
    """Keeps the keys of a screen until it has read, then those behind a key for a field; lets one
    after the other act.

    The app's own keys do at once what they do, unless they follow one that opens a field: then they
    are typed into that. keys: those of the screen.
    """

    class Next(Message):
        """The next key may act. It goes up to the app behind the key before, which acts there, then
        from the same target behind what that has sent.

        target: where to go from once more; None: the key before has done all that it does.
        """

        def __init__(self, early: EarlyKeys, target: MessagePump | None = None) -> None:
            super().__init__()
            self.early = early
            self.target = target

    def __init__(self, keys: Iterable[Key]) -> None:
        named = [(name, key.opens_field) for key in keys for name in key.keys.split(",")]
        self._names = frozenset(name for name, _ in named)
        self._opening = frozenset(name for name, opens in named if opens)
        self._kept: deque[events.Key] = deque()
        self.is_reading = True
        self._is_busy = False  # a key has not done yet all that it does

    def keeps(self, event: events.Key) -> bool:
        """Keep a key, if it has to wait. Esc does not wait for what may never come, and drops what
        was kept."""
        if not self.is_reading:
            waits = self._is_busy or bool(self._kept)  # none overtakes another
        elif event.key == "escape":
            self._kept.clear()
            waits = False
        else:
            waits = event.key in self._names or any(k.key in self._opening for k in self._kept)
        if waits:
            self._kept.append(event)
        return waits

    def end(self, *, dropping: bool) -> None:
        """The screen has read. dropping: forget what was kept."""
        self.is_reading = False
        if dropping:
            self._kept.clear()

    def take(self) -> events.Key | None:
        """The next one; None where all have acted."""
        self._is_busy = False
        return self._kept.popleft() if self._kept else None

    def follow(self, target: MessagePump) -> bool:
        """A key went to the target: what comes next waits until it has done all that it does. False
        where the target is gone: nothing waits."""
        self._is_busy = target.post_message(EarlyKeys.Next(self, target))
        return self._is_busy
