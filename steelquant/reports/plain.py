"""The report for programs: one CSV file per table and one JSON file; the same masks give the same bytes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelquant import __version__
from steelquant.micrograph.files import atomic_write, write_json
from steelquant.reports.parameters import parameters
from steelquant.reports.table import Cell, Table

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification
    from steelquant.stereology.specimen_grains import SpecimenGrains
    from steelquant.stereology.summary import SpecimenResult

FORMAT = "steelquant report 1"

_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d[\w., °%]*\Z|\Z)")
"""Texts that a spreadsheet would run when it opens the CSV; ``-40C_1`` is not among them, ``-A1`` is."""


def write_csv(path: Path, table: Table) -> None:
    """Write a table as UTF-8 CSV with Excel's mark, comma and decimal point.

    Numbers have up to nine significant digits, which is more than is measured; a text that a spreadsheet
    would take for a formula gets an apostrophe in front.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([column.name for column in table.columns])
        writer.writerows(_plain_row(row) for row in table.rows())


def _plain_row(row: Iterable[Cell]) -> list[str]:
    return [
        f"{value:.9g}"
        if isinstance(value, float)
        else ""
        if value is None
        else _harmless(value)
        if isinstance(value, str)
        else str(value)
        for value in row
    ]


def _harmless(text: str) -> str:
    encodable = text.encode("utf-8", "replace").decode()
    return f"'{encodable}" if _FORMULA.match(encodable) else encodable


def write_summary_json(path: Path, result: Quantification, tables: Iterable[Table]) -> None:
    """Write everything but features and grains as JSON: specimens, then each table by its columns' names."""
    write_json(
        path,
        {
            "format": FORMAT,
            "version": __version__,
            "parameters": {row.name: row.value for row in parameters(result)},
            "specimens": [specimen_json(specimen) for specimen in result.specimens],
            **{
                table.key: [
                    dict(zip((column.name for column in table.columns), row, strict=True))
                    for row in table.rows()
                ]
                for table in tables
                if table.title not in ("Specimens", "Features", "Grains")
            },
            "failures": [{"mask": str(error.path), "problem": error.problem} for error in result.failures],
            "warnings": list(result.warnings),
        },
    )


def specimen_json(specimen: SpecimenResult) -> dict[str, Any]:
    """Return a specimen as it stands in the JSON file: verdict, remarks and every estimate by its name."""
    return {
        "Specimen": specimen.name,
        "details": dict(specimen.details),
        "fields": [field.source.name for field in specimen.fields],
        "verdict": None if specimen.verdict is None else str(specimen.verdict),
        "fields_needed": specimen.fields_needed,
        "remarks": list(specimen.remarks),
        "grains": None if specimen.grains is None else _grains_json(specimen.grains),
        "estimates": {
            name: {
                "n": found.n,
                "mean": found.mean,
                "s": found.standard_deviation,
                "ci95": found.ci95,
                "low": found.low,
                "high": found.high,
                "relative_accuracy_percent": found.relative_accuracy_percent,
                "note": found.reason,
            }
            for name, found in specimen.estimates.items()
        },
    }


def _grains_json(grains: SpecimenGrains) -> dict[str, Any]:
    return {
        "fields_counted": grains.fields_counted,
        "verdicts": grains.verdicts,
        "grains": grains.grains,
        "ferrite_area_mm2": grains.area_mm2,
        "largest": None if grains.largest is None else asdict(grains.largest),
        "duplex": None if grains.duplex is None else asdict(grains.duplex),
        "remarks": list(grains.remarks),
    }
