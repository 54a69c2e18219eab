"""The quantities of ferrite's grains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from steelquant.stereology.grain_interval import InterceptInterval
from steelquant.stereology.grain_measurement import NO_FERRITE, GrainMeasures, InterceptCount
from steelquant.stereology.grain_size import (
    as_number,
    density_of_number,
    intercept_of_number,
    number_from_density,
    number_from_intercept,
    number_from_replicates,
)
from steelquant.stereology.measurement import FieldResult
from steelquant.stereology.quantity import Quantity
from steelquant.stereology.statistics import Estimate, estimate

GRAIN_SIZE = "Grain size G (–)"
"""By the matrix intercept: the grain size number that reports lead with."""

CIRCLES, SALTYKOV = "Grain size G circles (–)", "Grain size G Saltykov (–)"
JEFFRIES, WHOLE_GRAINS = "Grain size G Jeffries (–)", "Grain size G whole grains (–)"
ELONGATION = "Grain elongation AI (–)"
GRAIN_INTERCEPT = "Grain mean intercept (µm)"


def grain_quantities() -> list[Quantity]:
    """Return the quantities of ferrite's grains."""
    return [
        _intercept_number(
            GRAIN_SIZE,
            "Grain size number G of ferrite in the manner of ASTM E112: matrix intercept l̄ = V_V/N_L (§17) "
            "on every row, column and diagonal of pixels (Heyn); averaged as intercept.",
            lambda grains: grains.lines.mean_intercept_px,
            single=lambda field: as_number(_single_intercept(field), number_from_intercept),
            is_compared=True,
            is_on_page=True,
        ),
        _scaled(
            GRAIN_INTERCEPT,
            "0.00",
            "Mean intercept of ferrite grains, l̄ = V_V/N_L (E112 §17), from which G follows.",
            lambda grains: grains.lines.mean_intercept_px,
            1,
            single=_single_intercept,
        ),
        _intercept_number(
            CIRCLES,
            "The same on Abrams' three circles (E112 §14.3), a triple junction counting 2.",
            lambda grains: grains.circles.mean_intercept_px,
            single=lambda field: as_number(_single_on_circles(field), number_from_intercept),
        ),
        _area_number(
            SALTYKOV,
            "G of ferrite by the planimetric method (E112): grains inside, ½ of those cut by the frame, ¼ "
            "of those in a corner, per area of ferrite; averaged as N_A.",
            lambda grains: grains.saltykov.mean_area_px2,
        ),
        _area_number(
            JEFFRIES,
            "The same, grains in a corner counting ½ (Jeffries).",
            lambda grains: grains.jeffries.mean_area_px2,
        ),
        _area_number(
            WHOLE_GRAINS,
            "G of ferrite from grains that nothing cuts, and their area alone (E1382); favours small grains.",
            lambda grains: grains.whole.mean_area_px2,
            has_interval=False,
        ),
        _scaled(
            "Grain N_A (1/mm²)",
            "#,##0",
            "Ferrite grains per area of ferrite, by Saltykov's rule (E112).",
            lambda grains: grains.saltykov.per_px2,
            -2,
            1e6,
        ),
        _scaled(
            "Grain mean area (µm²)",
            "#,##0.0",
            "Mean section of a ferrite grain, by Saltykov's rule (E112).",
            lambda grains: grains.saltykov.mean_area_px2,
            2,
        ),
        _plain(
            "Grains (count)",
            "#,##0",
            "Ferrite grains found in the field, those that the frame cuts among them.",
            lambda grains: float(grains.features.count),
        ),
        _plain(
            ELONGATION,
            "0.00",
            "Elongation of ferrite grains, AI = l̄_∥/l̄_⊥ along and across the deformation axis (E112 §16).",
            lambda grains: grains.anisotropy_index,
        ),
        _plain(
            "Grain aspect ratio (–)",
            "0.00",
            "Mean of Feret max over Feret min of ferrite grains that nothing cuts.",
            _aspect_ratio,
        ),
    ]


def _aspect_ratio(grains: GrainMeasures) -> float | None:
    whole = ~grains.features.cut
    return float(grains.features.aspect_ratio[whole].mean()) if whole.any() else None


