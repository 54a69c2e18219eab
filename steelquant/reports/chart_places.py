"""Which charts the Excel report has, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openpyxl import Workbook
from openpyxl.chart import BarChart
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from steelquant.reports.charts import SERIES_COLOURS, bars_with_interval, grouped_bars
from steelquant.reports.table import Row

_MOST_BARS = 60
_MOST_ON_SUMMARY = 3
_HEIGHT_CM = 8.6
_SMALL_CM = (13.0, 6.8)
_ROWS_PER_SMALL_CHART = 13
_CM_PER_WIDTH = 0.197
"""Of a unit of column width: 7 px and the share of a cell's margin, at 96 dpi."""

_FROM, _NUMBER, _AREA = 4, 7, 8
_FIT_OF = {_NUMBER: 9, _AREA: 10}
"""Columns of the sheet Distributions, from 1."""

_SECTOR, _SECTOR_AREA = 3, 6
"""Columns of the sheet Orientation."""


def add_charts(
    workbook: Workbook, summary: Worksheet, row: int, rows_of: Mapping[str, Sequence[Row]]
) -> None:
    """Put the charts onto the sheets Summary, Distributions and Orientation.

    Parameters
    ----------
    workbook
        Holds the sheets of the tables.
    summary, row
        The first sheet and the row where its charts go.
    rows_of
        The tables' rows by title.
    """
    charts = [_fields_chart(workbook["Fields"], len(rows_of["Fields"]))]
    sizes = rows_of.get("Distributions", ())
    for kind in list(_groups(sizes))[: _MOST_ON_SUMMARY - 1]:
        charts.append(_sizes_chart(workbook["Distributions"], sizes, kind, _NUMBER, has_fit=False))
    _place_side_by_side(summary, row, charts)
    if sizes:
        sheet = workbook["Distributions"]
        _place_below_each_other(
            sheet,
            [
                _sizes_chart(sheet, sizes, kind, column, has_fit=True)
                for kind in _groups(sizes)
                for column in _FIT_OF
            ],
        )
    directions = rows_of.get("Orientation", ())
    if directions:
        sheet = workbook["Orientation"]
        found = []
        for kind, groups in _groups(directions).items():
            titles = (
                f"Direction of {kind}, by area",
                "Area (%)",
                "Counter-clockwise from the horizontal (°)",
            )
            found.append(grouped_bars(sheet, titles, columns=(_SECTOR, _SECTOR_AREA), groups=groups))
        _place_below_each_other(sheet, found)


def _fields_chart(sheet: Worksheet, fields: int) -> BarChart:
    shown = min(fields, _MOST_BARS)
    name = str(sheet.cell(1, 3).value)
    title = f"{name.split(' (')[0]} per field, 95 % interval of the field"
    if shown < fields:
        title += f" (first {shown} of {fields})"
    return bars_with_interval(sheet, title, name, columns=(2, 3, 4), rows=(2, shown + 1))


def _sizes_chart(
    sheet: Worksheet, sizes: Sequence[Row], kind: str, column: int, *, has_fit: bool
) -> BarChart:
    how = "number" if column == _NUMBER else "area"
    fit = ", lognormal fit as a line" if has_fit else ""
    titles = (f"Size of {kind} by {how}{fit}", f"{how.capitalize()} (%)", "Equivalent diameter from (µm)")
    return grouped_bars(
        sheet,
        titles,
        columns=(_FROM, column),
        groups=_groups(sizes)[kind],
        fit_column=_FIT_OF[column] if has_fit else None,
    )


def _groups(rows: Sequence[Row]) -> dict[str, list[tuple[str, int, int]]]:
    """Return, by kind, each specimen's name, first and last row on the sheet, as many as have a colour."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for number, row in enumerate(rows, start=2):
        of_kind = found.setdefault(str(row[1]), {})
        first, _ = of_kind.setdefault(str(row[0]), (number, number))
        of_kind[str(row[0])] = (first, number)
    return {
        kind: [(name, first, last) for name, (first, last) in of_kind.items()][: len(SERIES_COLOURS)]
        for kind, of_kind in found.items()
    }


def _place_side_by_side(sheet: Worksheet, row: int, charts: Sequence[BarChart]) -> None:
    """Share the width of the sheet's columns among charts, each beginning at a column."""
    widths = [sheet.column_dimensions[get_column_letter(n)].width for n in range(1, sheet.max_column + 1)]
    starts = [sum(widths[:n]) for n in range(len(widths))]
    share = sum(widths) / len(charts)
    begins = [min(range(len(widths)), key=lambda n: abs(starts[n] - k * share)) for k in range(len(charts))]
    for chart, begin, end in zip(charts, begins, [*begins[1:], len(widths)], strict=True):
        _resize(chart, _CM_PER_WIDTH * sum(widths[begin:end]), _HEIGHT_CM)
        sheet.add_chart(chart, f"{get_column_letter(begin + 1)}{row}")


def _place_below_each_other(sheet: Worksheet, charts: Sequence[BarChart]) -> None:
    """Put charts to the right of a table."""
    letter = get_column_letter(sheet.max_column + 2)
    for number, chart in enumerate(charts):
        _resize(chart, *_SMALL_CM)
        sheet.add_chart(chart, f"{letter}{2 + number * _ROWS_PER_SMALL_CHART}")


def _resize(chart: BarChart, width_cm: float, height_cm: float) -> None:
    # openpyxl takes any number; its stubs know whole ones alone.
    chart.width, chart.height = width_cm, height_cm  # type: ignore[assignment]
