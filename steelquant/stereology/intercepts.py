"""Lineal intercepts along every row, column and diagonal of a field, and what follows from them.

A line of pixels crosses from one label to the next between two neighbouring pixels, and each end of an
intercept is one such crossing. A label therefore gains half an interception at every crossing that it
borders on, and a piece cut off by the line's end counts half, which is the rule of ASTM E112 §13 and
E562 alike. All lines together make one whole-image comparison per direction: exact, without runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.grain_size import need_positive, number_from_intercept

T = TypeVar("T", bound=np.generic)

DIRECTIONS_DEG = (0, 45, 90, 135)
"""Lines of pixels in these directions cross a digital boundary as often as a line crosses the true one."""


@dataclass(frozen=True)
class LineCount:
    """What the lines of one direction met.

    Attributes
    ----------
    angle_deg
        Direction of the lines, counter-clockwise from the horizontal as one sees the picture.
    length_um
        Length of all lines on counted pixels.
    phase_length_um
        The part of it inside the labels that are counted (> 0).
    interceptions
        Labels intercepted, N: whole ones 1, those cut off by a line's end ½.
    """

    angle_deg: float
    length_um: float
    phase_length_um: float
    interceptions: float

    @property
    def per_mm(self) -> float | None:
        """N_L, interceptions per mm of test line; None without a line."""
        return 1e3 * self.interceptions / self.length_um if self.length_um > 0 else None

    @property
    def mean_intercept_um(self) -> float | None:
        """Mean intercept, length inside over interceptions; None without an interception."""
        return self.phase_length_um / self.interceptions if self.interceptions > 0 else None


def count_lines(
    labels: NDArray[np.integer] | NDArray[np.bool_],
    pixel_size_um: float,
    angle_deg: int,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> LineCount:
    """Count interceptions along every line of pixels in one direction.

    Parameters
    ----------
    labels
        ``(height, width)``: a phase's mask (bool) for its features, or a grain map for its grains,
        0 being whatever is not to be counted.
    pixel_size_um
        Edge of a pixel in µm.
    angle_deg
        0, 45, 90 or 135, counter-clockwise from the horizontal as one sees the picture.
    excluded
        ``(height, width)`` bool: lines end at these pixels as they do at the frame.

    Returns
    -------
    LineCount

    Raises
    ------
    ValueError
        For another angle, or a pixel size that is not greater than 0.

    Examples
    --------
    >>> line = np.array([[1, 1, 0, 0, 1, 0, 0, 1]], dtype=bool)
    >>> count_lines(line, 1.0, 0).interceptions
    2.0
    """
    need_positive(pixel_size_um, "the pixel size")
    first, second = neighbours(labels, angle_deg)
    crossing = first != second
    step_um = pixel_size_um * (math.sqrt(2) if angle_deg in (45, 135) else 1.0)
    counted = labels.size
    inside = labels > 0
    if excluded is not None and excluded.any():
        before, after = neighbours(excluded, angle_deg)
        crossing &= ~(before | after)
        inside = inside & ~excluded
        counted -= int(np.count_nonzero(excluded))
    before, after = neighbours(labels > 0, angle_deg)
    ends = np.count_nonzero(crossing & before) + np.count_nonzero(crossing & after)
    return LineCount(
        angle_deg=float(angle_deg),
        length_um=counted * step_um,
        phase_length_um=int(np.count_nonzero(inside)) * step_um,
        interceptions=int(ends) / 2,
    )


@dataclass(frozen=True)
class Intercepts:
    """Grains intercepted by lines in several directions, or by a set of test lines.

    Attributes
    ----------
    method
        Standard and rule, in words for the report.
    phase_fraction
        V_V of the phase whose grains were counted: 1 for a single-phase field.
    interceptions
        Grains intercepted in all.
    per_mm
        N_L, grains intercepted per mm of test line: the mean over the directions.
    directions
        What each direction gave; empty for circles, which have none.
    sectors
        What the arcs in each sector of the circles gave; empty for straight lines.
    """

    method: str
    phase_fraction: float
    interceptions: float
    per_mm: float
    directions: tuple[LineCount, ...] = ()
    sectors: tuple[LineCount, ...] = ()

    @property
    def mean_intercept_um(self) -> float | None:
        """Matrix intercept V_V/N_L (ASTM E112 §17); None without an interception."""
        return 1e3 * self.phase_fraction / self.per_mm if self.per_mm > 0 else None

    @property
    def number(self) -> float | None:
        """ASTM grain size number G; None without an interception."""
        mean = self.mean_intercept_um
        return None if mean is None else number_from_intercept(mean)


def heyn(
    grains: NDArray[np.integer],
    pixel_size_um: float,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> Intercepts:
    """Measure the mean lineal intercept of the grains along all lines in four directions.

    Parameters
    ----------
    grains
        ``(height, width)`` grain map; 0 (another phase) ends a grain's intercept and is left out of
        its length: l̄ = V_V/N_L, the matrix intercept of ASTM E112 §17.
    pixel_size_um
        Edge of a pixel in µm.
    excluded
        ``(height, width)`` bool, true where nothing counts.

    Returns
    -------
    Intercepts
        The four directions weigh the same, so that turning the field by 90° or mirroring it changes
        nothing.
    """
    counts = [count_lines(grains, pixel_size_um, angle, excluded=excluded) for angle in DIRECTIONS_DEG]
    return combine_directions(counts, "ASTM E112, Heyn lines at 0, 45, 90 and 135°, every line of pixels")


def combine_directions(counts: Sequence[LineCount], method: str) -> Intercepts:
    """Join the counts of several directions, each weighing the same."""
    length = sum(count.length_um for count in counts)
    inside = sum(count.phase_length_um for count in counts)
    rates = [count.per_mm for count in counts if count.per_mm is not None]
    return Intercepts(
        method=method,
        phase_fraction=inside / length if length else 0.0,
        interceptions=sum(count.interceptions for count in counts),
        per_mm=math.fsum(rates) / len(rates) if rates else 0.0,
        directions=tuple(counts),
    )


def chord_lengths_um(
    labels: NDArray[np.integer] | NDArray[np.bool_],
    pixel_size_um: float,
    angle_deg: int,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the length of every whole intercept along the lines of pixels in one direction.

    Intercepts cut off by the frame or an excluded pixel are left out, and with them more long ones
    than short ones: use these for the distribution, and :func:`count_lines` for the mean.

    Parameters
    ----------
    labels, pixel_size_um, angle_deg, excluded
        As for :func:`count_lines`.

    Returns
    -------
    ndarray
        ``(n,)`` lengths in µm, line by line.
    """
    values = labels.astype(np.int32)
    if excluded is not None:
        values[excluded] = -1
    lines = _lines(values, angle_deg)
    padded = np.full((lines.shape[0], lines.shape[1] + 2), -1, dtype=np.int32)
    padded[:, 1:-1] = lines
    flat = padded.ravel()
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    run = flat[starts]
    whole = np.zeros(run.size, dtype=bool)
    whole[1:-1] = (run[1:-1] > 0) & (run[:-2] >= 0) & (run[2:] >= 0)
    lengths = np.diff(starts, append=flat.size)[whole]
    return lengths * (pixel_size_um * (math.sqrt(2) if angle_deg in (45, 135) else 1.0))


