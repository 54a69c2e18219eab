"""The charts of fields and specimens: where everything stands; the templates draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelquant.reports.html.axes import Axis, axis
from steelquant.reports.html.numbers import with_interval
from steelquant.stereology.statistics import Estimate

if TYPE_CHECKING:
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.quantity import Quantity
    from steelquant.stereology.specimens import Limit
    from steelquant.stereology.summary import SpecimenResult

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
class Point:
    """A field's value with its interval, None where there is none; ``label`` is its name, cut to fit."""

    x: float
    y: float
    low: float | None
    high: float | None
    name: str
    label: str
    text: str
    anchor: str
    is_left_out: bool


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
    """One quantity of every field with its interval, by specimen; left-out fields do not enter the mean."""

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


def fields_chart(result: Quantification, quantity: Quantity, anchors: dict[str, str]) -> FieldsChart | None:
    """Return the chart of one quantity of all fields; None where no field has it.

    Parameters
    ----------
    result
        What was measured.
    quantity
        What to show.
    anchors
        Where each field stands on the page, by its name.
    """
    found = [[_measured(field, quantity) for field in specimen.fields] for specimen in result.specimens]
    ends: list[float | None] = [value for fields in found for values in fields for value in values]
    if all(value is None for value in ends):
        return None
    for specimen in result.specimens:
        ends += [specimen.estimates[quantity.name].low, specimen.estimates[quantity.name].high]
        ends += _limits(specimen, quantity.name)
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
    # An interval below 0 of what is never negative needs no room.
    least = min(value for fields in found for value, _, _ in fields if value is not None)
    y = axis(max(min(known), min(least, 0.0)), max(known), bottom, _TOP)
    groups, left = [], _LEFT
    for specimen, values in zip(result.specimens, found, strict=True):
        right = left + step * (len(specimen.fields) + 1)
        points = []
        for number, (field, (value, low, high)) in enumerate(zip(specimen.fields, values, strict=True), 1):
            if value is None:
                continue
            text = with_interval(value, None if high is None else high - value, quantity.number_format)
            left_out = quantity.why_not(field)
            points.append(
                Point(
                    round(left + step * number, 2),
                    y(value),
                    None if low is None else y(low),
                    None if high is None else y(high),
                    field.source.name,
                    _cut(field.source.name),
                    f"{text}; left out of the mean: {left_out}" if left_out else text,
                    anchors.get(field.source.name, ""),
                    bool(left_out),
                )
            )
        estimate = specimen.estimates[quantity.name]
        ends = [estimate.mean, estimate.low, estimate.high, *_limits(specimen, quantity.name)]
        drawn = [None if value is None else y(value) for value in ends]
        text = with_interval(estimate.mean, estimate.ci95, quantity.number_format)
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
        title=f"{_plain(quantity.name)} per field",
        unit=quantity.name,
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


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _plain(name: str) -> str:
    return name.split(" (")[0]
