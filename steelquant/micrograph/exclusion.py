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
        excluded = np.zeros((height, width), np.bool_)
        if self.crop_bottom_px >= height:
            raise UsageError(
                f"cropping {self.crop_bottom_px} px from the bottom leaves nothing of {height} px"
            )
        excluded[height - self.crop_bottom_px :] = True
        for x, y, w, h in self.rectangles:
            if x >= width or y >= height:
                raise UsageError(
                    f"the excluded rectangle {x},{y},{w},{h} lies outside the field of {width}x{height} px"
                )
            excluded[y : y + h, x : x + w] = True
        if self.mask is not None:
            marked = _marked_pixels(self.mask)
            if marked.shape != (height, width):
                raise FileError(
                    self.mask,
                    f"this exclusion mask is {marked.shape[1]}x{marked.shape[0]} px but the field "
                    f"{width}x{height} px; they must be equal",
                )
            excluded |= marked
        if excluded.all():
            raise UsageError("the exclusion leaves nothing of the field")
        return excluded


def _check_rectangle(rectangle: Rectangle) -> None:
    """Refuse a rectangle without area or with a negative corner."""
    x, y, width, height = rectangle
    if x < 0 or y < 0 or width <= 0 or height <= 0:
        raise UsageError(
            f"{x},{y},{width},{height} is no rectangle x,y,w,h with x, y at least 0 and w, h at least 1"
        )


def _marked_pixels(path: Path) -> NDArray[np.bool_]:
    """Read the exclusion mask; a run of many fields reads it once, and again only when it changes."""
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(path, f"cannot be read: {reason(error)}") from error
    return _read_marked_pixels(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=2)
def _read_marked_pixels(path: Path, _modified_ns: int, _size: int) -> NDArray[np.bool_]:
    picture = decode(path)
    if MASK_MARK in picture.description:
        raise FileError(path, "is a phase mask of steelquant, not an exclusion mask")
    samples = picture.samples
    if picture.palette is not None:
        samples = picture.palette[samples.astype(np.uint16)]
    marked = np.asarray(samples != 0, np.bool_)
    if marked.ndim == 3:
        marked = np.any(marked, axis=2)
    marked.setflags(write=False)
    return marked
