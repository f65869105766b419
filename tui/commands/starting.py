"""Options of all commands that start the engine of a run, and how they want it to be followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from tui.failures import WrongUsage

if TYPE_CHECKING:
    from tui.session import Manner

_DETACH = (
    "Only start the run; or: end it with this command, for batch schedulers. Otherwise: follow."
)

Until = Annotated[
    str | None, typer.Option(metavar="STAGE", help="Last stage to run, e.g. matching.")
]
Headless = Annotated[
    bool, typer.Option("--headless", help="No dashboard and no viewer: progress lines only.")
]
Detach = Annotated[bool | None, typer.Option("--detach/--no-detach", help=_DETACH)]
NoViewer = Annotated[bool, typer.Option("--no-viewer", help="Do not serve the browser viewer.")]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Of the viewer on 127.0.0.1; usually the first free."),
]


@dataclass(frozen=True)
class StartOptions:
    """What the user says about following a run that is started. Raises WrongUsage where two of the
    options exclude each other."""

    headless: bool
    plain: bool
    no_pictures: bool
    detach: bool | None
    no_viewer: bool
    port: int | None
    as_json: bool

    def __post_init__(self) -> None:
        for option, without_viewer in (
            ("--no-viewer", self.no_viewer),
            ("--headless", self.headless),
        ):
            if self.port is not None and without_viewer:
                raise WrongUsage("Contradiction", f"--port and {option} exclude each other.")

    def manner(self) -> Manner:
        """The same for `run_session`, with the terminal that there is."""
        from tui.address import FREE_PORT
        from tui.dashboard.start import can_show
        from tui.session import Manner, attachment_of

        without_port = None if self.headless or self.no_viewer else FREE_PORT
        return Manner(
            attachment_of(self.detach),
            without_port if self.port is None else self.port,
            self.as_json,
            dashboard=can_show() and not (self.headless or self.plain or self.as_json),
            pictures=not self.no_pictures,
        )
