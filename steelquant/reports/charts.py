"""The native charts of the Excel report."""

from __future__ import annotations

from openpyxl.chart import BarChart, LineChart, Reference
from openpyxl.chart.axis import ChartLines
from openpyxl.chart.data_source import NumDataSource, NumRef
from openpyxl.chart.error_bar import ErrorBars
from openpyxl.chart.series import Series
from openpyxl.chart.series_factory import SeriesFactory
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.text import RichText, Text
from openpyxl.chart.title import Title
from openpyxl.drawing.line import LineProperties
from openpyxl.drawing.text import (
    CharacterProperties,
    Font,
    Paragraph,
    ParagraphProperties,
    RegularTextRun,
    RichTextProperties,
)
from openpyxl.utils import get_column_letter, quote_sheetname
from openpyxl.worksheet.worksheet import Worksheet

from steelquant.reports.bulk import clean_text
from steelquant.reports.sheets import FONT, GREY, INK, RULE

SERIES_COLOURS = ("0072B2", "D55E00", "009E73", "CC79A7", "56B4E9", "E69F00")
"""Okabe and Ito's colours, which the colour-blind can tell apart; pearlite's own comes first."""

_DEGREE = 60_000
"""Angles in drawings are counted in sixtieths of a minute."""


def bars_with_interval(
    sheet: Worksheet, title: str, unit: str, *, columns: tuple[int, int, int], rows: tuple[int, int]
) -> BarChart:
    """Return a bar chart with error bars.

    Parameters
    ----------
    sheet
        Sheet of the data.
    title, unit
        Headings of chart and value axis.
    columns
        One-based columns of names, values and half-widths of the intervals.
    rows
        First and last row.
    """
    names, values, intervals = columns
    chart = _bar_chart(title, unit)
    series = SeriesFactory(Reference(sheet, values, rows[0], values, rows[1]), title=unit)
    _paint(series, SERIES_COLOURS[0])
    letter = get_column_letter(intervals)
    half_widths = NumDataSource(
        NumRef(f=f"{quote_sheetname(sheet.title)}!${letter}${rows[0]}:${letter}${rows[1]}")
    )
    series.errBars = ErrorBars(
        errDir="y",
        errBarType="both",
        errValType="cust",
        plus=half_widths,
        minus=half_widths,
        noEndCap=False,
        spPr=GraphicalProperties(ln=LineProperties(solidFill=INK, w=9525)),
    )
    chart.series.append(series)
    chart.set_categories(Reference(sheet, names, rows[0], names, rows[1]))
    chart.legend = None
    return chart


def grouped_bars(
    sheet: Worksheet,
    titles: tuple[str, str, str],
    *,
    columns: tuple[int, int],
    groups: list[tuple[str, int, int]],
    fit_column: int | None = None,
) -> BarChart:
    """Return a bar chart of several series that share their categories, each with its fit as a line.

    Parameters
    ----------
    sheet
        Sheet of the data.
    titles
        Headings of the chart, the value axis and the category axis.
    columns
        One-based columns of categories and values.
    groups
        Name, first and last row of each series.
    fit_column
        One-based column of the fits; None draws none.
    """
    chart = _bar_chart(titles[0], titles[1])
    chart.x_axis.title = _title(titles[2], 800)
    for (name, first, last), colour in zip(groups, SERIES_COLOURS, strict=False):
        series = SeriesFactory(Reference(sheet, columns[1], first, columns[1], last), title=clean_text(name))
        _paint(series, colour)
        chart.series.append(series)
    _, first, last = groups[0]
    chart.set_categories(Reference(sheet, columns[0], first, columns[0], last))
    chart.gapWidth = 30
    if fit_column is not None:
        chart += _lines(sheet, fit_column, groups)
    if len(groups) == 1:
        chart.legend = None
    else:
        chart.legend.position = "t"
        chart.legend.txPr = _text(800)
    return chart


def _lines(sheet: Worksheet, column: int, groups: list[tuple[str, int, int]]) -> LineChart:
    lines = LineChart()
    for (name, first, last), colour in zip(groups, SERIES_COLOURS, strict=False):
        series = SeriesFactory(
            Reference(sheet, column, first, column, last), title=clean_text(f"{name}, fit")
        )
        series.spPr = GraphicalProperties(ln=LineProperties(solidFill=colour, w=15875))
        series.smooth = True
        series.marker.symbol = "none"
        lines.series.append(series)
    return lines


def _bar_chart(title: str, unit: str) -> BarChart:
    chart = BarChart()
    chart.type, chart.gapWidth = "col", 60
    chart.title, chart.y_axis.title = _title(title, 1000, bold=True), _title(unit, 800)
    for axis in (chart.x_axis, chart.y_axis):
        axis.delete = False
        axis.txPr = _text(800)
        axis.spPr = GraphicalProperties(ln=LineProperties(solidFill=GREY, w=6350))
    lines = GraphicalProperties(ln=LineProperties(solidFill=RULE, w=6350))
    chart.y_axis.majorGridlines = ChartLines(spPr=lines)
    chart.x_axis.txPr = _text(800, turn=45)
    chart.x_axis.number_format = "0.0#"
    chart.y_axis.scaling.min = 0
    chart.y_axis.number_format = "General"
    chart.graphical_properties = GraphicalProperties(ln=LineProperties(noFill=True))
    return chart


def _paint(series: Series, colour: str) -> None:
    series.spPr = GraphicalProperties(solidFill=colour)
    series.spPr.ln = LineProperties(noFill=True)


def _letters(size: int, *, bold: bool = False) -> CharacterProperties:
    return CharacterProperties(sz=size, b=bold, solidFill=INK, latin=Font(typeface=FONT))


def _text(size: int, *, turn: int = 0) -> RichText:
    paragraph = Paragraph(pPr=ParagraphProperties(defRPr=_letters(size)), endParaRPr=_letters(size))
    return RichText(bodyPr=RichTextProperties(rot=-turn * _DEGREE), p=[paragraph])


def _title(text: str, size: int, *, bold: bool = False) -> Title:
    run = RegularTextRun(t=clean_text(text), rPr=_letters(size, bold=bold))
    rich = RichText(p=[Paragraph(pPr=ParagraphProperties(defRPr=_letters(size)), r=[run])])
    return Title(tx=Text(rich=rich), overlay=False)
