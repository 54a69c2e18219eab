"""The page's charts: where everything stands, in the units of their drawing; the templates draw it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelquant.reports.html.numbers import format_number, with_interval
from steelquant.reports.table import Cell, Row
from steelquant.stereology.statistics import Estimate

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.quantity import Quantity
    from steelquant.stereology.specimens import Limit
    from steelquant.stereology.summary import SpecimenResult

MOST_SERIES = 6
"""Specimens in one chart of sizes: as many as there are colours that the colour-blind can tell apart."""

_WIDTH, _HEIGHT = 1088.0, 340.0
_LEFT, _RIGHT, _TOP = 58.0, 14.0, 16.0
_LEAST_STEP = 7.0
_NAMED_STEP = 24.0
"""Fields stand at least so far apart that each can be named."""

_LONGEST_NAME = 18
_CHARACTER = 6.2
"""Width of a letter of an axis."""

_SLANTED = 0.72 * _CHARACTER
"""Height that a letter of a slanted name takes."""

_RANGE_WIDTH = 190.0


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


@dataclass(frozen=True)
class Point:
    """A value with its interval, None where there is none; ``label`` is its name, cut to fit."""

    x: float
    y: float
    low: float | None
    high: float | None
    name: str
    label: str
    text: str
    anchor: str


@dataclass(frozen=True)
class Group:
    """The fields of one specimen, from ``left`` to ``right``; the rest is its mean and interval, if any."""

    name: str
    label: str
    text: str
    left: float
    right: float
    points: tuple[Point, ...]
    mean: float | None
    low: float | None
    high: float | None
    lower_limit: float | None
    upper_limit: float | None


@dataclass(frozen=True)
class FieldsChart:
    """The main quantity of every field with its interval, by specimen."""

    title: str
    unit: str
    width: float
    height: float
    bottom: float
    groups_at: float
    y: Axis
    groups: tuple[Group, ...]
    has_names: bool
    has_slanted_names: bool
    has_slanted_groups: bool


@dataclass(frozen=True)
class Range:
    """A specimen's mean and interval on a common scale, in one line of a table."""

    width: float
    x: float
    low: float | None
    high: float | None
    lower_limit: float | None
    upper_limit: float | None


@dataclass(frozen=True)
class Bar:
    """One bar of a series."""

    x: float
    y: float
    width: float
    height: float
    text: str


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
    series: tuple[tuple[str, tuple[Bar, ...]], ...]
    left_out: int


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


def fields_chart(result: Quantification, anchors: dict[str, str]) -> FieldsChart:
    """Return the chart of the main quantity of all fields.

    Parameters
    ----------
    result
        What was measured.
    anchors
        Where each field stands on the page, by its name.
    """
    main = result.quantities[0]
    found = [[_measured(field, main) for field in specimen.fields] for specimen in result.specimens]
    ends: list[float | None] = [value for fields in found for values in fields for value in values]
    for specimen in result.specimens:
        ends += [specimen.estimates[main.name].low, specimen.estimates[main.name].high]
        ends += _limits(specimen, main.name)
    known = [value for value in ends if value is not None]
    places = len(result.fields) + len(result.specimens)
    width = max(_WIDTH, _LEFT + _RIGHT + _LEAST_STEP * places)
    step = (width - _LEFT - _RIGHT) / places
    has_names = step >= _NAMED_STEP
    names = [_cut(field.source.name) for field in result.fields] if has_names else []
    slanted = [s.name for s in result.specimens if len(s.name) * _CHARACTER > step * (len(s.fields) + 1)]
    bottom = _HEIGHT - 60.0
    longest = max(map(len, names), default=0)
    has_slanted_names = longest * _CHARACTER > step - 4
    groups_at = bottom + 14.0 + (_SLANTED * longest if has_slanted_names else 16.0 if names else 0.0)
    height = groups_at + 12.0 + _SLANTED * max((len(_cut(name)) for name in slanted), default=1)
    y = axis(max(0.0, min(known, default=0.0)), max(known, default=1.0), bottom, _TOP)
    groups, left = [], _LEFT
    for specimen, values in zip(result.specimens, found, strict=True):
        right = left + step * (len(specimen.fields) + 1)
        points = []
        for number, (field, (value, low, high)) in enumerate(zip(specimen.fields, values, strict=True), 1):
            if value is None:
                continue
            text = with_interval(value, None if high is None else high - value, main.number_format)
            points.append(
                Point(
                    round(left + step * number, 2),
                    y(value),
                    None if low is None else y(low),
                    None if high is None else y(high),
                    field.source.name,
                    _cut(field.source.name),
                    text,
                    anchors.get(field.source.name, ""),
                )
            )
        estimate = specimen.estimates[main.name]
        ends = [estimate.mean, estimate.low, estimate.high, *_limits(specimen, main.name)]
        drawn = [None if value is None else y(value) for value in ends]
        text = with_interval(estimate.mean, estimate.ci95, main.number_format)
        groups.append(
            Group(
                specimen.name,
                _cut(specimen.name),
                text,
                round(left, 2),
                round(right, 2),
                tuple(points),
                *drawn,
            )
        )
        left = right
    return FieldsChart(
        title=f"{_plain(main.name)} per field",
        unit=main.name,
        width=round(width, 1),
        height=round(height, 1),
        bottom=bottom,
        groups_at=round(groups_at, 1),
        y=y,
        groups=tuple(groups),
        has_names=has_names,
        has_slanted_names=has_slanted_names,
        has_slanted_groups=bool(slanted),
    )


