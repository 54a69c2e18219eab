"""All tables of a report, in their order.

A further measurement joins the reports by a function that returns its
:class:`~steelquant.reports.table.Table` and an entry here: it gets a sheet, a CSV file and a place in the
JSON file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from steelquant.reports.feature_tables import features_table, grains_table
from steelquant.reports.field_tables import fields_table, files_table
from steelquant.reports.grain_tables import grain_size_table
from steelquant.reports.size_tables import distributions_table, shapes_table, sizes_table, spheres_table
from steelquant.reports.specimen_tables import comparison_table, limits_table, specimens_table
from steelquant.reports.table import Table
from steelquant.reports.texture_tables import banding_table, orientation_table

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

TABLES: tuple[Callable[[Quantification], Table], ...] = (
    specimens_table,
    fields_table,
    grain_size_table,
    grains_table,
    features_table,
    distributions_table,
    sizes_table,
    shapes_table,
    spheres_table,
    orientation_table,
    banding_table,
    comparison_table,
    limits_table,
    files_table,
)


def tables_of(result: Quantification) -> tuple[Table, ...]:
    """Return every table of a report."""
    return tuple(make(result) for make in TABLES)
