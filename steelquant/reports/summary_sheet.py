"""The first sheet: verdict, averages, charts and method on one printed page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from openpyxl import Workbook
from openpyxl.cell import Cell as SheetCell
from openpyxl.cell import MergedCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from steelquant.reports.grain_tables import grain_method
from steelquant.reports.parameters import METHOD
from steelquant.reports.sheets import (
    BODY,
    CHARACTERS_PER_WIDTH,
    FONT,
    HEADING,
    INK,
    NOTE,
    ROW_RULE,
    SHADE,
    STRONG,
    TITLE,
    VERDICT_COLOURS,
    add_sheet,
    lines_height,
    put,
    put_header,
)
from steelquant.reports.summary_columns import WIDTH, SummaryColumn, phase_columns, structure_columns
from steelquant.stereology.carbon import ASSUMPTIONS
from steelquant.stereology.phases import EDGE_RULE
from steelquant.stereology.quantities import CARBON
from steelquant.stereology.specimens import Verdict

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.summary import SpecimenResult

MOST_SPECIMENS = 20
"""Lines of the page; the sheet Specimens holds all."""

_MOST_REASONS = 8
_MOST_WARNINGS = 6
_CHART_ROWS = 20
_NO_LIMITS = "No limits were given, so there is no verdict."


def add_summary(workbook: Workbook, result: Quantification) -> tuple[Worksheet, int]:
    """Add the sheet Summary.

    Returns
    -------
    sheet
        The sheet, without charts.
    row
        Where the charts go: so many rows are left free for them.
    """
    sheet = add_sheet(workbook, "Summary")
    sheet.page_setup.fitToHeight = 1
    put(sheet, 1, 1, "Quantitative metallography", font=TITLE)
    sheet.row_dimensions[1].height = 26
    put(sheet, 2, 1, _facts(result), font=NOTE)
    shown = _by_severity(result.specimens)[:MOST_SPECIMENS]
    phases, structure = phase_columns(result, shown), structure_columns(result, shown)
    count = max(len(phases), len(structure))
    # Both tables stand in the same columns of the sheet, their remarks in the last.
    widths = [*[column.width for column in phases[:-1]], *[WIDTH] * (count - len(phases)), phases[-1].width]
    for number, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    _put_verdict(sheet, 4, result, count)
    row = _put_table(sheet, 6, phases, widths)
    row = _put_table(sheet, row, structure, widths)
    more = len(result.specimens) - len(shown)
    if more > 0:
        put(sheet, row - 1, 1, f"… and {more} more specimens, on the sheet Specimens.", font=NOTE)
        row += 1
    length = int(CHARACTERS_PER_WIDTH * sum(widths))
    row = _put_lines(sheet, row, "Limits not met", list(_reasons(result)), length)
    charts = row
    row = _put_lines(sheet, row + _CHART_ROWS, "Method", list(_method(result)), length)
    row = _put_lines(sheet, row, "Failures and warnings", list(_warnings(result)), length)
    sheet.print_area = f"A1:{get_column_letter(count)}{row}"
    return sheet, charts


def _put_table(sheet: Worksheet, row: int, columns: list[SummaryColumn], widths: list[float]) -> int:
    """Write a table, its last column into the sheet's last; return the row after next."""
    places = [*range(1, len(columns)), len(widths)]
    for number, column in zip(places, columns, strict=True):
        is_text = column.number_format is None
        put_header(sheet, row, number, column.header, is_text=is_text)
        for offset, value in enumerate(column.values, start=1):
            font = STRONG if number == 1 else BODY
            cell = put(sheet, row + offset, number, value, font=font, number_format=column.number_format)
            cell.border = ROW_RULE
            if column.header == "Verdict":
                _tint(cell, str(value))
            if is_text and number > 1:
                cell.alignment = Alignment(horizontal="left", vertical="center", wrap_text=True, indent=1)
    for gap in range(len(columns), len(widths)):
        put_header(sheet, row, gap, "", is_text=True)
        for offset in range(1, len(columns[0].values) + 1):
            put(sheet, row + offset, gap, None).border = ROW_RULE
    sheet.row_dimensions[row].height = lines_height(
        [(column.header, 0.75 * widths[n - 1]) for n, column in zip(places, columns, strict=True)]
    )
    specimens = len(columns[0].values)
    for offset in range(1, specimens + 1):
        remarks = str(columns[-1].values[offset - 1] or "")
        sheet.row_dimensions[row + offset].height = lines_height([(remarks, widths[-1])])
    return row + specimens + 2


