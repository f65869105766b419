"""Words that are shown for a few seconds, over the keys at the foot: nothing of the screen's own is
hidden by what fits into a line."""

from __future__ import annotations

from typing import Any

from textual.app import App

# Textual's own are three lines and more, above the foot.
NOTICES_CSS = """
ToastRack { margin: 0; scrollbar-size: 0 0; }
Toast { width: auto; max-width: 100%; margin: 0; padding: 0 1; }
"""


def show_notice(app: App[Any], words: str, *, wrong: bool = False) -> None:
    """Show plain text in the place of the notice before, if that is still there."""
    app.clear_notifications()
    app.notify(words, severity="error" if wrong else "information", markup=False)
