"""The Excel report: Summary, one sheet per table, Overlays, Parameters, Provenance."""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from openpyxl import Workbook
from openpyxl.drawing.image import Image
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.pagebreak import Break
from openpyxl.worksheet.worksheet import Worksheet

from steelquant.errors import FileError
from steelquant.micrograph.files import atomic_write
from steelquant.micrograph.provenance import machine, utc_now, versions
from steelquant.reports.bulk import Block, save_with_rows
from steelquant.reports.chart_places import add_charts
from steelquant.reports.figures import thumbnail
from steelquant.reports.parameters import parameters
from steelquant.reports.sheets import (
    BODY,
    HEADING,
    NOTE,
    ROW_RULE,
    STRONG,
    add_sheet,
    add_table_sheet,
    lines_height,
    place_table,
    put,
    put_header,
)
from steelquant.reports.summary_sheet import add_summary
from steelquant.reports.table import Cell, Row, Table
from steelquant.stereology.grain_quantities import GRAIN_SIZE
from steelquant.stereology.quantity import find_quantity

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

MOST_OVERLAYS = 60
"""Fields shown on the sheet Overlays; more would make a file that mail programs refuse."""

_OVERLAYS_PER_ROW, _OVERLAY_ROWS_PER_PAGE = 4, 3
_OVERLAY_PX = (320, 240)
_OVERLAY_DETAIL = 2
"""Pixels of an overlay's picture per pixel of its place, for a look at it enlarged."""

_POINTS_PER_PIXEL = 0.75
_CAPTION_SHARE = 0.75
"""Captions are bold and break between words, so they need more room than their characters."""

_PARAMETER_COLUMNS = (("Parameter", 32.0), ("Value", 64.0), ("Meaning", 56.0))
_ALWAYS_THERE = ("Specimens", "Fields", "Features")


def write_excel(path: Path, result: Quantification, tables: tuple[Table, ...]) -> None:
    """Write the workbook.

    Parameters
    ----------
    path
        The file, ending in ``.xlsx``.
    result
        What was measured, of at least one field.
    tables
        Its tables; those without rows get no sheet, but for specimens, fields and features.

    Raises
    ------
    FileError
        If the file cannot be written, or is open in Excel.
    """
    workbook = Workbook()
    del workbook[workbook.sheetnames[0]]
    workbook.properties.creator, workbook.properties.title = "steelquant", "Quantitative metallography"
    summary, chart_row = add_summary(workbook, result)
    blocks: dict[str, Block] = {}
    rows_of: dict[str, list[Row]] = {}
    last: Table | None = None
    for table in tables:
        rows = list(islice(table.rows(), table.most_sheet_rows))
        rows_of[table.title] = rows
        if table.title == "Provenance":
            last = table
        elif rows or table.title in _ALWAYS_THERE:
            sheet = add_table_sheet(workbook, table, len(rows))
            blocks[sheet.title] = Block(2, rows, table.row_height)
    add_charts(workbook, summary, chart_row, rows_of)
    _add_overlays(workbook, result)
    _add_parameters(workbook, result, tables)
    if last is not None:
        sheet, row = _add_provenance(workbook, result, last)
        blocks[sheet.title] = Block(row, rows_of[last.title], last.row_height)
    with atomic_write(path) as temporary:
        save_with_rows(workbook, temporary, blocks)


