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

from steelquant.learning.grain_boundaries.fields import known_fields, plain_threshold
from steelquant.stereology.boundaries import search_boundaries, settled
from steelquant.stereology.boundary_verdict import FAMILIAR, NAMES, USUAL, USUAL_FALL, Signs
from steelquant.stereology.intercepts import heyn

Numbers = NDArray[np.float64]
_RIDGE = 2.0
"""Weight of the coefficients' squares: as if so many fields of one standard deviation had said 0."""
_HUBER = 0.4
_MOST_SQUARE = 16.0


@dataclass(frozen=True)
class Lesson:
    """One field: its signs, and by how much the true number is above that at the usual threshold."""

    signs: Signs
    above: float


def lessons(start: int, each: int) -> list[Lesson]:
    """Return what fields of all sizes and contrasts teach, every third with the mask of a threshold too."""
    found = []
    for seed, _, _, field in known_fields(start, each):
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
    search = search_boundaries(pixels, ferrite)
    if search is None:
        return None
    usual = heyn(settled(search.levels[USUAL], ferrite), 1.0).mean_intercept_um
    true = heyn(grains, 1.0).mean_intercept_um
    if usual is None or true is None:
        return None
    return Lesson(search.signs(), 2 * math.log2(usual / true))


@dataclass(frozen=True)
class Fit:
    """Coefficients as :mod:`steelquant.stereology.boundary_verdict` holds them."""

    mean: Numbers
    deviation: Numbers
    number: Numbers
    ln_deviation: Numbers


def fit(taught: list[Lesson]) -> Fit:
    """Fit the number and its deviation.

    The number is a ridge regression in which fields far off weigh less (Huber); the logarithm of the
    deviation maximises the likelihood of what each field is off by when it is left out of the fit.
    """
    x = np.array([lesson.signs.values() for lesson in taught])
    y = np.clip([lesson.above for lesson in taught], -2.5, 2.5)
    fall = np.array([lesson.signs.fall for lesson in taught])
    mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    near = np.column_stack((np.ones(len(x)), np.clip((x - mean) / deviation, -FAMILIAR, FAMILIAR)))
    number, off = _ridge(near * fall[:, None], y)
    chosen = [1 + NAMES.index(name) for name in ("ln probability", "convexity")]
    told = np.column_stack((np.ones(len(x)), np.log(fall / USUAL_FALL), near[:, chosen]))
    return Fit(mean, deviation, number, _log_deviation(told, off))


def _ridge(z: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
    """Return the coefficients and what each row is off by without itself."""
    penalty = _RIDGE * np.eye(z.shape[1])
    penalty[0, 0] = 0
    weight = np.ones(len(y))
    for _ in range(30):
        inverse = np.linalg.inv(z.T @ (weight[:, None] * z) + penalty)
        coefficients = inverse @ (z.T @ (weight * y))
        off = np.abs(y - z @ coefficients)
        weight = np.minimum(1, _HUBER / np.maximum(off, 1e-9))
    leverage = weight * np.einsum("ij,jk,ik->i", z, inverse, z)
    return coefficients, (y - z @ coefficients) / (1 - leverage)


def _log_deviation(told: Numbers, off: Numbers) -> Numbers:
    """Maximise Σ −ln σ − ½(off/σ)² less a ridge, ln σ being linear in what is told."""
    coefficients = np.zeros(told.shape[1])
    coefficients[0] = math.log(float(np.std(off)))
    penalty = np.full(told.shape[1], 2.0)
    penalty[0] = 0
    for _ in range(100):
        squares = np.minimum((off / np.exp(told @ coefficients)) ** 2, _MOST_SQUARE)
        gradient = told.T @ (squares - 1) - penalty * coefficients
        coefficients += np.linalg.solve(2 * told.T @ told + np.diag(penalty), gradient)
    return coefficients


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=int, nargs="+", default=[3000, 3045])
    parser.add_argument("--each", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    taught = [lesson for start in arguments.start for lesson in lessons(start, arguments.each)]
    print(f"{len(taught)} fields and masks")
    show(fit(taught))


def show(found: Fit) -> None:
    """Print as source."""
    print("_FIT = (")
    for row in zip(found.mean, found.deviation, found.number[1:], strict=True):
        print("    (" + ", ".join(f"{value:.3f}" for value in row) + "),")
    print(f")\n_ABOVE = {found.number[0]:.3f}")
    told = ", ".join(f"{value:.3f}" for value in found.ln_deviation)
    print(f"_LN_DEVIATION, _BY_LN_FALL, _BY_PROBABILITY, _BY_CONVEXITY = {told}")


if __name__ == "__main__":
    main()
