"""A user's table of pixel sizes: one µm/px for each folder, file or pattern of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.calibration import GivenScale, calibrate
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.lists import read_list, read_number

EVERY_FILE = "*"


@dataclass(frozen=True)
class ScaleRow:
    """One row: its line, its pattern as written, the pattern's folders and file, and its µm/px."""

    line: int
    text: str
    parts: tuple[str, ...]
    pixel_size_um: float


@dataclass(frozen=True)
class ScaleTable:
    """Pixel sizes by place; made by :func:`read_scale_table`.

    Attributes
    ----------
    path, sha256
        The table's file and the hash of its bytes.
    rows
        In the order of the file.
    """

    path: Path
    sha256: str
    rows: tuple[ScaleRow, ...]

    def find(self, *files: Path) -> GivenScale | None:
        """Return the scale of one field.

        Parameters
        ----------
        files
            The paths of the field: its micrograph's, its mask's, or both.

        Returns
        -------
        GivenScale or None
            Of the row that fits; that of ``*`` where no other does; None where none fits.

        Raises
        ------
        FileError
            Rows that fit state different sizes.
        """
        known = [_parts(file.absolute().as_posix()) for file in files]
        fitting = [row for row in self.rows if any(_fits(row.parts, parts) for parts in known)]
        named = [row for row in fitting if row.text != EVERY_FILE] or fitting
        if len({row.pixel_size_um for row in named}) > 1:
            lines = " and ".join(f"{row.line} ({row.text}: {row.pixel_size_um:g})" for row in named[:2])
            raise FileError(
                files[0], f"fits lines {lines} of {self.path}, which state different µm/px; leave one of them"
            )
        if not named:
            return None
        return GivenScale(named[0].pixel_size_um, f"{self.path.name}, line {named[0].line} ({named[0].text})")

    @property
    def no_row(self) -> str:
        """What to warn of where no row fits."""
        return f"no row of {self.path.name} fits; the scale is what the file states"


PixelSizes = float | ScaleTable
"""What a user may state about µm/px: one for all fields, or a table."""


def read_pixel_sizes(given: float | str | Path | None) -> PixelSizes | None:
    """Understand the option ``--pixel-size``: a number of µm/px, or a table whose name ends in ``.csv``.

    Raises
    ------
    UsageError
        It is neither, or no positive number.
    FileError
        The table cannot be read.
    """
    if given is None:
        return None
    if str(given).lower().endswith(".csv"):
        return read_scale_table(Path(str(given)))
    try:
        size = float(str(given))
    except ValueError:
        raise UsageError(
            f"--pixel-size {given}: neither a number of µm/px, such as 0.2, nor a table that ends in .csv"
        ) from None
    calibrate((), size)
    return size


def read_scale_table(path: Path) -> ScaleTable:
    r"""Read a CSV with the columns ``path`` and ``pixel_size_um``.

    A path is a folder (``lot 7`` or ``lot 7/50x``), a file (``a.tif``, ``lot 7/a.tif``, or without its
    ending) or a pattern of either, where ``*`` stands for any text and ``?`` for any character within one
    name (``*_50x.tif``, ``lot 7/*/50x``). It fits every file of which it names consecutive parts of the full
    path, in any case; ``*`` alone is for the files that no other row fits.

    Raises
    ------
    FileError
        The file cannot be read, or a row makes no sense.
    """
    rows = []
    for line, row in read_list(path, required=("path", "pixel_size_um")):
        parts = _parts(row["path"])
        size = read_number(path, line, "pixel_size_um", row["pixel_size_um"])
        if not parts or size is None:
            raise FileError(path, f"line {line}: path and pixel_size_um must both be given")
        if size <= 0:
            raise FileError(path, f"line {line}: a pixel size of {size:g} µm is impossible")
        plain = tuple(part.replace("[", "[[]") for part in parts)  # brackets are names, not patterns
        rows.append(ScaleRow(line, row["path"], plain, size))
    if not rows:
        raise FileError(path, "names no path; give one row per folder, file or pattern")
    return ScaleTable(path, sha256_of(path), tuple(rows))


def given_scale(sizes: PixelSizes | None, *files: Path) -> tuple[float | GivenScale | None, list[str]]:
    """Return what a user states about one field, and what to warn of.

    Raises
    ------
    FileError
        Rows of a table contradict each other.
    """
    if not isinstance(sizes, ScaleTable):
        return sizes, []
    found = sizes.find(*files)
    return found, [] if found else [sizes.no_row]


def _parts(text: str) -> tuple[str, ...]:
    pieces = text.replace("\\", "/").casefold().split("/")
    return tuple(piece for piece in pieces if piece not in ("", "."))


def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Tell whether a pattern names consecutive parts of a path, the last of them with or without ending."""
    without_ending = (*parts[:-1], PurePosixPath(parts[-1]).stem)
    return any(
        all(map(fnmatchcase, spelling[start : start + len(pattern)], pattern))
        for start in range(len(parts) - len(pattern) + 1)
        for spelling in (parts, without_ending)
    )
