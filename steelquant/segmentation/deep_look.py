"""What a network saw in a field, block by block: for the comparison with its training fields."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED
from steelquant.segmentation.tiles import TileGrid

_MOST_EXCLUDED = 0.1
_LEAST_SIDE = 0.5
"""Of a block's side: what is left at the lower and right borders of a tile, and narrower, says little."""


class SeenBlocks(NamedTuple):
    """Blocks of a field that count.

    Attributes
    ----------
    features
        ``(n, channels)`` float32.
    centres
        ``(n, 2)``: row and column of each block's middle, as shares of the field's height and width.
    """

    features: NDArray[np.float32]
    centres: NDArray[np.float64]

    def within(self, view: tuple[slice, slice], size_px: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the features of the blocks whose middles lie in a part of a field of this size."""
        middles = self.centres * size_px
        starts, stops = np.array([part.start for part in view]), np.array([part.stop for part in view])
        return self.features[((starts <= middles) & (middles < stops)).all(axis=1)]


class DeepSample:
    """Features of the tiles of a field, collected while they go through the network.

    Parameters
    ----------
    grid
        The tiles.
    block_px
        Edge of a block in the pixels of the grid.
    """

    def __init__(self, grid: TileGrid, block_px: float) -> None:
        self._grid = grid
        self._block_px = block_px
        self._tiles: list[NDArray[np.float32]] = []

    def add(self, features: NDArray[np.float32] | None) -> None:
        """Take up the features of the next tiles, as an engine gives them, in the order of the grid."""
        if features is not None:
            self._tiles.extend(features)

    def seen(self, labels: NDArray[np.uint8]) -> SeenBlocks | None:
        """Return the blocks of which at least nine tenths count.

        Parameters
        ----------
        labels
            The field's, 255 where excluded; of a very large field every n-th row and column will do.

        Returns
        -------
        SeenBlocks or None
            None where the engine gives no features, or no block counts.
        """
        grid = self._grid
        size = np.array([grid.height_px, grid.width_px])
        outside = labels == EXCLUDED if labels.max(initial=0) == EXCLUDED else None
        features, centres = [], []
        for (row, column), tile in zip(grid.tiles(), self._tiles, strict=False):
            origins = grid.rows.origins_px[row], grid.columns.origins_px[column]
            sides = [
                self._sides(origin, min(origin + edge, length), count)
                for origin, edge, length, count in zip(
                    origins, grid.tile_shape, size.tolist(), tile.shape[:2], strict=True
                )
            ]
            for (i, top, bottom), (j, left, right) in itertools.product(*sides):
                corners = np.array([[top, left], [bottom, right]]) / size
                if outside is None or _counts(outside, corners):
                    features.append(tile[i, j])
                    centres.append(corners.mean(axis=0))
        return SeenBlocks(np.array(features), np.array(centres)) if features else None

    def _sides(self, origin: int, end: int, count: int) -> list[tuple[int, float, float]]:
        """Return number, beginning and end of the blocks of a tile along one axis, but for slivers."""
        sides = []
        for place in range(count):
            first = origin + place * self._block_px
            last = min(first + self._block_px, end)
            if last > first and (place == 0 or last - first >= _LEAST_SIDE * self._block_px):
                sides.append((place, first, last))
        return sides


def _counts(outside: NDArray[np.bool_], corners: NDArray[np.float64]) -> bool:
    """Tell whether enough of a block counts, whose corners are shares of the field's height and width."""
    (top, left), (bottom, right) = np.rint(corners * outside.shape).astype(int)
    part = outside[top : max(bottom, top + 1), left : max(right, left + 1)]
    return bool(np.count_nonzero(part) <= _MOST_EXCLUDED * part.size)