def _add_overlays(workbook: Workbook, result: Quantification) -> None:
    sheet = add_sheet(workbook, "Overlays")
    width = _OVERLAY_PX[0] / 7 + 2
    for column in range(1, _OVERLAYS_PER_ROW + 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    names = {field.source.name: specimen.name for specimen in result.specimens for field in specimen.fields}
    shown = result.fields[:MOST_OVERLAYS]
    main, grain_size = result.quantities[0], find_quantity(GRAIN_SIZE, result.quantities)
    sizes = {} if grain_size is None else {field.source.name: grain_size.value(field) for field in shown}
    for index, field in enumerate(shown):
        line, column = divmod(index, _OVERLAYS_PER_ROW)
        row, name = 2 * line + 1, field.source.name
        value = main.value(field)
        amount = "" if value is None else f"{main.name.split(' (')[0]} {value:.2f} %"
        if (number := sizes.get(name)) is not None and field.grains is not None:
            amount += f"  ·  G {number:.1f} ({field.grains.search.verdict})"
        sheet.row_dimensions[row + 1].height = (_OVERLAY_PX[1] + 12) * _POINTS_PER_PIXEL
        try:
            picture, kind = thumbnail(
                field, (_OVERLAY_DETAIL * _OVERLAY_PX[0], _OVERLAY_DETAIL * _OVERLAY_PX[1])
            )
        except FileError as error:
            put(sheet, row + 1, column + 1, error.problem, font=NOTE, wrap=True)
            kind = "no picture"
        else:
            image = Image(io.BytesIO(picture))
            shrink = max(image.width / _OVERLAY_PX[0], image.height / _OVERLAY_PX[1], 1)
            image.width, image.height = round(image.width / shrink), round(image.height / shrink)
            sheet.add_image(image, f"{get_column_letter(column + 1)}{row + 1}")
        if index and index % (_OVERLAYS_PER_ROW * _OVERLAY_ROWS_PER_PAGE) == 0:
            sheet.row_breaks.append(Break(row - 1))
        caption = f"{names[name]}  ·  {name}  ·  {amount}  ·  {kind}"
        put(sheet, row, column + 1, caption, font=STRONG, wrap=True)
        known = sheet.row_dimensions[row].height or 0.0
        sheet.row_dimensions[row].height = max(known, lines_height([(caption, _CAPTION_SHARE * width)]))
    if len(result.fields) > len(shown):
        note = f"The first {len(shown)} of {len(result.fields)} fields; the others lie beside their masks."
        put(sheet, 2 * -(-len(shown) // _OVERLAYS_PER_ROW) + 1, 1, note, font=NOTE)


def _add_parameters(workbook: Workbook, result: Quantification, tables: tuple[Table, ...]) -> None:
    sheet = add_sheet(workbook, "Parameters")
    for column, (header, width) in enumerate(_PARAMETER_COLUMNS, start=1):
        put_header(sheet, 1, column, header, is_text=True)
        sheet.column_dimensions[get_column_letter(column)].width = width
    lines: list[tuple[Cell, ...]] = [(line.name, line.value, line.meaning) for line in parameters(result)]
    lines += [
        ("sheet rows", table.most_sheet_rows, f"most rows of the sheet {table.title}; its CSV file has all")
        for table in tables
        if table.title == "Features"
    ]
    lines += [("warning", warning, "") for warning in result.warnings]
    lines += [("failure", str(error), "not measured") for error in result.failures]
    for row, line in enumerate(lines, start=2):
        for column, value in enumerate(line, start=1):
            cell = put(
                sheet, row, column, value, font=STRONG if column == 1 else BODY, align="left", wrap=True
            )
            cell.border = ROW_RULE
        widths = (value for _, value in _PARAMETER_COLUMNS)
        sheet.row_dimensions[row].height = lines_height(zip(map(str, line), widths, strict=True))
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:C{len(lines) + 1}"
    sheet.print_title_rows = "1:1"


def _add_provenance(workbook: Workbook, result: Quantification, table: Table) -> tuple[Worksheet, int]:
    """Add the sheet Provenance; return it and the row of its table's model."""
    sheet = add_sheet(workbook, "Provenance")
    facts: list[tuple[str, str]] = [("Report made (UTC)", utc_now())]
    facts += [(name, version) for name, version in versions().items()]
    facts += [(name, str(value)) for name, value in machine().items()]
    for number, run in enumerate(result.runs, start=1):
        content, weights = run.content, run.content.get("weights") or {}
        facts += [
            (f"Segmentation {number}", str(run.path)),
            ("started (UTC)", str(content.get("started_utc"))),
            ("finished (UTC)", str(content.get("finished_utc"))),
            ("weights", f"{weights.get('model')}  {weights.get('file')}"),
            ("weights SHA-256", str(weights.get("sha256"))),
            ("versions", ", ".join(f"{k} {v}" for k, v in (content.get("versions") or {}).items())),
        ]
    put(sheet, 1, 1, "Made with", font=HEADING)
    for row, (name, value) in enumerate(facts, start=2):
        put(sheet, row, 1, name, font=STRONG)
        put(sheet, row, 2, value)
    row = len(facts) + 3
    put(sheet, row, 1, "Made from", font=HEADING)
    place_table(sheet, table, row + 1)
    return sheet, row + 2
