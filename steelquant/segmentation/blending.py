"""The logits of a field from those of its tiles, block by block and never the whole field at once.

Kept are the rows under one row of tiles and the sums where tiles overlap; so the memory grows with a field's
width but not with its height.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelquant.segmentation.tiles import TileGrid

ReadRows = Callable[[int, int], NDArray[np.uint8]]
"""Gives rows of a field, ``(rows, width, 3)``: one or more from the first number on, before the second."""


class Block(NamedTuple):
    """A part of a field that all of its tiles have been added to.

    Attributes
    ----------
    top_px, left_px
        Its first row and column in the field.
    logits
        ``(K, rows, columns)`` float32, valid until the next block is asked for.
    """

    top_px: int
    left_px: int
    logits: NDArray[np.float32]


def blend(
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    read_rows: ReadRows,
    grid: TileGrid,
    batch: int,
) -> Iterator[Block]:
    """Predict the tiles of a field row by row and blend them.

    Parameters
    ----------
    predict
        As :meth:`steelquant.segmentation.engine.Engine.predict`.
    read_rows
        Gives each row of the field once, in ascending order.
    grid
        The tiles.
    batch
        Tiles per call of ``predict``.

    Yields
    ------
    Block
        Row by row and from left to right; together they cover the field once.
    """
    height, width = grid.tile_shape
    tops, lefts = grid.rows.origins_px, grid.columns.origins_px
    padded = PaddedRows(read_rows, grid)
    places = list(grid.tiles())
    above = below = left = None  # what the tiles so far leave for those of this row, the next, to the right
    for first in range(0, len(places), batch):
        some = places[first : first + batch]
        start = tops[some[0][0]]
        rows = padded.slide(start, tops[some[-1][0]] + height)
        tiles = [rows[tops[r] - start :, lefts[c] : lefts[c] + width][:height] for r, c in some]
        predicted = predict(np.stack(tiles) if len(tiles) > 1 else np.ascontiguousarray(tiles[0])[None])
        for (row, column), logits in zip(some, predicted, strict=True):
            down = tops[row + 1] - tops[row] if row + 1 < len(tops) else height
            across = lefts[column + 1] - lefts[column] if column + 1 < len(lefts) else width
            if column == 0:
                above, left = below, None
                below = np.empty((len(logits), height - down, grid.columns.length_px), np.float32)
            _weigh(logits, grid, row, column)
            shared = 0
            if left is not None:
                shared = left.shape[2]
                logits[:, :, :shared] += left
            if above is not None:
                new = above[:, :, lefts[column] + shared : lefts[column] + width]
                logits[:, : new.shape[1], shared:] += new
            left = logits[:, :, across:].copy()
            assert below is not None
            below[:, :, lefts[column] : lefts[column] + across] = logits[:, down:, :across]
            bottom = min(down, grid.height_px - tops[row])
            right = min(across, grid.width_px - lefts[column])
            yield Block(tops[row], lefts[column], logits[:, :bottom, :right])


class PaddedRows:
    """A window on a field that slides down, reflected beyond its right and lower border up to a grid's size.

    Parameters
    ----------
    read_rows
        Gives the field's own rows, each once and in ascending order.
    grid
        Whose size to fill.
    """

    def __init__(self, read_rows: ReadRows, grid: TileGrid) -> None:
        self._read_rows = read_rows
        self._height_px, self._width_px = grid.height_px, grid.width_px
        self._buffer = np.empty((0, grid.columns.length_px, 3), np.uint8)
        self._top = self._bottom = 0
        self._beyond = _reflected(np.arange(self._width_px, grid.columns.length_px), self._width_px)

    def slide(self, top: int, bottom: int) -> NDArray[np.uint8]:
        """Return the rows from ``top`` to before ``bottom``; neither may be less than the time before.

        Returns
        -------
        ndarray
            ``(bottom - top, columns.length_px, 3)``, valid until the next call.
        """
        kept = self._buffer[top - self._top : self._bottom - self._top]
        if bottom - top > len(self._buffer):
            self._buffer = np.empty((bottom - top, *self._buffer.shape[1:]), np.uint8)
        self._buffer[: len(kept)] = kept
        self._top = top
        end = min(bottom, self._height_px)
        while self._bottom < end:
            own = self._read_rows(self._bottom, end)
            new = self._buffer[self._bottom - top : self._bottom - top + len(own)]
            new[:, : self._width_px] = own
            new[:, self._width_px :] = new[:, self._beyond]
            self._bottom += len(own)
        if self._bottom < bottom:
            beyond = _reflected(np.arange(self._bottom, bottom), self._height_px)
            self._buffer[self._bottom - top : bottom - top] = self._buffer[beyond - top]
            self._bottom = bottom
        return self._buffer[: bottom - top]


def _reflected(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Where in a side the places beyond it take their pixels from; a side of one pixel is repeated."""
    period = max(2 * (length - 1), 1)
    return (length - 1) - abs(places % period - (length - 1))


def _weigh(logits: NDArray[np.float32], grid: TileGrid, row: int, column: int) -> None:
    """Weigh a tile's logits in place; only what its neighbours cover too is touched."""
    down, across = grid.rows.weights[row], grid.columns.weights[column]
    for part in grid.rows.overlaps(row):
        logits[:, part] *= down[part, None]
    for part in grid.columns.overlaps(column):
        logits[:, :, part] *= across[part]
