"""All tables of a report, in their order.

A further measurement joins the reports by a function that returns its
:class:`~steelquant.reports.table.Table` and an entry here: it gets a sheet, a CSV file and a place in the
JSON file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from steelquant.reports.field_tables import features_table, fields_table, files_table
from steelquant.reports.specimen_tables import (
    comparison_table,
    distributions_table,
    limits_table,
    specimens_table,
)
from steelquant.reports.table import Table

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

TABLES: tuple[Callable[[Quantification], Table], ...] = (
    specimens_table,
    fields_table,
    features_table,
    distributions_table,
    comparison_table,
    limits_table,
    files_table,
)


def tables_of(result: Quantification) -> tuple[Table, ...]:
    """Return every table of a report."""
    return tuple(make(result) for make in TABLES)
