"""Colours that tell the size of grains, one class of sizes per colour, the same for all fields of a page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from steelquant.stereology.features import Features
    from steelquant.stereology.measurement import FieldResult

COLOURS = (
    (84, 39, 143),
    (57, 86, 170),
    (33, 130, 168),
    (31, 161, 135),
    (94, 201, 98),
    (190, 223, 38),
    (253, 231, 37),
)
"""From small to large, rising in brightness, so that they stand in order for the colour-blind and in grey."""

CUT_COLOUR = (176, 182, 188)
CUT = len(COLOURS)
"""Class of grains that the frame or an excluded region cuts, whose size is not known."""

_COARSEST_SHARE = 0.01
"""Share of the area that is passed over in choosing the last class: one huge grain takes no colours."""


@dataclass(frozen=True)
class SizeScale:
    """Classes of the equivalent diameter.

    Attributes
    ----------
    unit
        ``"µm"``, or ``"px"`` for fields that are not calibrated.
    edges
        Borders between the classes, each √2 times the one before: classes are one grain size number wide,
        and those of the table of distributions, but for the first and the last, which are open.
    """

    unit: str
    edges: tuple[float, ...]

    def classes_of(self, features: Features, unit_per_px: float) -> NDArray[np.uint8]:
        """Return the class of each grain, `CUT` for those that are cut."""
        sizes = features.equivalent_diameter_px * unit_per_px
        classes = np.searchsorted(np.array(self.edges), sizes, side="right")
        return np.where(features.cut, CUT, classes).astype(np.uint8)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each class, as the legend writes it."""
        texts = [f"{edge:.3g}" for edge in self.edges]
        between = [f"{low}–{high}" for low, high in itertools.pairwise(texts)]
        return (f"< {texts[0]}", *between, f"≥ {texts[-1]}")


def size_scales(fields: Iterable[FieldResult]) -> dict[str, SizeScale]:
    """Return the scale of all calibrated fields and that of all others, by unit, where there are grains."""
    diameters: dict[str, list[NDArray[np.float64]]] = {}
    for field in fields:
        if field.grains is not None and field.grains.features.count:
            unit, per_px = unit_of(field)
            diameters.setdefault(unit, []).append(field.grains.features.equivalent_diameter_px * per_px)
    return {unit: _scale(np.concatenate(parts), unit) for unit, parts in diameters.items()}


def unit_of(field: FieldResult) -> tuple[str, float]:
    """Return the unit in which a field's grains are given, and that unit per pixel."""
    return ("px", 1.0) if field.pixel_size_um is None else ("µm", field.pixel_size_um)


def _scale(diameters: NDArray[np.float64], unit: str) -> SizeScale:
    ranked = np.sort(diameters)
    covered = np.cumsum(ranked**2)
    coarse = ranked[np.searchsorted(covered, (1 - _COARSEST_SHARE) * covered[-1])]
    last = math.floor(2 * math.log2(coarse))
    return SizeScale(unit, tuple(math.sqrt(2) ** k for k in range(last - len(COLOURS) + 2, last + 1)))