def ranges(specimens: Sequence[SpecimenResult], quantity: str) -> tuple[list[Range | None], Axis]:
    """Return each specimen's mean and interval on one scale, with its limits; None where it has no mean."""
    ends: list[float | None] = []
    for specimen in specimens:
        found = specimen.estimates[quantity]
        ends += [found.mean, found.low, found.high, *_limits(specimen, quantity)]
    known = [value for value in ends if value is not None]
    scale = axis(min(known, default=0.0), max(known, default=1.0), 8.0, _RANGE_WIDTH - 8.0, wanted=4)

    def place(value: float | None) -> float | None:
        return None if value is None else scale(value)

    def one(specimen: SpecimenResult) -> Range | None:
        found: Estimate = specimen.estimates[quantity]
        lower, upper = _limits(specimen, quantity)
        if found.mean is None:
            return None
        low, high = place(found.low), place(found.high)
        return Range(_RANGE_WIDTH, scale(found.mean), low, high, place(lower), place(upper))

    return [one(specimen) for specimen in specimens], scale


def sizes_charts(rows: Iterable[Row]) -> list[SizesChart]:
    """Return charts of sizes, by number and by area, for each phase of the table of distributions.

    Parameters
    ----------
    rows
        Of the table: specimen, phase, class, from, to, count, number %, area %.
    """
    by_phase: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        by_phase.setdefault(str(row[1]), {}).setdefault(str(row[0]), []).append(row)
    charts = []
    for phase, series in by_phase.items():
        for column, what in ((6, "by number"), (7, "by area")):
            charts.append(_sizes(f"{_capital(phase)} {what}", series, column))
    return charts


def _sizes(title: str, series: dict[str, list[Row]], column: int) -> SizesChart:
    shown = dict(list(series.items())[:MOST_SERIES])
    width, height = _WIDTH / 2 - 12, _HEIGHT - 40
    bottom = height - 44.0
    first = next(iter(series.values()))
    edges = [_number(row[3]) for row in first] + [_number(first[-1][4])]
    step = (width - _LEFT - _RIGHT) / len(first)
    every = math.ceil(34.0 / step)
    y = axis(0.0, max(_number(row[column]) for rows in shown.values() for row in rows), bottom, _TOP)
    bar = 0.84 * step / len(shown)
    drawn = []
    for number, (name, rows) in enumerate(shown.items()):
        bars = []
        for place, row in enumerate(rows):
            top = y(_number(row[column]))
            text = f"{row[2]} µm: {format_number(_number(row[column]), '0.0')} % ({row[5]} features)"
            x = _LEFT + step * (place + 0.08) + bar * number
            bars.append(Bar(round(x, 2), top, round(bar, 2), round(bottom - top, 2), text))
        drawn.append((name, tuple(bars)))
    return SizesChart(
        title=title,
        unit="Number (%)" if column == 6 else "Area (%)",
        width=width,
        height=height,
        bottom=bottom,
        y=y,
        edges=tuple(
            Tick(round(_LEFT + step * place, 2), f"{edge:.3g}")
            for place, edge in enumerate(edges)
            if place % every == 0
        ),
        series=tuple(drawn),
        left_out=len(series) - len(shown),
    )


def _measured(field: FieldResult, quantity: Quantity) -> tuple[float | None, float | None, float | None]:
    """Return a field's value and the ends of the interval that the field itself gives."""
    value = quantity.value(field)
    if value is None or quantity.single is None:
        return value, None, None
    found = quantity.single(field)
    return value, found.low, found.high


def _limits(specimen: SpecimenResult, quantity: str) -> list[float | None]:
    limit: Limit | None = next((j.limit for j in specimen.judgements if j.limit.quantity == quantity), None)
    return [None, None] if limit is None else [limit.minimum, limit.maximum]


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _plain(name: str) -> str:
    return name.split(" (")[0]


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
