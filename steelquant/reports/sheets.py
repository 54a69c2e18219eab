"""How sheets look: fonts, headers, number formats, page setup. Sober, for print and for screen alike."""

from __future__ import annotations

import math
from collections.abc import Iterable

from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from steelquant.reports.bulk import clean_text
from steelquant.reports.table import Table

FONT = "Arial"
INK, GREY, RULE, SHADE = "1F2933", "6B7680", "B8C0C8", "E9EDF1"
VERDICT_COLOURS = {
    "pass": ("1B6E3C", "DDEFE3"),
    "fail": ("A11B1B", "F8DEDE"),
    "undecided": ("7A5200", "FBEFD0"),
}
"""Ink and fill of a verdict; the word stands in the cell too, for those who cannot tell the colours."""

TITLE = Font(name=FONT, size=16, bold=True, color=INK)
HEADING = Font(name=FONT, size=10.5, bold=True, color=INK)
BODY = Font(name=FONT, size=9, color=INK)
STRONG = Font(name=FONT, size=9, bold=True, color=INK)
NOTE = Font(name=FONT, size=9, color=GREY)
HEADER_FILL = PatternFill("solid", fgColor=SHADE)
HEADER_RULE = Border(bottom=Side("thin", color=GREY))
ROW_RULE = Border(bottom=Side("thin", color=SHADE))

CHARACTERS_PER_WIDTH = 1.3
"""Characters of body text to a unit of column width, which is a digit of Excel's standard font."""

_LONGEST_TITLE = 31
_A4 = 9
_HEADER_SHARE = 0.75
"""Headers are bold and break between words, so they need more room than their characters."""


def put(
    sheet: Worksheet,
    row: int,
    column: int,
    value: str | int | float | None,
    *,
    font: Font = BODY,
    number_format: str | None = None,
    align: str | None = None,
    wrap: bool = False,
) -> Cell:
    """Write one cell; a text stays a text, whatever it begins with."""
    cell = sheet.cell(row, column)
    assert isinstance(cell, Cell)  # nothing is merged in these sheets
    if isinstance(value, str):
        cell.value = clean_text(value)
        cell.data_type = "s"
    else:
        cell.value = value
    cell.font = font
    cell.alignment = Alignment(horizontal=align, vertical="top" if wrap else "center", wrap_text=wrap or None)
    if number_format is not None:
        cell.number_format = number_format
    return cell


def put_header(sheet: Worksheet, row: int, column: int, text: str, *, is_text: bool) -> None:
    """Write one header cell; headers of numbers stand to the right, over their numbers."""
    cell = put(sheet, row, column, text, font=STRONG)
    cell.fill, cell.border = HEADER_FILL, HEADER_RULE
    side, indent = ("left", 1 if column > 1 else 0) if is_text else ("right", 0)
    cell.alignment = Alignment(horizontal=side, vertical="bottom", wrap_text=True, indent=indent)


def add_sheet(workbook: Workbook, title: str) -> Worksheet:
    """Add a sheet, set up to print on A4 across; forbidden characters and too long titles are mended."""
    safe = "".join("_" if char in r"[]:*?/\\" else char for char in clean_text(title)).strip("'")
    sheet = workbook.create_sheet(safe[:_LONGEST_TITLE] or "Sheet")
    sheet.sheet_view.showGridLines = False
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = _A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    margins = sheet.page_margins
    margins.left = margins.right = 0.5
    margins.top, margins.bottom, margins.header, margins.footer = 0.6, 0.6, 0.3, 0.3
    sheet.oddFooter.left.text, sheet.oddFooter.right.text = "&A", "Page &P of &N"
    for part in (sheet.oddFooter.left, sheet.oddFooter.right):
        part.size = 8
    return sheet


def add_table_sheet(workbook: Workbook, table: Table, rows: int) -> Worksheet:
    """Add the sheet of a table: header, filter, frozen panes and the model row for its rows.

    Parameters
    ----------
    workbook
        The workbook.
    table
        The table.
    rows
        How many rows it will have.
    """
    sheet = add_sheet(workbook, table.title)
    place_table(sheet, table, 1)
    last = get_column_letter(len(table.columns))
    sheet.freeze_panes = f"{get_column_letter(table.frozen_columns + 1)}2"
    sheet.auto_filter.ref = f"A1:{last}{max(2, rows + 1)}"
    sheet.print_title_rows = "1:1"
    if table.printed_columns is not None:
        sheet.print_area = f"A1:{get_column_letter(table.printed_columns)}{max(2, rows + 1)}"
    return sheet


def lines_height(texts: Iterable[tuple[str, float]]) -> float:
    """Return the height in points of a row whose texts are broken at their columns' widths in characters."""
    lines = max((math.ceil(len(text) / (CHARACTERS_PER_WIDTH * width)) for text, width in texts), default=1)
    return 12.0 * max(1, lines) + 3


def place_table(sheet: Worksheet, table: Table, row: int) -> None:
    """Write a table's header into ``row`` and its model row, the sheet's last, below."""
    headers = [(column.name, _HEADER_SHARE * column.width) for column in table.columns]
    sheet.row_dimensions[row].height = lines_height(headers) + 3
    for number, column in enumerate(table.columns, start=1):
        is_text = column.number_format is None
        put_header(sheet, row, number, column.name, is_text=is_text)
        model = put(sheet, row + 1, number, "" if is_text else 0, number_format=column.number_format)
        model.alignment = Alignment(
            horizontal="left" if is_text else "right",
            vertical="center" if table.row_height is None else "top",
            wrap_text=column.is_wrapped,
            indent=1 if is_text and number > 1 else 0,
        )
        model.border = ROW_RULE
        sheet.column_dimensions[get_column_letter(number)].width = column.width
