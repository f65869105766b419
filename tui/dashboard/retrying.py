"""Running a stage of the run again, with all after it: asked for, agreed to, carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.engine.messages import Answer
from tui.dashboard.dialogs import Confirm
from tui.dashboard.look import safe
from tui.dashboard.steering import ask_to_repeat
from tui.words import duration_in_words

if TYPE_CHECKING:
    from tui.dashboard.app import DashboardApp


def retry_from(app: DashboardApp, stage: str) -> None:
    """Ask which stages would run again, then the user, then for it to be done."""

    at_rest = app.model.connection.state == "left"

    def work(confirmed: bool) -> None:
        answer = ask_to_repeat(app.link, stage, at_rest=at_rest, confirmed=confirmed)
        app.call_from_thread(_answered if confirmed else asked, app, answer)

    def in_thread(confirmed: bool) -> None:
        app.run_worker(lambda: work(confirmed), thread=True, group="commands")

    def asked(app: DashboardApp, answer: Answer) -> None:
        if answer.ok or not answer.reruns:
            _answered(app, answer)
            return
        seconds = sum(view.seconds for view in app.model.stages if view.name in answer.reruns)
        question = f"Run {', '.join(answer.reruns)} again from the beginning?"
        lost = f"{duration_in_words(seconds)} of work are done anew. " if seconds >= 1 else ""
        kept = "What is stored of photographs and pairs is kept."
        app.push_screen(
            Confirm(safe(question), lost + kept), lambda yes: in_thread(True) if yes else None
        )

    in_thread(False)


def _answered(app: DashboardApp, answer: Answer) -> None:
    if answer.reruns and not answer.ok:  # all is ready for an engine
        app.restart()
    else:
        app.say(safe(answer.message), safe(answer.hint), wrong=not answer.ok)
