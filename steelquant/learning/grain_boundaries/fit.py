"""Fit what a field's boundaries tell of G: ``python -m steelquant.learning.grain_boundaries.fit``.

Prints the coefficients of :mod:`steelquant.stereology.boundary_verdict`, from fields that the network has
not seen.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.grain_boundaries.fields import ETCHES, known_fields, plain_threshold
from steelquant.stereology.boundaries import find_grains
from steelquant.stereology.boundary_verdict import Signs, scaled
from steelquant.stereology.intercepts import heyn

Numbers = NDArray[np.float64]
_RIDGE = 2.0
"""Weight of the slopes' squares: as if so many fields of one standard deviation had said 0."""
_MOST_OFF = 1.5
"""A field that is further off teaches no more: such a one has no number at all."""
_MOST_SQUARE = 16.0
_SEEDS_APART = 500
"""Between the fields of one etch and those of the next."""


@dataclass(frozen=True)
class Lesson:
    """One field: its signs, and by how much the number that was found is off."""

    signs: Signs
    off: float


def lessons(start: int, each: int, etch: str) -> list[Lesson]:
    """Return what fields of all sizes and contrasts teach, every third with the mask of a threshold too."""
    found = []
    for seed, _, _, field in known_fields(start, each, etch):
        masks = [field.labels == 0]
        if seed % 3 == 0 and (field.labels == 1).any():
            masks.append(plain_threshold(field.pixels))
        for ferrite in masks:
            if (lesson := lesson_of(field.pixels, ferrite, field.grains)) is not None:
                found.append(lesson)
    return found


def lesson_of(
    pixels: NDArray[np.uint8], ferrite: NDArray[np.bool_], grains: NDArray[np.int32]
) -> Lesson | None:
    """Compare a field's grains with the true ones; None where it shows or has none."""
    found = find_grains(pixels, ferrite)
    lengths = [heyn(labels, 1.0).mean_intercept_um for labels in (grains, found.grains)]
    if found.probability is None or lengths[0] is None or lengths[1] is None:
        return None
    signs = Signs(found.sensitivity, found.probability, found.convexity)
    return Lesson(signs, 2 * math.log2(lengths[0] / lengths[1]))


@dataclass(frozen=True)
class Fit:
    """Coefficients as :mod:`steelquant.stereology.boundary_verdict` holds them."""

    mean: Numbers
    deviation: Numbers
    slope: Numbers
    ln_deviation: float


def fit(taught: list[Lesson]) -> Fit:
    """Fit ln σ, linear in the signs: the likelihood Σ −ln σ − ½(off/σ)² less a ridge is at its greatest."""
    x = np.array([lesson.signs.values() for lesson in taught])
    off = np.clip([lesson.off for lesson in taught], -_MOST_OFF, _MOST_OFF)
    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    told = np.column_stack((np.ones(len(x)), scaled(x, mean, deviation)))
    coefficients = np.zeros(told.shape[1])
    coefficients[0] = math.log(float(np.std(off)))
    penalty = np.full(told.shape[1], _RIDGE)
    penalty[0] = 0
    for _ in range(100):
        squares = np.minimum((off / np.exp(told @ coefficients)) ** 2, _MOST_SQUARE)
        gradient = told.T @ (squares - 1) - penalty * coefficients
        coefficients += np.linalg.solve(2 * told.T @ told + np.diag(penalty), gradient)
    return Fit(mean, deviation, coefficients[1:], float(coefficients[0]))


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=int, default=3000)
    parser.add_argument("--each", type=int, default=6)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    taught = [
        lesson
        for number, etch in enumerate(ETCHES)
        for lesson in lessons(arguments.start + number * _SEEDS_APART, arguments.each, etch)
    ]
    print(f"{len(taught)} fields and masks")
    show(fit(taught))


def show(found: Fit) -> None:
    """Print as source."""
    print("_FIT = (")
    for row in zip(found.mean, found.deviation, found.slope, strict=True):
        print("    (" + ", ".join(f"{value:.3f}" for value in row) + "),")
    print(f")\n_LN_DEVIATION = {found.ln_deviation:.3f}")


if __name__ == "__main__":
    main()
