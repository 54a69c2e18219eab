"""Long sheets for an Excel file, written as fast as text.

openpyxl writes some 50,000 cells a second, so a sheet of 100,000 features would take a minute. The workbook
is therefore made by openpyxl with one model row under each header, which fixes the cells' styles; on saving,
the rows of the tables take the place of the model rows, written straight into the sheet's XML.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape  # nosec B406 # it writes XML and reads none

from openpyxl import Workbook
from openpyxl.utils import get_column_letter

from steelquant.reports.table import Row

_DIMENSION = re.compile(rb'<dimension ref="[^"]*"')
_STYLE = re.compile(rb'<c r="[A-Z]+\d+"(?: s="(\d+)")?')
_ROWS_PER_WRITE = 2000
_LONGEST_TEXT = 32_767
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def clean_text(text: str) -> str:
    """Return text that XML and Excel can hold: control characters replaced, at most 32,767 characters."""
    return _ILLEGAL.sub("\ufffd", text)[:_LONGEST_TEXT]


@dataclass(frozen=True, eq=False)
class Block:
    """Rows for a sheet, from row ``first_row`` on, where the model row stands; ``height`` in points."""

    first_row: int
    rows: Sequence[Row]
    height: float | None = None


def save_with_rows(workbook: Workbook, path: Path, blocks: Mapping[str, Block]) -> None:
    """Save a workbook, with rows in place of the model row of some sheets.

    Parameters
    ----------
    workbook
        Its sheets named in ``blocks`` have, as their last row, a model row: one cell per column with the
        column's style and any value.
    path
        Where to save.
    blocks
        Rows by sheet title. Texts stay texts, whatever they begin with.
    """
    draft = io.BytesIO()
    workbook.save(draft)
    parts = {f"xl/worksheets/sheet{number}.xml": title for number, title in enumerate(workbook.sheetnames, 1)}
    with (
        zipfile.ZipFile(draft) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            block = blocks.get(parts.get(name, ""))
            if block is None:
                target.writestr(name, content)
                continue
            start = content.index(b'<row r="%d"' % block.first_row)
            end = content.index(b"</row>", start) + len(b"</row>")
            styles = [int(match[1] or 0) for match in _STYLE.finditer(content[start:end])]
            last = f"{get_column_letter(len(styles))}{block.first_row + max(len(block.rows), 1) - 1}"
            head = _DIMENSION.sub(f'<dimension ref="A1:{last}"'.encode(), content[:start], count=1)
            with target.open(name, "w", force_zip64=True) as stream:
                stream.write(head)
                for text in _row_texts(block, styles):
                    stream.write(text.encode())
                stream.write(content[end:])


def _row_texts(block: Block, styles: list[int]) -> Iterator[str]:
    """Yield the XML of the rows in pieces."""
    letters = [get_column_letter(number) for number in range(1, len(styles) + 1)]
    columns = list(zip(letters, styles, strict=True))
    pieces: list[str] = []
    height = "" if block.height is None else f' ht="{block.height:g}" customHeight="1"'
    for number, row in enumerate(block.rows, start=block.first_row):
        pieces.append(f'<row r="{number}"{height}>')
        for (letter, style), value in zip(columns, row, strict=True):
            if value is None or value == "":
                pieces.append(f'<c r="{letter}{number}" s="{style}"/>')
            elif isinstance(value, str):
                text = escape(clean_text(value))
                space = ' xml:space="preserve"' if text != text.strip() else ""
                pieces.append(
                    f'<c r="{letter}{number}" s="{style}" t="inlineStr"><is><t{space}>{text}</t></is></c>'
                )
            elif math.isfinite(value):
                digits = f"{value:.9g}" if isinstance(value, float) else str(value)
                pieces.append(f'<c r="{letter}{number}" s="{style}"><v>{digits}</v></c>')
            else:
                pieces.append(f'<c r="{letter}{number}" s="{style}"/>')
        pieces.append("</row>")
        if number % _ROWS_PER_WRITE == 0:
            yield "".join(pieces)
            pieces.clear()
    yield "".join(pieces)
