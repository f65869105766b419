"""The page of one photograph: what is known of it, its neighbours, its keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll

from tui.dashboard.long_list import cell
from tui.dashboard.look import Look, safe
from tui.dashboard.photographs_table import verdict_sign, verdict_word
from tui.dashboard.pictures import MOST_CELLS, half_blocks
from tui.dashboard.widgets import Prose, Quiet

if TYPE_CHECKING:
    from pipeline.photograph_facts import Neighbour, PhotographFacts

MOST_NEIGHBOURS = 20
_LABEL_CELLS = 11
# Matching compares the largest keypoints alone where these leave no doubt, and verification then
# adds the matches along the epipolar lines: there may be several times as many.
_ADDED = "inliers: with the matches that verification adds along epipolar lines"
_GREEN, _ORANGE = "rgb(80,250,120)", "rgb(255,150,40)"


@dataclass(frozen=True)
class Page:
    """What is shown of a photograph. neighbours: the strongest first, each with what is known of
    it. keypoints: PNG with its keypoints drawn, plain: without; b"" without pictures. in_model,
    drawn: keypoints that see a 3D point, and all; 0 where not known. is_read: all this was looked
    up; until then only the fact is known."""

    fact: PhotographFacts
    neighbours: Sequence[tuple[Neighbour, PhotographFacts]] = ()
    keypoints: bytes = b""
    plain: bytes = b""
    in_model: int = 0
    drawn: int = 0
    is_read: bool = True


class PhotographPage(VerticalScroll, can_focus=True):
    """Shows one photograph. The facts are beside the picture where the page is alone on the screen
    (-alone), else above it."""

    DEFAULT_CSS = """
    PhotographPage { scrollbar-size-vertical: 1; padding: 0 1 0 0; }
    PhotographPage #top { height: auto; layout: vertical; }
    PhotographPage.-alone #top { layout: horizontal; }
    PhotographPage #facts { width: 1fr; margin: 0 1 0 0; }
    PhotographPage #picture { width: 40; margin: 1 0 0 0; }
    PhotographPage.-alone #picture { margin: 0; }
    PhotographPage #neighbours { margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "scroll_up", show=False),
        Binding("j", "scroll_down", show=False),
    ]

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._page: Page | None = None
        self._plain = False
        self._facts_of = Prose(id="facts")
        self._picture_of = Prose(id="picture")
        self._neighbours_of = Quiet(id="neighbours")

    def compose(self) -> ComposeResult:
        """Facts, picture, neighbours."""
        with Container(id="top"):
            yield self._facts_of
            yield self._picture_of
        yield self._neighbours_of

    def show(self, page: Page | None) -> None:
        """Show a photograph; None: there is none."""
        other = page is None or self._page is None or page.fact.name != self._page.fact.name
        self._page = page
        if page is None:
            for widget in (self._facts_of, self._picture_of, self._neighbours_of):
                widget.show("")
            return
        self._facts_of.show(self._facts(page.fact))
        self._picture_of.show(self._picture(page))
        self._neighbours_of.show(self._neighbours(page))
        if other:
            self.scroll_home(animate=False)

    def toggle_keypoints(self) -> None:
        """The picture with or without them."""
        self._plain = not self._plain
        self.show(self._page)

    def on_resize(self) -> None:
        """The names have another room."""
        self.call_after_refresh(lambda: self.show(self._page))

    def _facts(self, fact: PhotographFacts) -> Text:
        sign, style = verdict_sign(fact, self._look)
        text = Text.assemble(
            (f"{safe(fact.name)}\n", "bold"), (f"{sign} {verdict_word(fact)}", style)
        )
        if fact.registered is False:
            text.append(f": {safe(fact.reason)}")
        elif fact.model:
            text.append(f" in model {fact.model}")
        text.append("\n")
        for label, value in _rows(fact):
            if value:
                text.append(f"{label:<{_LABEL_CELLS}}", style="dim")
                text.append(f"{safe(value, 120)}\n")
        text.right_crop(1)
        return text

    def _picture(self, page: Page) -> Text:
        data = page.plain if self._plain else page.keypoints
        drawn = half_blocks(data, *MOST_CELLS) if data and self._look.pictures else None
        text = Text() if drawn is None else drawn.copy() + Text("\n")
        if drawn is None and not self._look.pictures:
            text.append("Pictures are off.\n", style="dim")
        if not page.is_read:
            text.append("Reading...", style="dim")
        elif not page.drawn:
            text.append("No keypoints yet.", style="dim")
        elif page.fact.registered is None:
            text.append(f"{page.drawn} keypoints", style="dim")
        elif drawn is None or not self._plain:
            color = drawn is not None
            text.append(f"{page.in_model} keypoints see a point", _GREEN if color else "dim")
            text.append(", ", style="dim")
            text.append(f"{page.drawn - page.in_model} do not", _ORANGE if color else "dim")
        return text

    def _neighbours(self, page: Page) -> Text:
        if not page.neighbours:
            is_known = page.is_read and page.fact.matches is not None
            words = "No other photograph has matches with it." if is_known else ""
            return Text(words, style="dim")
        width = max(40, self.content_size.width)
        name = max(20, min(40, width - 56))
        text = Text(no_wrap=True, overflow="ellipsis")
        title = (
            f"  {cell('strongest neighbours', name)}{'inliers':>8}{'matches':>9}{'angle deg':>11}  "
        )
        text.append(title + "geometry\n", style="bold")
        if any(_has_added(neighbour) for neighbour, _ in page.neighbours):
            text.append(f"  {_ADDED}\n", style="dim")
        for neighbour, fact in page.neighbours:
            sign, style = verdict_sign(fact, self._look)
            text.append(f"{sign} ", style=style)
            text.append(cell(fact.name, name))
            text.append(f"{_number(neighbour.inliers):>8}{_number(neighbour.matches):>9}")
            angle = neighbour.angle_deg
            text.append(f"{'-' if angle is None or neighbour.reason else f'{angle:.1f}':>11}  ")
            words = neighbour.reason or neighbour.kind
            text.append(safe(words, 120) + "\n", style="yellow" if neighbour.reason else "dim")
        text.right_crop(1)
        return text


def _rows(fact: PhotographFacts) -> list[tuple[str, str]]:
    """Labels and values; "" where a value is not known."""
    about = fact.about
    camera = " ".join(about.get(part, "") for part in ("make", "model")).strip()
    size = "" if fact.size is None else f"{fact.size[0]}x{fact.size[1]}"
    error = "" if fact.error_px is None else f"{fact.error_px:.3f} px reprojection"
    how = "refined" if fact.focal_is_refined else "before mapping"
    return [
        ("size", size),
        ("camera", camera),
        ("taken", about.get("taken", "")),
        ("focal", "" if fact.focal_px is None else f"{fact.focal_px:.0f} px, {how}"),
        ("sharpness", "" if fact.sharpness is None else f"{fact.sharpness:.0f}"),
        ("keypoints", _number(fact.keypoints, "")),
        ("matches", _number(fact.matches, "")),
        ("inliers", _number(fact.inliers, "") + (" with added ones" if _has_added(fact) else "")),
        ("pairs", "" if fact.partners is None else f"{fact.partners} verified"),
        ("error", error),
    ]


def _has_added(found: Neighbour | PhotographFacts) -> bool:
    """Whether verification has surely found more than the matches that it was given."""
    if found.inliers is None or found.matches is None:
        return False
    return found.inliers > found.matches


def _number(value: int | None, otherwise: str = "-") -> str:
    return otherwise if value is None else str(value)
