"""Pixels that must not count: info bars, burnt-in scale bars, resin."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.decoding import decode
from steelquant.micrograph.files import reason
from steelquant.micrograph.naming import MASK_MARK
from steelquant.micrograph.picture import Picture

Rectangle = tuple[int, int, int, int]
"""Left edge x, top edge y, width and height in pixels from the field's upper left corner."""


def parse_rectangle(text: str) -> Rectangle:
    """Read a rectangle written as ``x,y,w,h`` in pixels.

    Raises
    ------
    UsageError
        It is not four whole numbers, x or y is negative, or w or h is not positive.
    """
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is no rectangle; write four whole numbers x,y,w,h in pixels") from None
    _check_rectangle((x, y, width, height))
    return x, y, width, height


@dataclass(frozen=True)
class Exclusion:
    """What to leave out of every field of a run.

    Attributes
    ----------
    crop_bottom_px
        Height of a strip along the bottom edge, such as an info bar.
    mask
        A picture of the field's size; its non-zero (not black) pixels are excluded.
    rectangles
        ``(x, y, width, height)`` in pixels from the upper left corner; what reaches beyond the edge of
        the field is ignored.
    """

    crop_bottom_px: int = 0
    mask: Path | None = None
    rectangles: tuple[Rectangle, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no field could satisfy.

        Raises
        ------
        UsageError
            A negative strip or an impossible rectangle.
        """
        if self.crop_bottom_px < 0:
            raise UsageError(f"cannot crop {self.crop_bottom_px} px from the bottom; give 0 or more")
        for rectangle in self.rectangles:
            _check_rectangle(rectangle)

    def apply(self, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Mark the excluded pixels of a field.

        Parameters
        ----------
        shape
            ``(height, width, ...)`` of the field in pixels.

        Returns
        -------
        ndarray of bool, ``(height, width)``, or None
            True where a pixel must not count; None where nothing is excluded.

        Raises
        ------
        UsageError
            Nothing of the field would be left, or a rectangle lies wholly outside.
        FileError
            The exclusion mask cannot be read or has another size than the field.
        """
        height, width = shape[:2]
        if not (self.crop_bottom_px or self.mask or self.rectangles):
            return None
        self.check_fit(height, width)
        excluded = self.drawn(height, width, 0, height)
        if self.mask is not None:
            marked = marked_pixels(self.mask)
            self.check_mask_size(height, width, *marked.shape)
            excluded |= marked
        if excluded.all():
            raise UsageError("the exclusion leaves nothing of the field")
        return excluded

    def check_fit(self, height_px: int, width_px: int) -> None:
        """Refuse strips and rectangles that do not fit a field.

        Raises
        ------
        UsageError
            The strip takes all of it, or a rectangle lies wholly outside.
        """
        if self.crop_bottom_px >= height_px:
            raise UsageError(
                f"cropping {self.crop_bottom_px} px from the bottom leaves nothing of {height_px} px"
            )
        for x, y, w, h in self.rectangles:
            if x >= width_px or y >= height_px:
                raise UsageError(
                    f"the excluded rectangle {x},{y},{w},{h} lies outside the field of "
                    f"{width_px}x{height_px} px"
                )

    def check_mask_size(self, height_px: int, width_px: int, mask_height_px: int, mask_width_px: int) -> None:
        """Refuse an exclusion mask of another size than the field.

        Raises
        ------
        FileError
            The sizes differ.
        """
        assert self.mask is not None
        if (mask_height_px, mask_width_px) != (height_px, width_px):
            raise FileError(
                self.mask,
                f"this exclusion mask is {mask_width_px}x{mask_height_px} px but the field "
                f"{width_px}x{height_px} px; they must be equal",
            )

    def drawn(self, height_px: int, width_px: int, first: int, end: int) -> NDArray[np.bool_]:
        """Mark what strip and rectangles exclude of a field's rows from ``first`` to before ``end``."""
        excluded = np.zeros((end - first, width_px), np.bool_)
        excluded[max(height_px - self.crop_bottom_px - first, 0) :] = True
        for x, y, w, h in self.rectangles:
            excluded[max(y - first, 0) : max(y + h - first, 0), x : x + w] = True
        return excluded


def _check_rectangle(rectangle: Rectangle) -> None:
    """Refuse a rectangle without area or with a negative corner."""
    x, y, width, height = rectangle
    if x < 0 or y < 0 or width <= 0 or height <= 0:
        raise UsageError(
            f"{x},{y},{width},{height} is no rectangle x,y,w,h with x, y at least 0 and w, h at least 1"
        )


def marked_pixels(path: Path) -> NDArray[np.bool_]:
    """Read the exclusion mask; a run of many fields reads it once, and again only when it changes."""
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(path, f"cannot be read: {reason(error)}") from error
    return _read_marked_pixels(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=2)
def _read_marked_pixels(path: Path, _modified_ns: int, _size: int) -> NDArray[np.bool_]:
    marked = mark_pixels(decode(path), path)
    marked.setflags(write=False)
    return marked


def mark_pixels(picture: Picture, path: Path) -> NDArray[np.bool_]:
    """Mark the pixels of an exclusion mask, or of some of its rows, that are not black.

    Raises
    ------
    FileError
        It is a phase mask.
    """
    if MASK_MARK in picture.description:
        raise FileError(path, "is a phase mask of steelquant, not an exclusion mask")
    samples = picture.samples
    if picture.palette is not None:
        samples = picture.palette[samples.astype(np.uint16)]
    marked = np.asarray(samples != 0, np.bool_)
    if marked.ndim == 3:
        marked = np.any(marked, axis=2)
    return marked
