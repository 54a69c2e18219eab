"""The first sheet: verdict, averages, charts and method on one printed page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openpyxl import Workbook
from openpyxl.cell import Cell as SheetCell
from openpyxl.cell import MergedCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

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
from steelquant.reports.table import Cell
from steelquant.stereology.carbon import ASSUMPTIONS
from steelquant.stereology.phases import EDGE_RULE
from steelquant.stereology.quantities import CARBON
from steelquant.stereology.quantity import Quantity
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


@dataclass(frozen=True)
class _Column:
    header: str
    width: float
    number_format: str | None
    values: list[Cell]


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
    put(sheet, 1, 1, "Quantitative metallography: phases", font=TITLE)
    sheet.row_dimensions[1].height = 26
    put(sheet, 2, 1, _facts(result), font=NOTE)
    shown = _by_severity(result.specimens)[:MOST_SPECIMENS]
    columns = _columns(result, shown)
    _put_verdict(sheet, 4, result, len(columns))
    row = 6
    for number, column in enumerate(columns, start=1):
        put_header(sheet, row, number, column.header, is_text=column.number_format is None)
        sheet.column_dimensions[get_column_letter(number)].width = column.width
        for offset, value in enumerate(column.values, start=1):
            is_text = column.number_format is None
            font = STRONG if number == 1 else BODY
            cell = put(sheet, row + offset, number, value, font=font, number_format=column.number_format)
            cell.border = ROW_RULE
            if column.header == "Verdict":
                _tint(cell, str(value))
            if is_text and number > 1:
                cell.alignment = Alignment(horizontal="left", vertical="center", wrap_text=True, indent=1)
    sheet.row_dimensions[row].height = 32
    for offset in range(1, len(shown) + 1):
        remarks = str(columns[-1].values[offset - 1] or "")
        sheet.row_dimensions[row + offset].height = lines_height([(remarks, columns[-1].width)])
    row += len(shown) + 1
    more = len(result.specimens) - len(shown)
    if more > 0:
        put(sheet, row, 1, f"… and {more} more specimens, on the sheet Specimens.", font=NOTE)
        row += 1
    length = int(CHARACTERS_PER_WIDTH * sum(column.width for column in columns))
    row = _put_lines(sheet, row + 1, "Limits not met", list(_reasons(result)), length)
    charts = row
    row = _put_lines(sheet, row + _CHART_ROWS, "Method", list(_method(result)), length)
    row = _put_lines(sheet, row, "Failures and warnings", list(_warnings(result)), length)
    sheet.print_area = f"A1:{get_column_letter(len(columns))}{row}"
    return sheet, charts


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


def _columns(result: Quantification, shown: list[SpecimenResult]) -> list[_Column]:
    """Return the page's columns: the main phase in full, the other quantities in brief."""
    main, others = result.quantities[0], result.quantities[1:]

    def means(quantity: Quantity) -> list[Cell]:
        return [specimen.estimates[quantity.name].mean for specimen in shown]

    found = [specimen.estimates[main.name] for specimen in shown]
    columns = [_Column("Specimen", 18, None, [specimen.name for specimen in shown])]
    if any(specimen.verdict is not None for specimen in shown):
        columns.append(_Column("Verdict", 11, None, [str(s.verdict) if s.verdict else "" for s in shown]))
    columns += [
        _Column("Fields (count)", 8, "0", [len(specimen.fields) for specimen in shown]),
        _Column(main.name, 10, main.number_format, means(main)),
        _Column("s (%)", 8, "0.00", [estimate.standard_deviation for estimate in found]),
        _Column("95 % CI ± (%)", 9, "0.00", [estimate.ci95 for estimate in found]),
        _Column("%RA (%)", 8, "0.0", [estimate.relative_accuracy_percent for estimate in found]),
    ]
    for quantity in others:
        if quantity.is_on_page:
            columns.append(_Column(quantity.name, 10.5, quantity.number_format, means(quantity)))
        if quantity.name == CARBON:
            half_widths = [specimen.estimates[CARBON].ci95 for specimen in shown]
            columns.append(_Column("Carbon 95 % CI ± (wt%)", 10.5, quantity.number_format, list(half_widths)))
    needed: list[Cell] = [specimen.fields_needed for specimen in shown]
    columns.append(_Column("Fields for %RA 10 (count)", 10, "0", needed))
    remarks: list[Cell] = ["; ".join(_remarks(specimen, main)) for specimen in shown]
    columns.append(_Column("Remarks", 40, None, remarks))
    return columns


def _remarks(specimen: SpecimenResult, main: Quantity) -> Iterator[str]:
    yield from (f"{key} {value}" for key, value in specimen.details if value)
    yield from specimen.remarks
    if reason := specimen.estimates[main.name].reason:
        yield reason


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
