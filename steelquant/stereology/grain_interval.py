"""A 95 % interval for the mean intercept or N_A of a single field, from parts of the field as replicates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.intercepts import DIRECTIONS_DEG, LineCount, neighbours
from steelquant.stereology.planimetry import edge_grains
from steelquant.stereology.statistics import student_t

_BLOCK_INTERCEPTS = 2.5
"""Least width of a block in mean intercepts: with 2 the interval of elongated grains is a little too narrow,
with 4 that of others a good deal too wide (tests/stereology/test_grain_interval.py)."""

_MOST_PER_SIDE = 10
_FEWEST_BLOCKS = 4


@dataclass(frozen=True)
class InterceptInterval:
    """How far one field's mean intercept may lie from that of the structure it shows.

    Attributes
    ----------
    relative_ci95
        Half-width of the 95 % interval over the mean intercept, below 1; None where there is none.
    blocks
        Number of blocks, or of sectors of circles, that hold the phase.
    reason
        Why there is no interval, or on what it rests.
    """

    relative_ci95: float | None
    blocks: int
    reason: str


def intercept_interval(
    grains: NDArray[np.integer], *, excluded: NDArray[np.bool_] | None = None
) -> InterceptInterval:
    """Estimate the 95 % interval of the mean intercept along all lines of pixels in four directions.

    Parameters
    ----------
    grains
        ``(height, width)`` grain map, 0 for another phase.
    excluded
        ``(height, width)`` bool, true where nothing counts.

    Returns
    -------
    InterceptInterval

    Notes
    -----
    Each block has the phase's pixels w_i and the interceptions per pixel of line x_i, each direction
    weighing the same; the mean intercept is Σw/Σx, and the relative variance of this ratio of sums
    n/(n−1)·Σ(x_i − w_i·Σx/Σw)²/(Σx)². The interval is t(0.975, n−1) times its root. It tells of the chance
    which grains the field shows, not of boundaries that the etch left out, nor of the rest of the specimen.

    References
    ----------
    Cochran, W. G. (1977). Sampling Techniques, 3rd ed., eq. 2.46.
    """
    return _from_blocks(_interceptions(grains, excluded), _phase(grains, excluded), lambda rate: 1 / rate)


def density_interval(
    grains: NDArray[np.integer], *, excluded: NDArray[np.bool_] | None = None
) -> InterceptInterval:
    """Estimate the 95 % interval of the grains per area (inside + cut/2) in the same way.

    Each pixel holds its grain's share: 1 over the grain's area, half of that where the edge cuts it.

    Parameters
    ----------
    grains, excluded
        As for :func:`intercept_interval`.

    Returns
    -------
    InterceptInterval
        ``relative_ci95`` is that of N_A.
    """
    phase = _phase(grains, excluded)
    areas = np.bincount(grains[phase], minlength=int(grains.max(initial=0)) + 1)
    weights = np.where(edge_grains(grains, excluded), 0.5, 1.0) / np.maximum(areas, 1)
    held = np.where(phase, weights[np.where(phase, grains, 0)], 0)
    return _from_blocks(held, phase, lambda rate: rate**-0.5)


def circles_interval(sectors: Sequence[LineCount]) -> InterceptInterval:
    """Estimate the 95 % interval of the mean intercept along circles from what each of their sectors gave.

    Parameters
    ----------
    sectors
        Of :func:`steelquant.stereology.patterns.abrams`.
    """
    met = np.array([sector.interceptions for sector in sectors])
    inside = np.array([sector.phase_length_um for sector in sectors])
    return _from_parts(met, inside, "sectors of its circles")


def _phase(grains: NDArray[np.integer], excluded: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    phase: NDArray[np.bool_] = grains > 0
    return phase if excluded is None else phase & ~excluded


def _from_blocks(
    met: NDArray[np.floating], phase: NDArray[np.bool_], size_of: Callable[[float], float]
) -> InterceptInterval:
    """Return the interval of Σmet/Σphase; `size_of` makes a grain's size in pixels of that rate."""
    area, count = float(np.count_nonzero(phase)), float(met.sum(dtype=np.float64))
    if count == 0:
        return InterceptInterval(None, 0, "one field without a boundary gives no interval")
    least = _BLOCK_INTERCEPTS * size_of(count / area)
    per_side = [min(_MOST_PER_SIDE, int(side / least)) for side in phase.shape]
    if min(per_side) < 1:
        return InterceptInterval(None, 0, _TOO_FEW.format(0))
    return _from_parts(_block_sums(met, per_side), _block_sums(phase, per_side), "blocks of it")


def _from_parts(x: NDArray[np.float64], w: NDArray[np.float64], parts: str) -> InterceptInterval:
    """Return the interval of Σx/Σw over the parts of a field that hold the phase."""
    x, w = x[w > 0], w[w > 0]
    n = int(w.size)
    if n < _FEWEST_BLOCKS or not x.sum() > 0:
        return InterceptInterval(None, n, _TOO_FEW.format(n))
    residual = x - w * (x.sum() / w.sum())
    relative = student_t(n - 1) * math.sqrt(n / (n - 1) * float((residual**2).sum())) / float(x.sum())
    if relative >= 1:
        return InterceptInterval(None, n, _TOO_FEW.format(n))
    return InterceptInterval(relative, n, f"one field: interval from {n} {parts}")


def with_boundaries(
    interval: InterceptInterval, number_uncertainty: float | None, power: int = 1
) -> InterceptInterval:
    """Widen an interval by what boundaries missed or mistaken may add to it.

    Parameters
    ----------
    interval
        For the chance which grains the field shows.
    number_uncertainty
        Half-width of the 95 % interval of the grain size number for the boundaries; None adds nothing.
    power
        1 for an intercept, 2 for N_A, which changes twice as much with the number.

    Notes
    -----
    G falls by 2 when the intercept doubles, so that an uncertainty u of G is one of u·ln2/2 of the
    intercept; the two are independent, and their squares add.
    """
    if interval.relative_ci95 is None or number_uncertainty is None:
        return interval
    both = math.hypot(interval.relative_ci95, power * number_uncertainty * math.log(2) / 2)
    if both >= 1:
        return replace(interval, relative_ci95=None, reason="one field, boundaries too faint for an interval")
    return replace(interval, relative_ci95=both, reason=f"{interval.reason}, and from its boundaries")


_TOO_FEW = "one field, too few grains for an interval ({} parts of it say anything): measure more fields"


def _interceptions(grains: NDArray[np.integer], excluded: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Return the interceptions per pixel of line at each pixel, half of each end of an intercept."""
    met = np.zeros(grains.shape, np.float32)
    for angle in DIRECTIONS_DEG:
        first, second = neighbours(grains, angle)
        crossing = first != second
        if excluded is not None:
            before, after = neighbours(excluded, angle)
            crossing &= ~(before | after)
        weight = np.float32(0.5 / len(DIRECTIONS_DEG) / (math.sqrt(2) if angle in (45, 135) else 1.0))
        for side, target in zip((first, second), neighbours(met, angle), strict=True):
            target[crossing & (side > 0)] += weight
    return met


def _block_sums(values: NDArray[np.generic], per_side: list[int]) -> NDArray[np.float64]:
    sums = values
    for axis, count in enumerate(per_side):
        edges = np.round(np.linspace(0, values.shape[axis], count + 1)).astype(np.int64)
        sums = np.add.reduceat(sums, edges[:-1], axis=axis, dtype=np.float64)
    return np.asarray(sums, np.float64).ravel()
