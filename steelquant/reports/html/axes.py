"""Scales with round marks for the page's charts, in the units of their drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steelquant.reports.html.numbers import format_number


@dataclass(frozen=True)
class Tick:
    """A mark of an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A linear scale from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[Tick, ...]

    def __call__(self, value: float) -> float:
        """Return where a value stands; values beyond the ends stand at them."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def axis(low: float, high: float, start: float, end: float, wanted: int = 6) -> Axis:
    """Return a scale with round marks that holds ``low`` and ``high``."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    step = 10.0 ** math.floor(math.log10((high - low) / wanted))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= wanted)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    bare = Axis(first * step, last * step, start, end, ())
    ticks = tuple(
        Tick(bare(n * step), format_number(n * step, f"0.{'0' * decimals}" if decimals else "0"))
        for n in range(first, last + 1)
    )
    return Axis(bare.low, bare.high, start, end, ticks)
