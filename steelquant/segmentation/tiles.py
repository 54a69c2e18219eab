"""A field cut into equal overlapping tiles, and the weights that join the tiles' logits again.

The grid is fitted to the field: all tiles have one size, the first begins and the last ends at the border,
and what is left over is spread evenly over the overlaps, so that no sliver remains. Origins and sizes are
multiples of the network's stride; a tile then meets the same pooling windows as the whole field would.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SMALLEST_TILE_PX = 224
"""The networks are trained on crops of this size; smaller fields are reflected up to it."""

MAX_OVERLAP = 0.75
"""Largest overlap as a fraction of a tile; beyond it the work grows without end."""


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of a field.

    Attributes
    ----------
    length_px
        Side of the field, padded to a multiple of the stride.
    tile_px
        Side of every tile.
    origins_px
        First pixel of each tile, ascending, the first 0 and the last ``length_px - tile_px``.
    margin_px
        Width at a tile's inner borders that has no say in the result where a neighbour covers it.
    """

    length_px: int
    tile_px: int
    origins_px: tuple[int, ...]
    margin_px: int

    @cached_property
    def weights(self) -> tuple[NDArray[np.float32], ...]:
        """One ``(tile_px,)`` weight per tile; over the tiles they add up to 1 at every pixel.

        In an overlap the weight rises as sin², which together with its neighbour's cos² is 1, between the
        two margins: what lies within ``margin_px`` of a tile's border was computed beside padding.
        """
        raw = [np.ones(self.tile_px, np.float64) for _ in self.origins_px]
        for before, after in zip(range(len(raw)), range(1, len(raw)), strict=False):
            overlap = self.origins_px[before] + self.tile_px - self.origins_px[after]
            if overlap > 0:
                rise = _rise(overlap, self.margin_px)
                raw[after][:overlap] *= rise
                raw[before][-overlap:] *= 1 - rise
        total = np.zeros(self.length_px, np.float64)
        for origin, weight in zip(self.origins_px, raw, strict=True):
            total[origin : origin + self.tile_px] += weight
        return tuple(
            (weight / total[origin : origin + self.tile_px]).astype(np.float32)
            for origin, weight in zip(self.origins_px, raw, strict=True)
        )

    def overlaps(self, place: int) -> list[slice]:
        """Return the parts of a tile, within its own side, that its neighbours cover too."""
        start, end = 0, self.tile_px
        if place > 0:
            start = self.origins_px[place - 1] + self.tile_px - self.origins_px[place]
        if place + 1 < len(self.origins_px):
            end = self.origins_px[place + 1] - self.origins_px[place]
        return [slice(0, start), slice(end, self.tile_px)] if start <= end else [slice(0, self.tile_px)]


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a field.

    Attributes
    ----------
    height_px, width_px
        The field's own size.
    rows, columns
        The tiles along its height and its width.
    """

    height_px: int
    width_px: int
    rows: Axis
    columns: Axis

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width of every tile."""
        return self.rows.tile_px, self.columns.tile_px

    def __len__(self) -> int:
        return len(self.rows.origins_px) * len(self.columns.origins_px)

    def tiles(self) -> Iterator[tuple[int, int]]:
        """Yield (row, column) of each tile, row by row."""
        for row in range(len(self.rows.origins_px)):
            for column in range(len(self.columns.origins_px)):
                yield row, column


def fit_grid(
    height_px: int,
    width_px: int,
    *,
    tile_px: int,
    overlap_px: int,
    stride_px: int,
    margin_px: int = 0,
) -> TileGrid:
    """Fit equal tiles to a field.

    Parameters
    ----------
    height_px, width_px
        The field's size.
    tile_px
        Largest side of a tile; rounded to whole strides. The fitted tile may be smaller, not larger.
    overlap_px
        Least overlap of neighbours; rounded up to whole strides, at most :data:`MAX_OVERLAP` of a tile.
    stride_px
        What origins and sizes are multiples of.
    margin_px
        See :class:`Axis`; narrowed where the overlap leaves no room for it.

    Returns
    -------
    TileGrid

    Examples
    --------
    >>> grid = fit_grid(1542, 2080, tile_px=576, overlap_px=64, stride_px=16)
    >>> grid.tile_shape, grid.rows.origins_px, grid.columns.origins_px
    ((560, 576), (0, 496, 992), (0, 496, 1008, 1504))
    """
    rows, columns = (
        _fit_axis(length, tile_px, overlap_px, stride_px, margin_px) for length in (height_px, width_px)
    )
    return TileGrid(height_px, width_px, rows, columns)


def _fit_axis(length_px: int, tile_px: int, overlap_px: int, stride_px: int, margin_px: int) -> Axis:
    """Count in strides: n tiles of t with overlaps of o or more reach up to n·t - (n - 1)·o."""
    smallest = -(-SMALLEST_TILE_PX // stride_px)
    largest = max(tile_px // stride_px, smallest)
    overlap = min(-(-overlap_px // stride_px), math.floor(MAX_OVERLAP * largest))
    length = max(-(-length_px // stride_px), smallest)
    if length <= largest:
        return Axis(length * stride_px, length * stride_px, (0,), 0)
    count = -(-(length - overlap) // (largest - overlap))
    tile = max(-(-(length + (count - 1) * overlap) // count), smallest)
    gaps = length - tile
    origins = tuple((2 * place * gaps + count - 1) // (2 * (count - 1)) * stride_px for place in range(count))
    margin = min(margin_px, max(overlap - 1, 0) * stride_px // 2)
    return Axis(length * stride_px, tile * stride_px, origins, margin)


def _rise(overlap_px: int, margin_px: int) -> NDArray[np.float64]:
    """Weights 0 … 1 over an overlap, never 0 or 1 between the margins."""
    ramp_px = overlap_px - 2 * margin_px
    ramp = np.sin((np.arange(ramp_px) + 0.5) / ramp_px * (np.pi / 2)) ** 2
    return np.concatenate([np.zeros(margin_px), ramp, np.ones(margin_px)])
