"""What is kept of a very large field while its rows go by: a small picture of it, and what its edges show."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.reading import remark_empty_rows
from steelquant.micrograph.reduction import RowReducer

OVERVIEW_PX = 4096
"""Longest side of the small picture."""


def overview_factor(height_px: int, width_px: int) -> int:
    """Return by how much a field is reduced for its small picture."""
    return max(1, math.ceil(max(height_px, width_px) / OVERVIEW_PX))


class Overview:
    """A field made small while its rows are read.

    Parameters
    ----------
    height_px, width_px
        The field's size.
    """

    def __init__(self, height_px: int, width_px: int) -> None:
        factor = overview_factor(height_px, width_px)
        self._height_px = height_px
        self._reducers = [RowReducer(height_px, width_px, factor, mean=mean) for mean in (True, False)]
        self._parts: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
        self._plain: list[NDArray[np.int16]] = []

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Take up the next rows, ``(rows, width, 3)``."""
        for reducer, parts in zip(self._reducers, self._parts, strict=True):
            parts.append(reducer.add(pixels))
        is_plain = (pixels == pixels[:, :1]).all(axis=(1, 2))
        self._plain.append(np.where(is_plain[:, None], pixels[:, 0], np.int16(-1)).astype(np.int16))

    def mean(self) -> NDArray[np.uint8]:
        """Return the small picture of the blocks' means, as people want to see it."""
        return np.concatenate(self._parts[0])

    def sample(self) -> NDArray[np.uint8]:
        """Return the small picture of the blocks' middle pixels: grey levels as they are."""
        return np.concatenate(self._parts[1])

    def edge_remarks(self) -> list[str]:
        """Remark on edges of one colour, as `read_micrograph` does."""
        plain = np.concatenate(self._plain)
        return remark_empty_rows(self._height_px, _plain_rows(plain), _plain_rows(plain[::-1]))


def _plain_rows(colours: NDArray[np.int16]) -> int:
    """Count the rows of the first row's colour; a row of several colours is marked −1."""
    other = np.flatnonzero((colours != colours[0]).any(axis=1) | (colours[:, 0] < 0))
    return int(other[0]) if other.size else len(colours)
