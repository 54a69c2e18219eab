"""The charts of sizes: by number and by area, a series per specimen, with the lognormal fitted to each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import special

from steelquant.reports.html.axes import Axis, Tick, axis
from steelquant.reports.html.numbers import format_number

if TYPE_CHECKING:
    from steelquant.stereology.distributions import Lognormal, Shares
    from steelquant.stereology.populations import Population
    from steelquant.stereology.quantify import Quantification

MOST_SERIES = 6
"""Specimens in one chart of sizes: as many as there are colours that the colour-blind can tell apart."""

_WIDTH, _HEIGHT, _BOTTOM = 532.0, 300.0, 256.0
_LEFT, _RIGHT, _TOP = 58.0, 14.0, 16.0
_BARS = 0.84
"""Share of a class's width that its bars take."""

_CURVE_STEPS = 8
"""Points of a fitted curve per class."""

_LABEL_WIDTH = 34.0


@dataclass(frozen=True)
class Bar:
    """One bar of a series."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class Series:
    """One specimen: its bars, the fitted curve as points of a polyline (empty without), the fit in words.

    `colour` counts from 1; a specimen keeps it from chart to chart.
    """

    name: str
    colour: int
    bars: tuple[Bar, ...]
    curve: str
    fit: str


@dataclass(frozen=True)
class SizesChart:
    """Share of features in each class of sizes, a series per specimen."""

    title: str
    unit: str
    width: float
    height: float
    bottom: float
    y: Axis
    edges: tuple[Tick, ...]
    series: tuple[Series, ...]
    left_out: int


def sizes_charts(result: Quantification) -> list[SizesChart]:
    """Return the charts of sizes, by number and by area, for each kind of feature.

    Classes are those of the table of distributions: of features that nothing cuts, in calibrated fields, each
    standing for those that the frame cut. The curve is the share that the fitted lognormal has in a class of
    the same width about each size; at the middle of a class it is that class's share.
    """
    by_kind: dict[str, dict[str, Population]] = {}
    for specimen in result.specimens:
        for population in specimen.populations:
            by_kind.setdefault(population.kind, {})[specimen.name] = population
    colours: dict[str, int] = {}
    charts = []
    for kind, populations in by_kind.items():
        shown = dict(list(populations.items())[:MOST_SERIES])
        own = _colours(shown, colours)
        colours |= own
        for what in ("number", "area"):
            title = f"{kind[:1].upper()}{kind[1:]} by {what}"
            charts.append(_chart(title, shown, own, len(populations) - len(shown), what))
    return charts


def _colours(names: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """Return a colour for each name of a chart, the one it is known by unless another has it there."""
    colours: dict[str, int] = {}
    for name in names:
        if name in known and known[name] not in colours.values():
            colours[name] = known[name]
    free = (number for number in range(1, MOST_SERIES + 1) if number not in colours.values())
    return {name: colours[name] if name in colours else next(free) for name in names}


def _chart(
    title: str, shown: Mapping[str, Population], colours: Mapping[str, int], left_out: int, what: str
) -> SizesChart:
    spans = {name: _span(population) for name, population in shown.items()}
    first, end = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
    step = (_WIDTH - _LEFT - _RIGHT) / (end - first)
    shares = {name: _shares(population, what) for name, population in shown.items()}
    curves = {name: _curve(found.lognormal, first, end) for name, found in shares.items()}
    highest = max(100 * max(found.fractions) for found in shares.values())
    highest = max([highest, *(share for curve in curves.values() for _, share in curve)])
    y = axis(0.0, highest, _BOTTOM, _TOP)
    width = _BARS * step / len(shown)
    series = []
    for number, (name, population) in enumerate(shown.items()):
        bars = []
        for place, fraction in enumerate(shares[name].fractions):
            k, count = spans[name][0] + place, population.sizes.counts[place]
            text = (
                f"{_edge(k)} – {_edge(k + 1)} µm: {format_number(100 * fraction, '0.0')} % "
                f"({count:,} {population.kind})"
            )
            x = _LEFT + step * (k - first + (1 - _BARS) / 2) + width * number
            top = y(100 * fraction)
            bars.append(Bar(round(x, 2), top, round(width, 2), round(_BOTTOM - top, 2), text))
        points = " ".join(f"{_LEFT + step * (t - first):.1f},{y(share)}" for t, share in curves[name])
        fit = _fit_text(population, shares[name])
        series.append(Series(name, colours[name], tuple(bars), points, fit))
    every = math.ceil(_LABEL_WIDTH / step)
    return SizesChart(
        title=title,
        unit=f"{what.capitalize()} (%)",
        width=_WIDTH,
        height=_HEIGHT,
        bottom=_BOTTOM,
        y=y,
        edges=tuple(
            Tick(round(_LEFT + step * (k - first), 2), _edge(k)) for k in range(first, end + 1, every)
        ),
        series=tuple(series),
        left_out=left_out,
    )


def _span(population: Population) -> tuple[int, int]:
    """Return k of the first class, from 2^(k/2) µm, and one past the last."""
    last = round(2 * math.log2(population.sizes.edges_um[-1]))
    return last - len(population.sizes.counts), last


def _edge(k: int) -> str:
    return f"{math.sqrt(2) ** k:.3g}"


def _shares(population: Population, what: str) -> Shares:
    return population.sizes.by_number if what == "number" else population.sizes.by_area


def _curve(fit: Lognormal | None, first: int, end: int) -> list[tuple[float, float]]:
    """Return sizes as classes and parts of them, and the share in % within half a class on either side."""
    if fit is None:
        return []
    middle = 2 * math.log2(fit.median_um)
    spread = 2 * math.log2(fit.geometric_deviation)
    places = [first + n / _CURVE_STEPS for n in range((end - first) * _CURVE_STEPS + 1)]
    ends = [[(t + side - middle) / spread for t in places] for side in (-0.5, 0.5)]
    below, above = special.ndtr(ends)
    return list(zip(places, (100 * (above - below)).tolist(), strict=True))


def _fit_text(population: Population, shares: Shares) -> str:
    """Say how many features there are, and the lognormal fitted to them."""
    count = f"n = {population.sizes.count:,}"
    fit = shares.lognormal
    if fit is None:
        return f"{count}, too few or too equal for a lognormal"
    return (
        f"{count}, lognormal median {format_number(fit.median_um, '0.00')}\xa0µm, deviation factor\xa0"
        f"{format_number(fit.geometric_deviation, '0.00')}, D\xa0{format_number(fit.distance, '0.000')}"
    )