@dataclass(frozen=True)
class LinealDensity:
    """Interceptions per length over several lines, with the standard error of the ratio."""

    per_mm: float
    standard_error_per_mm: float | None
    mean_intercept_um: float | None


def lineal_density(counts: Sequence[float], lengths_um: Sequence[float]) -> LinealDensity:
    """Pool lines of unequal length: ΣP/ΣL, with the error of a ratio of sums.

    Parameters
    ----------
    counts
        Interceptions of each line.
    lengths_um
        Length of each line in µm.

    Returns
    -------
    LinealDensity
        ``standard_error_per_mm`` is √(n/(n−1)·Σ(P−L·ΣP/ΣL)²)/ΣL, None for a single line.

    References
    ----------
    Cochran, W. G. (1977). Sampling Techniques, 3rd ed., eq. 2.46.
    """
    p, length = np.asarray(counts, dtype=float), np.asarray(lengths_um, dtype=float)
    if p.shape != length.shape or p.size == 0 or not (length > 0).all():
        raise ValueError("need one count and one length above 0 per line")
    rate = float(p.sum() / length.sum())
    error = None
    if p.size > 1:
        residual = float(((p - rate * length) ** 2).sum())
        error = 1e3 * math.sqrt(residual * p.size / (p.size - 1)) / float(length.sum())
    return LinealDensity(1e3 * rate, error, 1 / rate if rate > 0 else None)


def neighbours(image: NDArray[T], angle_deg: int) -> tuple[NDArray[T], NDArray[T]]:
    """Return views of all pixels that have a next one along a direction, and of these next ones."""
    if angle_deg == 0:
        return image[:, :-1], image[:, 1:]
    if angle_deg == 90:
        return image[1:], image[:-1]
    if angle_deg == 45:
        return image[1:, :-1], image[:-1, 1:]
    if angle_deg == 135:
        return image[1:, 1:], image[:-1, :-1]
    raise ValueError(f"lines of pixels run at 0, 45, 90 or 135°, not at {angle_deg}°")


def _lines(image: NDArray[np.int32], angle_deg: int) -> NDArray[np.int32]:
    """Return an image whose rows are the lines, diagonals filled up with −1."""
    if angle_deg == 0:
        return image
    if angle_deg == 90:
        return image.T
    if angle_deg == 135:
        image = image[:, ::-1]
    elif angle_deg != 45:
        raise ValueError(f"lines of pixels run at 0, 45, 90 or 135°, not at {angle_deg}°")
    height, width = image.shape
    # Rows one longer than the stride they are read back with move one further right each:
    # the anti-diagonals become columns.
    wide = np.full((height, height + width), -1, dtype=np.int32)
    wide[:, :width] = image
    skewed = wide.ravel()[: height * (height + width - 1)].reshape(height, height + width - 1)
    return skewed.T
