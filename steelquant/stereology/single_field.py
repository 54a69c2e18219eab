"""A 95 % interval for the areal fraction of a single field, from blocks of the field as replicates.

The field is cut into blocks several correlation lengths wide, whose fractions scatter like those of small
fields. What little neighbouring blocks still share is put back by the same correlation length. The
interval says how well one field's fraction stands for the structure around it; it cannot know how
much the specimen differs elsewhere, so several fields remain the better measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from steelquant.micrograph.field import EXCLUDED
from steelquant.stereology.statistics import Estimate, student_t

_CELLS = 192
"""The field is first averaged to cells, about this many along its shorter side: enough to see its blocks."""

_BLOCK_LENGTHS = 3.0
"""Width of a block in correlation lengths. Simulated coverage is 91–98 % (tests/stereology)."""

_MOST_BLOCKS = 64
_FEWEST_BLOCKS = 4


@dataclass(frozen=True)
class FieldInterval:
    """How far one field's areal fraction may lie from that of the structure it shows.

    Attributes
    ----------
    fraction
        Areal fraction of the field.
    ci95
        Half-width of the 95 % interval as a fraction, or None.
    blocks
        Number of blocks.
    correlation_length_x_px, correlation_length_y_px
        Integral of the correlation function along the rows and columns; about the size of a feature.
    reason
        Why there is no interval, or how it came about.
    """

    fraction: float
    ci95: float | None
    blocks: int
    correlation_length_x_px: float | None
    correlation_length_y_px: float | None
    reason: str

    def as_estimate(self) -> Estimate:
        """Return the interval as an estimate from n = 1 field."""
        accuracy = None if self.ci95 is None or self.fraction == 0 else 100 * self.ci95 / self.fraction
        return Estimate(self.fraction, 1, None, self.ci95, accuracy, self.reason)


def field_interval(labels: NDArray[np.uint8], phase: int) -> FieldInterval:
    """Estimate the 95 % interval of a phase's areal fraction from one field.

    Parameters
    ----------
    labels
        ``(height, width)`` mask, 255 excluded, at least one pixel not excluded.
    phase
        Label of the phase.

    Returns
    -------
    FieldInterval
        Without ``ci95`` where the phase is absent or fills the field, or where the field holds fewer
        than four blocks.

    Notes
    -----
    Blocks are at least three integral correlation lengths wide and at most 64. With weights w_i (counted
    pixels) and fractions x_i the variance of the mean is n/(n−1)·Σw_i²(x_i−f)²/(Σw_i)², multiplied
    by what exponentially correlated neighbours would hide, and the interval is t(0.975, n−1) times its
    root. On thresholded Gaussian fields, Boolean models and cells of random phase it covers the true
    fraction in 91–98 % of cases.

    References
    ----------
    Kanit, T. et al. (2003). Int. J. Solids and Structures 40, 3647–3679 (integral range).
    Politis, D. N., Romano, J. P. and Wolf, M. (1999). Subsampling. Springer.
    """
    counted_px = int(np.count_nonzero(labels != EXCLUDED))
    fraction = int(np.count_nonzero(labels == phase)) / counted_px
    if fraction in (0.0, 1.0):
        return FieldInterval(fraction, None, 0, None, None, "one field without variation gives no interval")
    phase_px, known_px, cell = _cells(labels, phase)
    lengths = _correlation_lengths(phase_px, known_px)
    in_pixels = lengths[1] * cell, lengths[0] * cell
    per_side = _blocks_per_side(phase_px.shape, lengths)
    sums = [_block_sums(values, per_side).ravel() for values in (phase_px, known_px)]
    present = sums[1] > 0
    x, w = sums[0][present], sums[1][present]
    n = int(x.size)
    if n < _FEWEST_BLOCKS:
        reason = (
            f"one field, too few features for an interval ({n} independent blocks of 4): measure more fields"
        )
        return FieldInterval(fraction, None, n, *in_pixels, reason)
    mean = x.sum() / w.sum()
    variance = n / (n - 1) * float(((x - mean * w) ** 2).sum()) / float(w.sum()) ** 2
    shared = _shared_variance(phase_px.shape, per_side, lengths)
    variance *= shared * (1 - 1 / n) / (1 - min(shared / n, 0.9))
    ci95 = student_t(n - 1) * math.sqrt(variance)
    return FieldInterval(fraction, ci95, n, *in_pixels, f"one field: interval from {n} blocks of it")


def _cells(labels: NDArray[np.uint8], phase: int) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return pixels of the phase and counted pixels per square cell, and the cell's edge in px."""
    height, width = labels.shape
    cell = max(1, min(height, width) // _CELLS)
    rows, columns = height // cell, width // cell
    top, left = (height - rows * cell) // 2, (width - columns * cell) // 2
    part = labels[top : top + rows * cell, left : left + columns * cell].reshape(rows, cell, columns, cell)
    of_phase = (part == phase).sum(axis=(1, 3), dtype=np.float64)
    known = (part != EXCLUDED).sum(axis=(1, 3), dtype=np.float64)
    return of_phase, known, cell


def _correlation_lengths(phase_px: NDArray[np.float64], known_px: NDArray[np.float64]) -> tuple[float, float]:
    """Return the integral correlation length along columns and rows of cells, in cells, at least 1.

    The integral runs to the first lag without correlation; lags weigh by the pixels that know them.
    """
    deviation = phase_px - phase_px.sum() / known_px.sum() * known_px
    size = [fft.next_fast_len(2 * side) for side in phase_px.shape]
    products, pairs = (
        fft.irfft2(np.abs(fft.rfft2(values, size)) ** 2, size) for values in (deviation, known_px)
    )
    lengths = []
    for axis, side in enumerate(phase_px.shape):
        lags = (slice(0, max(1, side // 2)), 0) if axis == 0 else (0, slice(0, max(1, side // 2)))
        covariance = products[lags] / np.maximum(pairs[lags], 1)
        ratio = covariance / covariance[0] if covariance[0] > 0 else np.ones(1)
        uncorrelated = np.flatnonzero(ratio < 0)
        end = int(uncorrelated[0]) if uncorrelated.size else ratio.size
        lengths.append(max(1.0, float(2 * ratio[:end].sum() - 1)))
    return lengths[0], lengths[1]


def _blocks_per_side(shape: tuple[int, ...], lengths: tuple[float, float]) -> tuple[int, int]:
    smallest = [_BLOCK_LENGTHS * length for length in lengths]
    spare = shape[0] * shape[1] / (_MOST_BLOCKS * smallest[0] * smallest[1])
    widen = max(1.0, math.sqrt(spare))
    rows, columns = (max(1, int(side / (widen * least))) for side, least in zip(shape, smallest, strict=True))
    return rows, columns


def _block_sums(values: NDArray[np.float64], per_side: tuple[int, int]) -> NDArray[np.float64]:
    for axis, count in enumerate(per_side):
        edges = np.round(np.linspace(0, values.shape[axis], count + 1)).astype(np.int64)
        values = np.add.reduceat(values, edges[:-1], axis=axis)
    return values


def _shared_variance(
    shape: tuple[int, ...], per_side: tuple[int, int], lengths: tuple[float, float]
) -> float:
    """Return the variance of the field's mean over that of independent blocks, above 1.

    For a correlation exp(−2h/L) along either axis, whose integral length is L.
    """
    ratio = 1.0
    for side, count, length in zip(shape, per_side, lengths, strict=True):
        ratio *= count * _mean_correlation(side / length) / _mean_correlation(side / count / length)
    return ratio


def _mean_correlation(lengths: float) -> float:
    """Return the mean correlation of two points on a line of so many correlation lengths."""
    return (1 - (1 - math.exp(-2 * lengths)) / (2 * lengths)) / lengths
