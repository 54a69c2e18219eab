"""The report's tables as the page shows them: texts to read, values to sort by, and reasons for gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelquant.reports.html.numbers import MISSING, format_number
from steelquant.reports.table import Cell, Column, Table
from steelquant.stereology.grain_quantities import GRAIN_SIZE

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification


BOUNDARIES = "Grain boundaries"
"""Column of the table of fields with the verdict on them."""

_LONG = 60


@dataclass(frozen=True)
class Heading:
    """Head of a column: name and unit, whether it holds texts, and whether it is shown at first."""

    name: str
    unit: str
    is_text: bool
    is_extra: bool


@dataclass(frozen=True)
class Shown:
    """A cell: what is read, what is sorted by (None last), a link within the page, and a note's number."""

    text: str
    key: float | str | None
    anchor: str = ""
    note: int = 0

    @property
    def is_long(self) -> bool:
        """Whether it is a text that wants a wide column."""
        return len(self.text) > _LONG


@dataclass(frozen=True)
class PageTable:
    """A table of the page; ``notes`` are the reasons for gaps, counted from 1."""

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Shown, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def has_extra(self) -> bool:
        """Whether some columns are not shown at first."""
        return any(heading.is_extra for heading in self.headings)


def page_table(table: Table) -> PageTable:
    """Return a table for the page, all columns shown."""
    rows = tuple(
        tuple(_shown(value, column) for value, column in zip(row, table.columns, strict=True))
        for row in table.rows()
    )
    return PageTable(table.title, _headings(table), rows)


def fields_page_table(table: Table, result: Quantification, anchors: dict[str, str]) -> PageTable:
    """Return the table of fields: names lead to the fields, and gaps for want of a scale say so.

    The verdict on grain boundaries stands beside the grain size number, where one sees it without scrolling.

    Parameters
    ----------
    table
        The table of fields, one row per field of ``result``, in its order.
    result
        What was measured.
    anchors
        Where each field stands on the page, by its name.
    """
    scaled = {quantity.name for quantity in result.quantities if quantity.needs_scale}
    scaled |= {"Scale (µm/px)", "Counted area (mm²)"}
    notes: dict[str, int] = {}
    rows = []
    for field, row in zip(result.fields, table.rows(), strict=True):
        cells = []
        for number, (value, column) in enumerate(zip(row, table.columns, strict=True)):
            cell = _shown(value, column)
            if number == 1:
                cell = Shown(cell.text, cell.key, anchors.get(field.source.name, ""))
            elif value is None and field.pixel_size_um is None and column.name in scaled:
                note = notes.setdefault(f"not calibrated: {field.calibration.source}", len(notes) + 1)
                cell = Shown(cell.text, None, note=note)
            cells.append(cell)
        rows.append(cells)
    headings = _headings(table, shown=table.printed_columns)
    order = _verdict_beside_number(table)
    return PageTable(
        table.title,
        tuple(headings[place] for place in order),
        tuple(tuple(row[place] for place in order) for row in rows),
        tuple(notes),
    )


def _verdict_beside_number(table: Table) -> list[int]:
    """Return the columns' places in the order of the page."""
    names = [column.name for column in table.columns]
    order = list(range(len(names)))
    if GRAIN_SIZE in names and BOUNDARIES in names:
        order.remove(names.index(BOUNDARIES))
        order.insert(order.index(names.index(GRAIN_SIZE)) + 1, names.index(BOUNDARIES))
    return order


def _headings(table: Table, shown: int | None = None) -> tuple[Heading, ...]:
    last = len(table.columns) - 1
    found = []
    for number, column in enumerate(table.columns):
        name, unit = _split(column.name)
        is_warning = number == last and column.number_format is None
        is_extra = shown is not None and number >= shown and not is_warning
        found.append(Heading(name, unit, column.number_format is None, is_extra))
    return tuple(found)


def _split(name: str) -> tuple[str, str]:
    """Split a header into name and unit."""
    if not name.endswith(")") or " (" not in name:
        return name, ""
    head, _, unit = name[:-1].rpartition(" (")
    return head, unit


def _shown(value: Cell, column: Column) -> Shown:
    if value is None or value == "":
        return Shown(MISSING if column.number_format is not None else "", None)
    if isinstance(value, str):
        return Shown(value, value)
    return Shown(format_number(value, column.number_format or "0"), float(value))
