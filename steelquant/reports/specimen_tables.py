"""The tables by specimen: averages, size distributions, comparisons and limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelquant.reports.table import ANY_UNIT, SPECIMEN, Column, Row, Table, text_column

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.summary import SpecimenResult

SIGNIFICANCE = 0.05
"""Adjusted p below which two specimens are called different."""


def specimens_table(result: Quantification) -> Table:
    """Return one row per specimen and quantity: mean, n, s, interval, %RA."""
    formats = {quantity.name: quantity.number_format for quantity in result.quantities}

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for name in formats:
                found = specimen.estimates[name]
                yield (
                    specimen.name,
                    name,
                    found.n,
                    found.mean,
                    found.standard_deviation,
                    found.ci95,
                    found.low,
                    found.high,
                    found.relative_accuracy_percent,
                    found.reason,
                )

    columns = (
        SPECIMEN,
        text_column("Quantity", 28),
        Column("n (fields)", "0", 10),
        Column("Mean (unit of quantity)", ANY_UNIT, 14),
        Column("s (unit of quantity)", ANY_UNIT, 14),
        Column("95 % CI ± (unit of quantity)", ANY_UNIT, 14),
        Column("Low (unit of quantity)", ANY_UNIT, 14),
        Column("High (unit of quantity)", ANY_UNIT, 14),
        Column("%RA (%)", "0.0", 10),
        text_column("Note", 46),
    )
    return Table("Specimens", columns, rows)


def distributions_table(result: Quantification) -> Table:
    """Return one row per specimen, phase and size class: how many features, and their share of the area.

    Classes of the equivalent diameter grow by √2; only features that nothing cuts, in calibrated fields.
    """

    def rows() -> Iterator[Row]:
        for phase in dict.fromkeys(name for field in result.fields for name in field.features):
            diameters = {specimen.name: _diameters(specimen, phase) for specimen in result.specimens}
            together = np.concatenate(list(diameters.values()))
            if together.size:
                bounds = int(_size_class(together.min())), int(_size_class(together.max()))
                for name, values in diameters.items():
                    yield from _size_rows(name, phase, values, bounds)

    columns = (
        SPECIMEN,
        text_column("Phase", 12),
        text_column("Class (µm)", 16),
        Column("From diameter (µm)", "0.00"),
        Column("To diameter (µm)", "0.00"),
        Column("Features (count)", "#,##0"),
        Column("Number (%)", "0.0"),
        Column("Area (%)", "0.0"),
    )
    return Table("Distributions", columns, rows)


def _diameters(specimen: SpecimenResult, phase: str) -> NDArray[np.float64]:
    """Return the equivalent diameters in µm of the uncut features of all calibrated fields."""
    found = [
        field.features[phase].equivalent_diameter_px[~field.features[phase].cut] * field.pixel_size_um
        for field in specimen.fields
        if phase in field.features and field.pixel_size_um is not None
    ]
    return np.concatenate(found) if found else np.empty(0)


def _size_class(diameters_um: ArrayLike) -> NDArray[np.int64]:
    """Return k of the class from 2^(k/2) to 2^((k+1)/2) µm; 1e-9 keeps an edge in the upper class."""
    return np.floor(2 * np.log2(diameters_um) + 1e-9).astype(np.int64)


def _size_rows(
    specimen: str, phase: str, diameters: NDArray[np.float64], bounds: tuple[int, int]
) -> Iterator[Row]:
    if not diameters.size:
        return
    classes = _size_class(diameters)
    for k in range(bounds[0], bounds[1] + 1):
        inside = diameters[classes == k]
        low, high = math.sqrt(2) ** k, math.sqrt(2) ** (k + 1)
        area = float((inside**2).sum() / (diameters**2).sum())
        share = (int(inside.size), 100 * inside.size / diameters.size, 100 * area)
        yield (specimen, phase, f"{low:.3g} – {high:.3g}", low, high, *share)


def comparison_table(result: Quantification) -> Table:
    """Return one row per pair of specimens and quantity: difference, interval, Welch's t, Holm's p."""

    def rows() -> Iterator[Row]:
        for pair in result.comparisons:
            found = pair.result
            yield (
                pair.first,
                pair.second,
                pair.quantity,
                found.difference,
                found.ci95,
                found.difference - found.ci95,
                found.difference + found.ci95,
                found.t if np.isfinite(found.t) else None,
                found.degrees_of_freedom,
                found.p_value,
                pair.p_holm,
                "different" if pair.p_holm < SIGNIFICANCE else "not shown to differ",
            )

    columns = (
        text_column("First specimen", 20),
        text_column("Second specimen", 20),
        text_column("Quantity", 28),
        Column("Difference (unit of quantity)", ANY_UNIT, 14),
        Column("95 % CI ± (unit of quantity)", ANY_UNIT, 14),
        Column("Low (unit of quantity)", ANY_UNIT, 14),
        Column("High (unit of quantity)", ANY_UNIT, 14),
        Column("Welch t (–)", "0.00"),
        Column("Degrees of freedom (–)", "0.0"),
        Column("p (–)", "0.0000"),
        Column("p after Holm (–)", "0.0000"),
        text_column("At the 5 % level", 22),
    )
    return Table("Comparison", columns, rows)


def limits_table(result: Quantification) -> Table:
    """Return one row per specimen and limit: interval, verdict and its reason."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for judgement in specimen.judgements:
                limit, found = judgement.limit, judgement.estimate
                yield (
                    specimen.name,
                    limit.quantity,
                    limit.minimum,
                    limit.maximum,
                    found.mean,
                    found.ci95,
                    found.n,
                    str(judgement.verdict),
                    judgement.reason,
                )

    columns = (
        SPECIMEN,
        text_column("Quantity", 28),
        Column("Minimum (unit of quantity)", ANY_UNIT, 14),
        Column("Maximum (unit of quantity)", ANY_UNIT, 14),
        Column("Mean (unit of quantity)", ANY_UNIT, 14),
        Column("95 % CI ± (unit of quantity)", ANY_UNIT, 14),
        Column("n (fields)", "0", 10),
        text_column("Verdict", 12),
        text_column("Reason", 52),
    )
    return Table("Limits", columns, rows)
