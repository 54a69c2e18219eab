"""TIFF files for pictures beyond memory: BigTIFF in deflated tiles, with reduced pictures for viewers.

The reduced pictures, each half as wide and high as the one before, stand in SubIFDs of the picture, where
QuPath, Bio-Formats (Fiji) and tifffile find them. Rows are taken from top to bottom; deflated tiles wait in
temporary files until all sizes are known.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from steelquant.errors import FileError
from steelquant.micrograph.files import atomic_write, reason
from steelquant.micrograph.reduction import RowReducer
from steelquant.micrograph.unfinished import TEMPORARY_PREFIX

TILE_PX = 512

_SMALLEST_PX = 1024
"""Reduced pictures are made until both sides are at most this."""

_LEVEL = 6


class PyramidWriter:
    """Writes a grey or palette picture of 8 bits row by row; a context manager that writes all or nothing.

    Parameters
    ----------
    path
        The file to write.
    height_px, width_px
        Its size.
    mean
        Whether reduced pictures show means, as probabilities need, or single pixels, as labels need.
    description, resolution, options
        As ``tifffile.TiffWriter.write`` takes them; ``options`` go to the reduced pictures too.

    Raises
    ------
    FileError
        If the folder takes no files.
    """

    def __init__(
        self,
        path: Path,
        height_px: int,
        width_px: int,
        *,
        mean: bool,
        description: bytes,
        resolution: dict[str, Any],
        **options: Any,
    ) -> None:
        self._path = path
        self._description = description
        self._resolution = resolution
        self._options = options
        self._stack = contextlib.ExitStack()
        sizes = [(height_px, width_px)]
        while max(sizes[-1]) > _SMALLEST_PX and min(sizes[-1]) > 1:
            sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
        self._reducers = [RowReducer(*size, 2, mean=mean) for size in sizes[:-1]]
        self._levels: list[_Level] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for size in sizes:
                spool = tempfile.TemporaryFile(dir=path.parent, prefix=TEMPORARY_PREFIX)  # noqa: SIM115
                self._stack.callback(spool.close)
                self._levels.append(_Level(*size, spool, has_differences="predictor" in options))
        except OSError as error:
            self._stack.close()
            raise FileError(path, f"cannot be written: {reason(error)}") from error

    def __enter__(self) -> PyramidWriter:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stack.close()

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take up the next rows, ``(rows, width)``.

        Raises
        ------
        FileError
            If the disk does not take them.
        """
        try:
            for place, level in enumerate(self._levels):
                level.add(rows)
                if place < len(self._reducers):
                    rows = self._reducers[place].add(rows)
        except OSError as error:
            raise FileError(self._path, f"cannot be written: {reason(error)}") from error

    def finish(self) -> None:
        """Write the file, once all rows are there.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        first, *reduced = self._levels
        with (
            atomic_write(self._path) as temporary,
            tifffile.TiffWriter(temporary, bigtiff=True) as tiff,
        ):
            self._write(tiff, first, subifds=len(reduced), description=self._description, **self._resolution)
            for level in reduced:
                self._write(tiff, level, subfiletype=1)

    def _write(self, tiff: tifffile.TiffWriter, level: _Level, **options: Any) -> None:
        tiff.write(
            level.tiles(),
            shape=(level.height_px, level.width_px),
            dtype=np.uint8,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            metadata=None,
            software="steelquant",
            **self._options,
            **options,
        )


class _Level:
    """One size of the picture: rows until they fill a row of tiles, then deflated tiles in a file."""

    def __init__(self, height_px: int, width_px: int, spool: BinaryIO, *, has_differences: bool) -> None:
        self.height_px, self.width_px = height_px, width_px
        self._spool = spool
        self._has_differences = has_differences
        self._sizes: list[int] = []
        self._waiting = np.zeros((TILE_PX, -(-width_px // TILE_PX) * TILE_PX), np.uint8)
        self._filled = self._taken = 0

    def add(self, rows: NDArray[np.uint8]) -> None:
        while len(rows):
            part = rows[: TILE_PX - self._filled]
            self._waiting[self._filled : self._filled + len(part), : self.width_px] = part
            self._filled += len(part)
            self._taken += len(part)
            rows = rows[len(part) :]
            if self._filled == TILE_PX or self._taken == self.height_px:
                self._waiting[self._filled :] = 0
                self._deflate()
                self._filled = 0

    def tiles(self) -> Iterator[bytes]:
        """Yield the deflated tiles in order."""
        assert self._taken == self.height_px
        self._spool.seek(0)
        for size in self._sizes:
            yield self._spool.read(size)

    def _deflate(self) -> None:
        for left in range(0, self._waiting.shape[1], TILE_PX):
            tile = self._waiting[:, left : left + TILE_PX]
            if self._has_differences:
                tile = np.diff(tile, axis=1, prepend=np.uint8(0))
            content = bytes(imagecodecs.deflate_encode(tile.tobytes(), level=_LEVEL))
            self._spool.write(content)
            self._sizes.append(len(content))