def _by_severity(specimens: tuple[SpecimenResult, ...]) -> list[SpecimenResult]:
    """Put failed and undecided specimens first, so that none of them falls off the page."""
    order = {Verdict.FAIL: 0, Verdict.UNDECIDED: 1}
    return sorted(specimens, key=lambda specimen: order.get(specimen.verdict, 2) if specimen.verdict else 2)


def _facts(result: Quantification) -> str:
    areas = [field.counted_area_mm2 for field in result.fields]
    known = [area for area in areas if area is not None]
    models = dict.fromkeys(field.source.model or "masks made elsewhere" for field in result.fields)
    scales = dict.fromkeys(
        f"{field.pixel_size_um:.4g} µm/px ({field.calibration.source})"
        if field.pixel_size_um is not None
        else f"not calibrated ({field.calibration.source})"
        for field in result.fields
    )
    parts = [f"{_count(len(result.fields), 'field')} of {_count(len(result.specimens), 'specimen')}"]
    if known:
        parts.append(f"{sum(known):.3g} mm² measured")
    parts.append("; ".join(list(scales)[:2]) + (f"; {len(scales) - 2} more" if len(scales) > 2 else ""))
    return "   ·   ".join([*parts, ", ".join(models)])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _put_verdict(sheet: Worksheet, row: int, result: Quantification, columns: int) -> None:
    verdicts = [specimen.verdict for specimen in result.specimens if specimen.verdict is not None]
    worst = next((v for v in (Verdict.FAIL, Verdict.UNDECIDED, Verdict.PASS) if v in verdicts), None)
    if worst is None:
        text = _NO_LIMITS
    else:
        count = ", ".join(
            f"{verdicts.count(verdict)} {word}"
            for verdict, word in (
                (Verdict.PASS, "within limits"),
                (Verdict.UNDECIDED, "undecided"),
                (Verdict.FAIL, "outside limits"),
            )
            if verdict in verdicts
        )
        text = f"{worst.upper()}   ·   {_count(len(verdicts), 'specimen')}: {count}"
    if result.failures:
        text += f"   ·   {_count(len(result.failures), 'mask')} could not be measured"
    put(sheet, row, 1, text, font=HEADING)
    sheet.row_dimensions[row].height = 22
    for column in range(1, columns + 1):
        _tint(sheet.cell(row, column), worst)


def _tint(cell: SheetCell | MergedCell, verdict: str | None) -> None:
    ink, fill = VERDICT_COLOURS.get(verdict or "", (INK, SHADE))
    cell.fill = PatternFill("solid", fgColor=fill)
    cell.font = Font(name=FONT, size=cell.font.size, bold=True, color=ink)


def _reasons(result: Quantification) -> Iterator[str]:
    missed = [
        f"{specimen.name}: {judgement.limit.quantity} should be {judgement.limit.text}; {judgement.verdict}: "
        f"{judgement.reason}"
        for specimen in _by_severity(result.specimens)
        for judgement in specimen.judgements
        if judgement.verdict is not Verdict.PASS
    ]
    yield from missed[:_MOST_REASONS]
    if len(missed) > _MOST_REASONS:
        yield f"… and {len(missed) - _MOST_REASONS} more, on the sheet Limits."


def _method(result: Quantification) -> Iterator[str]:
    yield METHOD
    yield EDGE_RULE
    if method := grain_method(result):
        yield method
    if any(quantity.name == CARBON for quantity in result.quantities):
        yield ASSUMPTIONS
    yield "Every parameter and definition: sheet Parameters. Hashes, versions and time: sheet Provenance."


def _warnings(result: Quantification) -> Iterator[str]:
    found = [str(error) for error in result.failures]
    found += result.warnings
    found += [
        f"{field.source.name}: {'; '.join(field.warnings)}" for field in result.fields if field.warnings
    ]
    yield from found[:_MOST_WARNINGS]
    if len(found) > _MOST_WARNINGS:
        yield f"… and {len(found) - _MOST_WARNINGS} more, on the sheets Fields and Parameters."


def _put_lines(sheet: Worksheet, row: int, heading: str, lines: list[str], length: int) -> int:
    """Write a heading and its lines, broken to the page's width; return the next free row."""
    if not lines:
        return row
    put(sheet, row, 1, heading, font=HEADING)
    for line in lines:
        for part in textwrap.wrap(line, length):
            row += 1
            put(sheet, row, 1, part, font=NOTE)
            sheet.row_dimensions[row].height = 12.5
    return row + 2
