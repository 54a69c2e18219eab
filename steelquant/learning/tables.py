"""A table as it goes to the terminal and into a workbook."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steelquant.learning.evaluation_results import Evaluation

Value = str | int | float | None

DECIMALS = 4
"""Decimals of fractions, as in the paper's Table 4."""


@dataclass(frozen=True)
class Table:
    """A table to print or to write.

    Attributes
    ----------
    name
        Short, for a sheet's tab.
    title
        What it shows, on what.
    columns
        Headings.
    rows
        Text, numbers, or None for an empty cell.
    notes
        Sentences below it.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...] = ()


def text_of(value: Value) -> str:
    """Return a cell as the terminal shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.{DECIMALS}f}" if abs(value) < 100 else f"{value:.1f}"
    return str(value)


def set_words(evaluation: Evaluation) -> str:
    """Say on what the figures are: the set, its split, how many fields, how large."""
    sizes = " ".join(f"{width}×{height}" for height, width in evaluation.sizes_px[:3])
    more = " …" if len(evaluation.sizes_px) > 3 else ""
    samples = len(evaluation.methods[0].samples)
    crops = "" if evaluation.data.crops is None else f", {samples} crops"
    return f"{evaluation.data.describe()}, {evaluation.fields} fields{crops}, {sizes}{more} px"
