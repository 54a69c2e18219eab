"""The tables by specimen: averages, comparisons and limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from steelquant.reports.table import ANY_UNIT, SIGNED_UNIT, SPECIMEN, Column, Row, Table, text_column

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

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
        Column("Mean (unit of quantity)", SIGNED_UNIT, 14),
        Column("s (unit of quantity)", ANY_UNIT, 14),
        Column("95 % CI ± (unit of quantity)", ANY_UNIT, 14),
        Column("Low (unit of quantity)", SIGNED_UNIT, 14),
        Column("High (unit of quantity)", SIGNED_UNIT, 14),
        Column("%RA (%)", "0.0", 10),
        text_column("Note", 46),
    )
    return Table("Specimens", columns, rows)


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
        Column("Difference (unit of quantity)", SIGNED_UNIT, 14),
        Column("95 % CI ± (unit of quantity)", ANY_UNIT, 14),
        Column("Low (unit of quantity)", SIGNED_UNIT, 14),
        Column("High (unit of quantity)", SIGNED_UNIT, 14),
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
        Column("Minimum (unit of quantity)", SIGNED_UNIT, 14),
        Column("Maximum (unit of quantity)", SIGNED_UNIT, 14),
        Column("Mean (unit of quantity)", SIGNED_UNIT, 14),
        Column("95 % CI ± (unit of quantity)", ANY_UNIT, 14),
        Column("n (fields)", "0", 10),
        text_column("Verdict", 12),
        text_column("Reason", 52),
    )
    return Table("Limits", columns, rows)
