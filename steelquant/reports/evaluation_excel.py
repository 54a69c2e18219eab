"""The workbook of an evaluation: one sheet a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from steelquant.learning.tables import Table
from steelquant.micrograph.files import atomic_write

_WIDEST = 40
_HEADER_ROW = 3


def write_workbook(path: Path, tables: Iterable[Table]) -> None:
    """Write tables into an Excel file, numbers as numbers.

    Raises
    ------
    FileError
        The file cannot be written, for instance because Excel holds it open.
    """
    workbook = Workbook()
    workbook.remove(workbook.active)  # type: ignore[arg-type]
    for table in tables:
        _fill(workbook.create_sheet(table.name), table)
    with atomic_write(path) as temporary:
        workbook.save(temporary)


def _fill(sheet: Worksheet, table: Table) -> None:
    _write_text(sheet, 1, 1, table.title)
    sheet["A1"].font = Font(bold=True)
    for column, heading in enumerate(table.columns, 1):
        sheet.cell(_HEADER_ROW, column, heading).font = Font(bold=True)
    for row, values in enumerate(table.rows, _HEADER_ROW + 1):
        for column, value in enumerate(values, 1):
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                continue
            if isinstance(value, str):
                _write_text(sheet, row, column, value)
                continue
            entry = sheet.cell(row, column, value)
            if isinstance(value, float):
                entry.number_format = "0.0000" if abs(value) < 100 else "0.0"
    for offset, note in enumerate(table.notes):
        sheet.cell(_HEADER_ROW + 2 + len(table.rows) + offset, 1, note)
    for column, heading in enumerate(table.columns, 1):
        texts = [heading, *(str(row[column - 1]) for row in table.rows if isinstance(row[column - 1], str))]
        sheet.column_dimensions[get_column_letter(column)].width = min(max(map(len, texts)) + 2, _WIDEST)
    sheet.freeze_panes = f"B{_HEADER_ROW + 1}"


def _write_text(sheet: Worksheet, row: int, column: int, text: str) -> None:
    """Write text as text: a name may begin with = or hold a control character."""
    sheet.cell(row, column, ILLEGAL_CHARACTERS_RE.sub("?", text)).data_type = "s"
