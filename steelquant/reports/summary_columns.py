"""The two tables of the Summary: phases, and what the ferrite and the arrangement of phases are like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelquant.reports.table import Cell
from steelquant.stereology.grain_quantities import CIRCLES, GRAIN_INTERCEPT, GRAIN_SIZE, SALTYKOV
from steelquant.stereology.quantities import CARBON
from steelquant.stereology.texture_quantities import page_names

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.quantity import Quantity
    from steelquant.stereology.statistics import Estimate
    from steelquant.stereology.summary import SpecimenResult

WIDTH = 10.5
"""Of a column of numbers."""


@dataclass(frozen=True)
class SummaryColumn:
    """A column of the page, one value per specimen; texts have no number format."""

    header: str
    width: float
    number_format: str | None
    values: list[Cell]


def structure_columns(result: Quantification, shown: list[SpecimenResult]) -> list[SummaryColumn]:
    """Return the columns of the second table: ferrite grains, banding and what to know of them."""

    def estimates(name: str) -> list[Estimate]:
        return [specimen.estimates[name] for specimen in shown]

    columns = [SummaryColumn("Specimen", WIDTH, None, [specimen.name for specimen in shown])]
    if any(specimen.verdict is not None for specimen in shown):
        columns.append(SummaryColumn("", WIDTH, None, [""] * len(shown)))
    if result.settings.finds_grains:
        grains = [specimen.grains for specimen in shown]
        counted: list[Cell] = [g.fields_counted if g else None for g in grains]
        found = estimates(GRAIN_SIZE)
        columns += [
            SummaryColumn("Fields counted (count)", WIDTH, "0", counted),
            SummaryColumn(GRAIN_SIZE, WIDTH, "0.0", [estimate.mean for estimate in found]),
            SummaryColumn("s (–)", WIDTH, "0.00", [estimate.standard_deviation for estimate in found]),
            SummaryColumn("95 % CI ± (–)", WIDTH, "0.00", [estimate.ci95 for estimate in found]),
            SummaryColumn("%RA of intercept (%)", WIDTH, "0.0", [e.relative_accuracy_percent for e in found]),
            SummaryColumn("Grains (count)", WIDTH, "#,##0", [g.grains if g else None for g in grains]),
        ]
        for name, number_format in ((GRAIN_INTERCEPT, "0.00"), (CIRCLES, "0.0"), (SALTYKOV, "0.0")):
            means: list[Cell] = [estimate.mean for estimate in estimates(name)]
            columns.append(SummaryColumn(name, WIDTH, number_format, means))
    for quantity in result.quantities:
        if quantity.name in page_names(result.fields):
            means = [estimate.mean for estimate in estimates(quantity.name)]
            columns.append(SummaryColumn(quantity.name, WIDTH, quantity.number_format, means))
    remarks: list[Cell] = ["; ".join(_structure_remarks(specimen, result)) for specimen in shown]
    columns.append(SummaryColumn("Remarks", 40, None, remarks))
    return columns


def _structure_remarks(specimen: SpecimenResult, result: Quantification) -> Iterator[str]:
    if specimen.grains is not None:
        yield from specimen.grains.remarks
    elif result.settings.finds_grains:
        yield f"no grain size: {specimen.estimates[GRAIN_SIZE].reason}"


def phase_columns(result: Quantification, shown: list[SpecimenResult]) -> list[SummaryColumn]:
    """Return the columns of the first table: the main phase in full, other quantities of phases in brief."""
    elsewhere = {GRAIN_SIZE, *page_names(result.fields)}
    main, *others = (quantity for quantity in result.quantities if quantity.name not in elsewhere)

    def means(quantity: Quantity) -> list[Cell]:
        return [specimen.estimates[quantity.name].mean for specimen in shown]

    found = [specimen.estimates[main.name] for specimen in shown]
    columns = [SummaryColumn("Specimen", 18, None, [specimen.name for specimen in shown])]
    if any(specimen.verdict is not None for specimen in shown):
        columns.append(
            SummaryColumn("Verdict", 11, None, [str(s.verdict) if s.verdict else "" for s in shown])
        )
    columns += [
        SummaryColumn("Fields (count)", 8, "0", [len(specimen.fields) for specimen in shown]),
        SummaryColumn(main.name, 10, main.number_format, means(main)),
        SummaryColumn("s (%)", 8, "0.00", [estimate.standard_deviation for estimate in found]),
        SummaryColumn("95 % CI ± (%)", 9, "0.00", [estimate.ci95 for estimate in found]),
        SummaryColumn("%RA (%)", 8, "0.0", [estimate.relative_accuracy_percent for estimate in found]),
    ]
    for quantity in others:
        if quantity.is_on_page:
            columns.append(SummaryColumn(quantity.name, 10.5, quantity.number_format, means(quantity)))
        if quantity.name == CARBON:
            half_widths = [specimen.estimates[CARBON].ci95 for specimen in shown]
            columns.append(
                SummaryColumn("Carbon 95 % CI ± (wt%)", 10.5, quantity.number_format, list(half_widths))
            )
    needed: list[Cell] = [specimen.fields_needed for specimen in shown]
    columns.append(SummaryColumn("Fields for %RA 10 (count)", 10, "0", needed))
    remarks: list[Cell] = ["; ".join(_remarks(specimen, main)) for specimen in shown]
    columns.append(SummaryColumn("Remarks", 40, None, remarks))
    return columns


def _remarks(specimen: SpecimenResult, main: Quantity) -> Iterator[str]:
    yield from (f"{key} {value}" for key, value in specimen.details if value)
    yield from specimen.remarks
    if reason := specimen.estimates[main.name].reason:
        yield reason
