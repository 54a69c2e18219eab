"""Pictures made smaller by a whole factor while their rows come from top to bottom."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


class RowReducer:
    """Reduces a picture by a factor as its rows are added; keeps less than ``factor`` rows.

    Rows and columns that fill no whole block at the lower and right edge are left out.

    Parameters
    ----------
    height_px, width_px
        The picture's size, both at least ``factor``.
    factor
        Edge in px of the block that becomes one pixel.
    mean
        Whether a block becomes its mean, as pictures need, or its middle pixel, as labels need.
    """

    def __init__(self, height_px: int, width_px: int, factor: int, *, mean: bool) -> None:
        self.height_px, self.width_px = height_px // factor, width_px // factor
        self._factor = factor
        self._mean = mean
        self._rest: NDArray[np.uint8] | None = None
        self._given = 0

    def add(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take up the next rows, ``(rows, width[, channels])``, and return those of the small picture."""
        factor, width = self._factor, self.width_px
        if self._rest is not None and len(self._rest):
            rows = np.concatenate([self._rest, rows])
        count = min(len(rows) // factor, self.height_px - self._given)
        used = rows[: count * factor, : width * factor]
        self._rest = rows[count * factor :].copy()
        self._given += count
        if not count or not self._mean:
            return used[factor // 2 :: factor, factor // 2 :: factor].copy()
        small = cv2.resize(np.ascontiguousarray(used), (width, count), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)
