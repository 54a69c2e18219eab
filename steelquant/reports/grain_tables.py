"""The table of grain sizes by specimen, and the sentence that says how they were measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from steelquant.reports.table import SPECIMEN, Cell, Column, Row, Table, text_column
from steelquant.stereology.grain_quantities import (
    CIRCLES,
    ELONGATION,
    GRAIN_INTERCEPT,
    GRAIN_SIZE,
    JEFFRIES,
    SALTYKOV,
    WHOLE_GRAINS,
)
from steelquant.stereology.specimen_grains import duplex_text

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.summary import SpecimenResult

_OTHERS = (CIRCLES, JEFFRIES, SALTYKOV, WHOLE_GRAINS, GRAIN_INTERCEPT, ELONGATION)
_FORMATS = ("0.0", "0.0", "0.0", "0.0", "0.00", "0.00")


def grain_size_table(result: Quantification) -> Table:
    """Return one row per specimen with grains: G by every method, what it rests on, and what it misses."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            if specimen.grains is not None:
                yield tuple(_row(specimen))

    columns = (
        SPECIMEN,
        Column("Fields counted (count)", "0", 9),
        Column("Grains (count)", "#,##0", 9),
        Column("Ferrite area (mm²)", "0.0000", 10),
        Column(GRAIN_SIZE, "0.0", 9),
        Column("s (–)", "0.00", 8),
        Column("Low (–)", "0.00", 8),
        Column("High (–)", "0.00", 8),
        Column("%RA of intercept (%)", "0.0", 10),
        *(Column(name, form, 10) for name, form in zip(_OTHERS, _FORMATS, strict=True)),
        Column("Boundaries clear (fields)", "0", 10),
        Column("Boundaries faint (fields)", "0", 10),
        Column("Boundaries too faint (fields)", "0", 10),
        Column("Largest grain G (–)", "0.0", 9),
        Column("E930 outliers (count)", "0", 9),
        Column("E930 outlier area (%)", "0.00", 9),
        text_column("E1181 duplex", 18, is_wrapped=True),
        text_column("Remarks", 44, is_wrapped=True),
    )
    return Table("Grain size", columns, rows, frozen_columns=1, row_height=49.0)


def _row(specimen: SpecimenResult) -> Iterator[Cell]:
    grains, number = specimen.grains, specimen.estimates[GRAIN_SIZE]
    assert grains is not None  # specimens without grains have no row
    yield from (specimen.name, grains.fields_counted, grains.grains, grains.area_mm2)
    yield from (number.mean, number.standard_deviation, number.low, number.high)
    yield number.relative_accuracy_percent
    yield from (specimen.estimates[name].mean for name in _OTHERS)
    yield from (grains.verdicts.get(verdict, 0) for verdict in ("clear", "faint", "too faint"))
    largest = grains.largest
    yield from (
        (None, None, None)
        if largest is None
        else (largest.number, largest.outliers, 100 * largest.outlier_area_fraction)
    )
    yield "not judged" if grains.duplex is None else duplex_text(grains.duplex)
    yield "; ".join(grains.remarks)


def grain_method(result: Quantification) -> str:
    """Return how grain sizes were measured, in one paragraph; empty where none were."""
    measured = [(field, field.grains) for field in result.fields if field.grains is not None]
    if not measured:
        return ""
    areas = [specimen.grains.area_mm2 for specimen in result.specimens if specimen.grains is not None]
    known = [area for area in areas if area]
    on = f" on {sum(known):.3g} mm² of ferrite" if known else ""
    counted = sum(grains.counts for _, grains in measured)
    gaps = [
        grains.search.longest_gap_px * (field.pixel_size_um or 1)
        for field, grains in measured
        if grains.search.longest_gap_px
    ]
    unit = "µm" if all(field.pixel_size_um is not None for field, _ in measured) else "px"
    bridged = span([100 * grains.search.bridged_fraction for _, grains in measured], 0)
    threshold = span([grains.search.threshold for _, grains in measured], 2)
    return (
        "Ferrite grain size in the manner of ASTM E112 and E1382: boundaries found in the micrograph "
        f"by a network (probability from {threshold}, {bridged} % of their "
        f"length closed, gaps up to {max(gaps, default=0.0):.3g} {unit}); matrix intercept l̄ = V_V/N_L (§17) "
        "along every row, column and diagonal, a grain cut by a line's end counting ½; planimetric counts "
        "with cut grains ½ (Jeffries) and corner grains ¼ (Saltykov). "
        f"{counted} of {len(result.fields)} fields counted{on}."
    )


def span(values: Sequence[float], digits: int) -> str:
    """Return the span of some values, one number where they do not differ."""
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
