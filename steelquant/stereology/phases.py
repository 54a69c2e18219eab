"""How much of a phase there is in a field and how finely it is spread, after ASTM E562 and E1245.

All counts and lengths are in pixels; excluded pixels (255) count nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED
from steelquant.stereology.features import Features

GRID_POINTS_PER_SIDE = 10
"""Points of the E562 grid along the shorter side of a field; the grid is square and fills the longer one."""

THRESHOLDS = (0.4, 0.5, 0.6)
"""Probabilities at which the sensitivity of the pearlite fraction is told."""

EDGE_RULE = (
    "Features cut by the frame or by an excluded region count ½ in N_A; runs cut there count ½ in N_L; "
    "both phases' areal fractions use every counted pixel."
)


@dataclass(frozen=True)
class PointCount:
    """An E562 point count: ``hits`` (a point on a boundary counts ½) of ``points`` grid points."""

    hits: float
    points: int

    @property
    def fraction(self) -> float | None:
        """P_P as a fraction, or None where no point counts."""
        return self.hits / self.points if self.points else None


@dataclass(frozen=True)
class PhaseMeasures:
    """One phase of one field, in pixels.

    Attributes
    ----------
    area_px, counted_px
        Pixels of the phase, and all pixels that count.
    point_count
        The E562 count beside it.
    feature_count, cut_count
        Features measured, and how many of them the frame or an excluded region cuts.
    interceptions
        Features met by the test lines, a line that ends in a feature counting ½.
    test_line_px
        Total length of the test lines: every row and every column of counted pixels.
    """

    area_px: int
    counted_px: int
    point_count: PointCount
    feature_count: int
    cut_count: int
    interceptions: float
    test_line_px: int

    @property
    def area_fraction(self) -> float:
        """Areal fraction A_A = A_i/A_T."""
        return self.area_px / self.counted_px

    @property
    def features_per_px2(self) -> float:
        """N_A: features per area, a cut one counting ½."""
        return (self.feature_count - self.cut_count / 2) / self.counted_px

    @property
    def interceptions_per_px(self) -> float:
        """N_L: features met per test-line length."""
        return self.interceptions / self.test_line_px

    @property
    def mean_intercept_px(self) -> float | None:
        """Mean intercept l̄ = A_A/N_L, or None where no test line meets the phase's boundary."""
        return self.area_fraction / self.interceptions_per_px if self.interceptions else None

    @property
    def mean_free_path_px(self) -> float | None:
        """Mean free path between features λ = (1 − A_A)/N_L, or None as above."""
        return (1 - self.area_fraction) / self.interceptions_per_px if self.interceptions else None

    @property
    def mean_area_px2(self) -> float | None:
        """Mean area of a feature A_A/N_A, or None where there is none."""
        per_area = self.features_per_px2
        return self.area_fraction / per_area if per_area else None


def measure_fractions(labels: NDArray[np.uint8], phase: int, features: Features) -> PhaseMeasures:
    """Measure amount and fineness of one phase.

    Parameters
    ----------
    labels
        ``(height, width)`` mask, 255 excluded, at least one pixel not excluded.
    phase
        Label of the phase.
    features
        The phase's features in this mask.
    """
    counted = labels != EXCLUDED
    of_phase = labels == phase
    return PhaseMeasures(
        area_px=int(np.count_nonzero(of_phase)),
        counted_px=int(np.count_nonzero(counted)),
        point_count=count_points(labels, phase),
        feature_count=features.count,
        cut_count=int(np.count_nonzero(features.cut)),
        interceptions=count_interceptions(of_phase, counted),
        test_line_px=2 * int(np.count_nonzero(counted)),
    )


def count_interceptions(of_phase: NDArray[np.bool_], counted: NDArray[np.bool_]) -> float:
    """Count the features that all rows and all columns of pixels meet, as test lines do.

    A run of the phase has two ends; each end inside the line counts ½, an end at the frame or at an
    excluded pixel 0. So a feature that the line crosses counts 1 and one in which it ends counts ½.

    Examples
    --------
    >>> line = np.array([[1, 1, 0, 0, 1, 0, 0, 1]], dtype=bool)
    >>> count_interceptions(line, np.ones_like(line))
    2.0
    """
    ends = 0.0
    for phase, known in ((of_phase, counted), (of_phase.T, counted.T)):
        ends += float(np.count_nonzero((phase[:, 1:] != phase[:, :-1]) & known[:, 1:] & known[:, :-1]))
    return ends / 2


def count_points(
    labels: NDArray[np.uint8], phase: int, *, points_per_side: int = GRID_POINTS_PER_SIDE
) -> PointCount:
    """Lay a square grid of points over the mask and count those in the phase (ASTM E562).

    Each point is the corner between four pixels: it hits when all four are of the phase, counts ½ on a
    boundary, when some are, and does not count beside an excluded pixel.

    Parameters
    ----------
    labels
        ``(height, width)`` mask, 255 excluded.
    phase
        Label of the phase.
    points_per_side
        Points along the shorter side; fewer in fields that have no room for them.
    """
    height, width = labels.shape
    if min(height, width) < 2:
        return PointCount(0.0, 0)
    pitch = min(height, width) / min(points_per_side, min(height, width) - 1)
    y, x = _grid_positions(height, pitch), _grid_positions(width, pitch)
    corners = np.stack([labels[np.ix_(y - up, x - left)] for up in (0, 1) for left in (0, 1)])
    known = (corners != EXCLUDED).all(axis=0)
    of_phase = (corners == phase).sum(axis=0)[known]
    hits = np.count_nonzero(of_phase == 4) + np.count_nonzero((of_phase > 0) & (of_phase < 4)) / 2
    return PointCount(float(hits), int(known.sum()))


def _grid_positions(length: int, pitch: float) -> NDArray[np.int64]:
    """Return corners between pixels, ``pitch`` apart, centred, from 1 to ``length`` − 1."""
    count = max(1, int(length / pitch + 1e-9))
    first = (length - (count - 1) * pitch) / 2
    positions = np.floor(first + pitch * np.arange(count)).astype(np.int64)
    return np.clip(positions, 1, length - 1)


def threshold_sensitivity(
    probability: NDArray[np.uint8], counted: NDArray[np.bool_], thresholds: tuple[float, ...] = THRESHOLDS
) -> tuple[float, ...]:
    """Return the fraction of counted pixels whose probability lies above each threshold.

    Parameters
    ----------
    probability
        ``(height, width)`` uint8, 255 = surely of the phase.
    counted
        ``(height, width)`` bool, true where a pixel counts; at least one.
    thresholds
        Probabilities between 0 and 1.
    """
    levels = np.bincount(probability[counted], minlength=256)
    above = levels.sum() - np.cumsum(levels)
    return tuple(float(above[int(np.floor(255 * limit))] / levels.sum()) for limit in thresholds)
