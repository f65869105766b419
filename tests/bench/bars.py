"""What benchmarks measure, and the bars that the figures are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Measured = dict[str, float | None]


@dataclass(frozen=True)
class Bar:
    """What a figure of the method should be: at most, or at least, so much."""

    figure: str
    must: float | None
    goal: float | None = None
    least: bool = False

    def verdict(self, value: float | None, bar: float | None) -> str:
        """`met` or `missed`; "" without a bar, `unknown` without a figure."""
        if bar is None:
            return ""
        if value is None:
            return "unknown"
        return "met" if (value >= bar if self.least else value <= bar) else "missed"

    def misses(self, value: float | None) -> bool:
        """Whether what must be met is not."""
        return self.verdict(value, self.must) in ("missed", "unknown")

    def in_words(self, value: float | None) -> str:
        """The figure beside what it must and should be, in a line."""
        sign = ">=" if self.least else "<="
        wanted = [
            f"{name} {sign} {bar:g} {self.verdict(value, bar)}"
            for name, bar in (("must", self.must), ("goal", self.goal))
            if bar is not None
        ]
        return f"  {self.figure:24} {number(value):>10}   {'   '.join(wanted)}"


def figures_in_words(found: Mapping[str, float | None]) -> str:
    """All figures of a measurement, in a line."""
    return "  ".join(f"{name} {number(value)}" for name, value in found.items())


def number(value: float | None) -> str:
    """Four digits, or a dash for what is unknown."""
    return "-" if value is None else f"{value:.4g}"
