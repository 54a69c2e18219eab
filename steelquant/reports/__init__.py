"""Reports: an Excel file for people, CSV and JSON beside it for programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

__all__ = ["report_files", "write_report"]

_CSV_TITLES = (
    "specimens",
    "fields",
    "grain_size",
    "grains",
    "features",
    "distributions",
    "sizes",
    "shapes",
    "spheres",
    "orientation",
    "banding",
    "comparison",
    "limits",
    "provenance",
)


def report_files(output: Path) -> list[Path]:
    """Return the files that :func:`write_report` writes: the Excel file and, named after it, the others.

    For ``report.xlsx`` these are ``report.json`` and one CSV file per table: ``report.specimens.csv``,
    ``report.fields.csv``, ``report.grain_size.csv`` and so on.
    """
    beside = [output.with_suffix(f".{title}.csv") for title in _CSV_TITLES]
    return [output, output.with_suffix(".json"), *beside]


def write_report(result: Quantification, output: Path) -> list[Path]:
    """Write a report: Excel, and CSV and JSON with the same names of columns beside it.

    CSV and JSON depend on the masks and options alone, not on the time: the same masks give the same bytes.

    Parameters
    ----------
    result
        What was measured, of at least one field.
    output
        The Excel file, ending in ``.xlsx``.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    FileError
        If a file cannot be written.
    """
    from steelquant.reports.excel import write_excel
    from steelquant.reports.plain import write_csv, write_summary_json
    from steelquant.reports.tables import tables_of

    tables = tables_of(result)
    files = report_files(output)
    for path, table in zip(files[2:], tables, strict=True):
        write_csv(path, table)
    write_summary_json(files[1], result, tables)
    write_excel(output, result, tables)
    return files
