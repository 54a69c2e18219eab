"""The tables with one row per feature and one row per grain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from steelquant.reports.table import FIELD, SPECIMEN, Cell, Column, Row, Table, text_column

if TYPE_CHECKING:
    from steelquant.stereology.features import Features
    from steelquant.stereology.measurement import FieldResult
    from steelquant.stereology.quantify import Quantification

_MOST_SHEET_ROWS = 200_000
"""More would open slowly; the CSV file has all."""

_MEASURES = (
    Column("Area (µm²)", "#,##0.00"),
    Column("Equivalent diameter (µm)", "0.00"),
    Column("Perimeter (µm)", "0.00"),
    Column("Major axis (µm)", "0.00"),
    Column("Minor axis (µm)", "0.00"),
    Column("Feret max (µm)", "0.00"),
    Column("Feret min (µm)", "0.00"),
    Column("Aspect ratio (–)", "0.00"),
    Column("Roundness (–)", "0.000"),
    Column("Eccentricity (–)", "0.000"),
    Column("Solidity (–)", "0.000"),
    Column("Orientation (°)", "0.0"),
    Column("Area (px)", "#,##0"),
    Column("Centroid x (px)", "0.0"),
    Column("Centroid y (px)", "0.0"),
    text_column("Cut by frame", 10),
    text_column("Cut by excluded", 10),
)


def features_table(result: Quantification) -> Table:
    """Return one row per feature of every field."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for field in specimen.fields:
                for phase, features in field.features.items():
                    for row in _measures(features, field):
                        yield specimen.name, field.source.name, phase, *row

    columns = (SPECIMEN, FIELD, text_column("Phase", 10), Column("Feature (number)", "0"), *_MEASURES)
    return Table("Features", columns, rows, most_sheet_rows=_MOST_SHEET_ROWS)


def grains_table(result: Quantification) -> Table:
    """Return one row per ferrite grain of every field, and how its field's boundaries were judged."""

    def rows() -> Iterator[Row]:
        for specimen in result.specimens:
            for field in specimen.fields:
                if field.grains is not None:
                    verdict = field.grains.search.verdict
                    for row in _measures(field.grains.features, field):
                        yield specimen.name, field.source.name, verdict, *row

    columns = (SPECIMEN, FIELD, text_column("Boundaries", 11), Column("Grain (number)", "0"), *_MEASURES)
    return Table("Grains", columns, rows, most_sheet_rows=_MOST_SHEET_ROWS)


def _measures(found: Features, field: FieldResult) -> Iterator[tuple[Cell, ...]]:
    """Yield number and measures of each feature."""
    size = field.pixel_size_um
    lengths: list[list[float | None]]
    if size is None:
        lengths = [[None] * found.count] * 7
    else:
        in_pixels = (
            found.equivalent_diameter_px,
            found.perimeter_px,
            found.axis_major_px,
            found.axis_minor_px,
            found.feret_max_px,
            found.feret_min_px,
        )
        lengths = [(found.area_px * size**2).tolist(), *((values * size).tolist() for values in in_pixels)]
    shapes = (found.aspect_ratio, found.roundness, found.eccentricity, found.solidity, found.orientation_deg)
    places = (found.area_px, found.centroid_x_px, found.centroid_y_px)
    cut = (np.where(flags, "yes", "no").tolist() for flags in (found.touches_edge, found.touches_excluded))
    yield from zip(
        found.label.tolist(), *lengths, *(values.tolist() for values in (*shapes, *places)), *cut, strict=True
    )
