"""What a table of a report is: each becomes a sheet in Excel and a CSV file, with the same columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Cell = str | int | float | None
Row = Sequence[Cell]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name
        Its header, with the unit.
    number_format
        Excel's number format; None for texts.
    width
        In characters.
    is_wrapped
        Whether long texts are broken into lines.
    """

    name: str
    number_format: str | None = None
    width: float = 11.0
    is_wrapped: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """A table whose rows are made anew each time they are wanted, so that long ones need no memory.

    Attributes
    ----------
    title
        Name of the sheet.
    columns
        The columns.
    rows
        Gives the rows, each with one value per column.
    frozen_columns
        Columns that stay in view when the sheet is scrolled.
    printed_columns
        Columns that are printed; None prints all.
    row_height
        Of the sheet's rows in points, where texts are broken into lines.
    most_sheet_rows
        Rows that the sheet shows; the CSV file always has all.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Callable[[], Iterator[Row]]
    frozen_columns: int = 2
    printed_columns: int | None = None
    row_height: float | None = None
    most_sheet_rows: int = 1_000_000

    @property
    def key(self) -> str:
        """Name of the CSV file and in the JSON file."""
        return self.title.casefold().replace(" ", "_")


def text_column(name: str, width: float = 16.0, *, is_wrapped: bool = False) -> Column:
    """Return a column of texts."""
    return Column(name, None, width, is_wrapped)


SPECIMEN, FIELD = text_column("Specimen", 18), text_column("Field", 22)

ANY_UNIT = "[>=100]#,##0.0;[>=1]0.00;0.0000"
"""Number format of a column that holds quantities of several kinds and sizes, none negative."""

SIGNED_UNIT = "[<0]-#,##0.000;[<100]0.000;#,##0.0"
"""The same for numbers that may be negative: with conditions, a section draws no sign of its own."""
