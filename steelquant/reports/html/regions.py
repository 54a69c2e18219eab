"""What lies under the pointer: a reduced picture of feature numbers, and each feature's size.

The page finds a feature or grain by the number in the picture at the pointer and reads its size from a list,
so that it tells the same sizes as the tables, however much the picture is reduced.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED, Mask

if TYPE_CHECKING:
    from steelquant.stereology.features import Features

_AS_ABOVE, _AS_LEFT, _OWN = 0, 1, 2
"""How a pixel's number is told: it is that of the pixel above, or to the left, or stands in a list."""

_PIXELS_PER_BYTE = 4
_CUT = 1 << 31
"""Added to the area of a feature that the frame or an excluded region cuts."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Features or grains of one kind in a field.

    Attributes
    ----------
    name
        What one of them is called: ``"pearlite"``, ``"ferrite grain"``.
    label_image
        ``(height, width)`` integers of the field's size: positive ones name regions.
    features
        Their sizes by label; labels that are missing here are not shown.
    size_classes
        ``(n,)`` class of each one's size (`SizeScale.classes_of` in ``grain_colours``) for what gets pictures
        of its boundaries and sizes, as grains do; None for what the mask shows.
    """

    name: str
    label_image: NDArray[np.int32]
    features: Features
    size_classes: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class EncodedRegions:
    """Regions as the page reads them.

    Attributes
    ----------
    steps
        Base64 of zlib of two bits per pixel of the reduced picture, lowest first: 0 for the number of the
        pixel above, 1 for that of the pixel to the left, 2 for the next one in `numbers`; beyond the
        picture's edges all numbers are 0.
    numbers
        Base64 of zlib of 32-bit little-endian integers.
    sizes
        Base64 of zlib of 32-bit little-endian integers: the areas in px of all regions, of which the highest
        bit marks a region that is cut; then their names, which are numbers; then their aspect ratios (Feret
        max over Feret min) in hundredths.
    kinds
        Name, first number and count of each kind in turn. Kinds without sizes have a count of 0.
    """

    steps: str
    numbers: str
    sizes: str
    kinds: tuple[tuple[str, int, int], ...]

    @property
    def size_bytes(self) -> int:
        """Room that they take in the page."""
        return len(self.steps) + len(self.numbers) + len(self.sizes)


def encode_regions(
    regions: Sequence[Regions],
    labels: NDArray[np.uint8],
    mask: Mask,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> EncodedRegions:
    """Encode regions for the page.

    Parameters
    ----------
    regions
        In full size; where two overlap, the later one is shown.
    labels
        ``(n, m)`` reduced mask.
    mask
        The mask in full size.
    rows, columns
        ``(n,)`` and ``(m,)`` pixels of the full size that the reduced pictures show.
    """
    kinds: list[tuple[str, int, int]] = [("excluded", 1, 0)]
    numbers = np.where(labels == EXCLUDED, np.int32(1), np.int32(0))
    for phase in mask.classes:
        kinds.append((phase.name, len(kinds) + 1, 0))
        numbers[labels == phase.label] = len(kinds)
    first = len(kinds) + 1
    areas, names, aspects = [], [], []
    for item in regions:
        found = item.features
        number_of = np.zeros(int(item.label_image.max(initial=0)) + 1, dtype=np.int32)
        number_of[found.label] = np.arange(first, first + found.count)
        shown = number_of[np.maximum(item.label_image[np.ix_(rows, columns)], 0)]
        numbers[shown > 0] = shown[shown > 0]
        areas.append(found.area_px + np.where(found.cut, _CUT, 0))
        names.append(found.label)
        aspects.append(np.round(100 * found.aspect_ratio).astype(np.int64))
        kinds.append((item.name, first, found.count))
        first += found.count
    steps, own = _steps(numbers)
    return EncodedRegions(
        _pack(steps), _pack(own), _pack(np.concatenate([*areas, *names, *aspects])), tuple(kinds)
    )


def _steps(numbers: NDArray[np.int32]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return two bits per pixel, and the numbers that they do not tell."""
    above, left = np.zeros_like(numbers), np.zeros_like(numbers)
    above[1:], left[:, 1:] = numbers[:-1], numbers[:, :-1]
    step = np.where(numbers == above, _AS_ABOVE, np.where(numbers == left, _AS_LEFT, _OWN)).astype(np.uint8)
    fours = np.append(step.ravel(), np.zeros(-step.size % _PIXELS_PER_BYTE, dtype=np.uint8))
    fours = fours.reshape(-1, _PIXELS_PER_BYTE) << np.arange(0, 8, 2, dtype=np.uint8)
    return np.bitwise_or.reduce(fours, axis=1), numbers[step == _OWN]


def _pack(content: NDArray[Any]) -> str:
    plain = content if content.dtype == np.uint8 else content.astype("<u4")
    return base64.b64encode(zlib.compress(plain.tobytes(), 6)).decode("ascii")