def _reason(field: FieldResult) -> str:
    """Say why a field has no grains, or why they do not count."""
    if field.grains is None:
        return field.grains_reason
    if field.grains.counts:
        return ""
    return "no ferrite" if field.grains.search.verdict == NO_FERRITE else "boundaries too faint"


Measure = Callable[[GrainMeasures], float | None]


def _plain(name: str, number_format: str, meaning: str, measure: Measure) -> Quantity:
    def value(field: FieldResult) -> float | None:
        return None if field.grains is None else measure(field.grains)

    return Quantity(name, number_format, meaning, value, reason=_reason)


Single = Callable[[FieldResult], Estimate]


def _single_intercept(field: FieldResult) -> Estimate:
    """Return the mean intercept in µm of one field, with the interval that its blocks give."""
    if field.grains is None:
        return estimate([None])
    return _single(field, field.grains.lines, field.grains.interval)


def _single_on_circles(field: FieldResult) -> Estimate:
    """Return the same of the circles, with the interval that their sectors give."""
    if field.grains is None:
        return estimate([None])
    return _single(field, field.grains.circles, field.grains.circles_interval)


def _single(field: FieldResult, counted: InterceptCount, interval: InterceptInterval) -> Estimate:
    if field.pixel_size_um is None or counted.mean_intercept_px is None:
        return estimate([None])
    return _with_interval(counted.mean_intercept_px * field.pixel_size_um, interval)


def _single_density(field: FieldResult, mean_area_px2: Measure) -> Estimate:
    """Return N_A per mm² of one field, with the interval that its blocks give."""
    area_px2 = None if field.grains is None else mean_area_px2(field.grains)
    if field.grains is None or field.pixel_size_um is None or area_px2 is None:
        return estimate([None])
    mean = 1e6 / (area_px2 * field.pixel_size_um**2)
    return _with_interval(mean, field.grains.density_interval)


def _with_interval(mean: float, found: InterceptInterval) -> Estimate:
    if found.relative_ci95 is None:
        return Estimate(mean, 1, None, None, None, found.reason)
    half, accuracy = found.relative_ci95 * mean, 100 * found.relative_ci95
    return Estimate(mean, 1, None, half, accuracy, found.reason)


def _scaled(
    name: str,
    number_format: str,
    meaning: str,
    in_pixels: Measure,
    power: int,
    factor: float = 1.0,
    single: Single | None = None,
) -> Quantity:
    def value(field: FieldResult) -> float | None:
        measured = None if field.grains is None else in_pixels(field.grains)
        if measured is None or field.pixel_size_um is None:
            return None
        return measured * field.pixel_size_um**power * factor

    return Quantity(name, number_format, meaning, value, single, reason=_reason, needs_scale=True)


def _intercept_number(
    name: str,
    meaning: str,
    intercept_px: Measure,
    *,
    single: Single | None = None,
    is_compared: bool = False,
    is_on_page: bool = False,
) -> Quantity:
    intercept = _scaled(name, "0.0", meaning, intercept_px, 1)

    def value(field: FieldResult) -> float | None:
        length_um = intercept.value(field)
        return None if length_um is None else number_from_intercept(length_um)

    def average(numbers: Sequence[float | None]) -> Estimate:
        lengths = [None if number is None else intercept_of_number(number) for number in numbers]
        return number_from_replicates(lengths, number_from_intercept)

    return Quantity(
        name,
        "0.0",
        meaning,
        value,
        single,
        average,
        reason=_reason,
        needs_scale=True,
        is_compared=is_compared,
        is_on_page=is_on_page,
    )


def _area_number(name: str, meaning: str, mean_area_px2: Measure, *, has_interval: bool = True) -> Quantity:
    area = _scaled(name, "0.0", meaning, mean_area_px2, 2)

    def value(field: FieldResult) -> float | None:
        area_um2 = area.value(field)
        return None if area_um2 is None else number_from_density(1e6 / area_um2)

    def average(numbers: Sequence[float | None]) -> Estimate:
        densities = [None if number is None else density_of_number(number) for number in numbers]
        return number_from_replicates(densities, number_from_density)

    def single(field: FieldResult) -> Estimate:
        return as_number(_single_density(field, mean_area_px2), number_from_density)

    return Quantity(
        name,
        "0.0",
        meaning,
        value,
        single if has_interval else None,
        average,
        reason=_reason,
        needs_scale=True,
    )
