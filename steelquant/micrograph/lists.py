"""Small tables that a user keeps beside the masks, as spreadsheets save them: CSV of any separator."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from steelquant.errors import FileError


def read_list(path: Path, *, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV with a header row.

    Comma, semicolon and tab are recognised, UTF-8 (with or without its mark) and, failing that, Windows'
    Latin characters. Column names are matched in lower case; empty rows are passed over.

    Parameters
    ----------
    path
        The file.
    required
        Columns that must be there, in lower case.

    Returns
    -------
    list of (line number, row)
        Each row by column name, without surrounding blanks.

    Raises
    ------
    FileError
        If the file cannot be read, is empty or lacks a column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    header = text.split("\n", 1)[0]
    separator = max(";\t,", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise FileError(path, f"is not a CSV table: {error}") from None
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows:
        raise FileError(path, f"is empty; its first row must name the columns {', '.join(required)}")
    names = [name.casefold() for name in rows[0][1]]
    missing = [name for name in required if name not in names]
    if missing:
        found = ", ".join(name for name in names if name)
        raise FileError(path, f"lacks the column {', '.join(missing)}; its first row names: {found}")
    result = []
    for line, row in rows[1:]:
        if len(row) > len(names) and any(row[len(names) :]):
            raise FileError(
                path, f"line {line}: {len(row)} cells, but the first row names {len(names)} columns"
            )
        padded = [*row, *[""] * (len(names) - len(row))]
        result.append((line, {name: cell for name, cell in zip(names, padded, strict=False) if name}))
    return result


def read_number(path: Path, line: int, column: str, text: str) -> float | None:
    """Return a cell as a number, with a decimal point or comma; None when it is empty.

    Raises
    ------
    FileError
        If it is no finite number.
    """
    if not text:
        return None
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FileError(path, f"line {line}: {column} is not a number: {text}")
    return number
