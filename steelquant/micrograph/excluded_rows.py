"""What must not count of a very large field, from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.exclusion import Exclusion, mark_pixels, marked_pixels
from steelquant.micrograph.mosaic import read_in_bands, size_in_bands


class ExcludedRows:
    """An exclusion applied to a field row by row; its mask too is read in bands, if it is a TIFF.

    Parameters
    ----------
    exclusion
        What to leave out.
    height_px, width_px
        The field's size.

    Raises
    ------
    UsageError
        The exclusion does not fit a field of this size.
    FileError
        Its mask cannot be read or has another size.
    """

    def __init__(self, exclusion: Exclusion, height_px: int, width_px: int) -> None:
        exclusion.check_fit(height_px, width_px)
        self._exclusion = exclusion
        self._height_px, self._width_px = height_px, width_px
        self._waiting = np.empty((0, width_px), np.bool_)
        self._bands: Iterator[NDArray[np.bool_]] = iter(())
        if exclusion.mask is not None:
            size, self._bands = _read_mask(exclusion.mask)
            exclusion.check_mask_size(height_px, width_px, *size)

    def read(self, first: int, end: int) -> NDArray[np.bool_]:
        """Mark the pixels of the rows from ``first`` to before ``end``, ``(rows, width)``.

        The rows must follow those of the call before.

        Raises
        ------
        FileError
            The mask is damaged or is none.
        """
        excluded = self._exclusion.drawn(self._height_px, self._width_px, first, end)
        if self._exclusion.mask is not None:
            bands = [self._waiting]
            rows = len(self._waiting)
            while rows < end - first:
                bands.append(next(self._bands))
                rows += len(bands[-1])
            marked = np.concatenate(bands) if len(bands) > 1 else bands[0]
            excluded |= marked[: end - first]
            self._waiting = marked[end - first :]
        return excluded


def _read_mask(path: Path) -> tuple[tuple[int, int], Iterator[NDArray[np.bool_]]]:
    """Return height and width of an exclusion mask and its marked pixels, in bands if that can be."""
    size = size_in_bands(path)
    if size is not None:
        return size, (mark_pixels(picture, path) for picture in read_in_bands(path))
    marked = marked_pixels(path)
    return (marked.shape[0], marked.shape[1]), iter([marked])
