"""The report for the browser: one file that needs nothing else, no network, and shows every field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steelquant.micrograph.files import atomic_write
from steelquant.reports.html.page import page_content
from steelquant.reports.html.rendering import render
from steelquant.stereology.micrographs import Micrographs

if TYPE_CHECKING:
    from steelquant.stereology.quantify import Quantification

__all__ = ["write_html"]


def write_html(result: Quantification, path: Path, *, images: Path | None = None) -> None:
    """Write the report as one HTML file.

    The same masks, micrographs and options give the same bytes.

    Parameters
    ----------
    result
        What was measured, of at least one field.
    path
        The file to write.
    images
        Folder where micrographs are looked for, its sub-folders too, when they are no longer where they
        were segmented.

    Raises
    ------
    FileError
        The file cannot be written, or a mask cannot be read any more.
    UsageError
        `images` does not exist or holds no pictures.
    """
    content = page_content(result, Micrographs(images))
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        for piece in render(content):
            stream.write(piece)
