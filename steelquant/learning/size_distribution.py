"""Whether a segmentation keeps the sizes of what it finds.

The check of Bachmann et al. (2022; the paper's reference 11): areas in bins of equal width, the probability
density of truth and prediction side by side, and the relative errors of mean, median and standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED

SMALLEST_AREA_PX = 9
"""Smaller regions are specks: one pixel more or less would decide the mean."""

BACHMANN_MEAN_ERROR = 0.061
"""Relative error of the mean that Bachmann et al. report for their prior-austenite grains."""

_TYPICAL_BINS = 20


def region_areas(labels: NDArray[np.uint8], label: int) -> NDArray[np.int64]:
    """Return the areas (px) of the connected regions of a class that lie whole inside the field.

    Pixels sharing a side or a corner are connected. Regions that touch the field's frame are cut by it and
    do not count, nor do those below :data:`SMALLEST_AREA_PX`.
    """
    mask = (labels == label).astype(np.uint8)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    left, top, width, height, area = np.asarray(statistics[1:], np.int64).T
    whole = (left > 0) & (top > 0) & (left + width < mask.shape[1]) & (top + height < mask.shape[0])
    return area[whole & (area >= SMALLEST_AREA_PX)]


def masked_by(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Exclude from a prediction what the truth excludes, so that both are cut the same way."""
    return np.where(truth == EXCLUDED, np.uint8(EXCLUDED), predicted)


@dataclass(frozen=True)
class AreaStatistics:
    """Number, mean, median and standard deviation (n - 1) of areas; NaN where there are too few."""

    count: int
    mean: float
    median: float
    standard_deviation: float


def statistics_of(areas: NDArray[np.float64]) -> AreaStatistics:
    """Summarise areas."""
    nan = float("nan")
    return AreaStatistics(
        count=len(areas),
        mean=float(areas.mean()) if len(areas) else nan,
        median=float(np.median(areas)) if len(areas) else nan,
        standard_deviation=float(areas.std(ddof=1)) if len(areas) > 1 else nan,
    )


@dataclass(frozen=True)
class SizeCheck:
    """Sizes of one class in truth and prediction, over all fields of a set.

    Attributes
    ----------
    label
        The class.
    unit
        ``"µm²"``, or ``"px²"`` where not every field has a scale.
    bin_width
        Of the densities, in that unit: 1, 2 or 5 times a power of ten.
    true_density, found_density
        Probability density per bin, from 0; they end at the largest area of either.
    true, found
        Their statistics.
    """

    label: int
    unit: str
    bin_width: float
    true_density: NDArray[np.float64]
    found_density: NDArray[np.float64]
    true: AreaStatistics
    found: AreaStatistics

    def relative_error(self, statistic: str) -> float:
        """Return (found - true) / true of ``mean``, ``median`` or ``standard_deviation``."""
        true: float = getattr(self.true, statistic)
        return (getattr(self.found, statistic) - true) / true if true else float("nan")


def check_sizes(
    label: int, unit: str, true_areas: NDArray[np.float64], found_areas: NDArray[np.float64]
) -> SizeCheck:
    """Compare the areas of one class, pooled over the fields of a set."""
    typical = np.quantile(true_areas, 0.9) if len(true_areas) else 1.0
    width = round_width(float(typical) / _TYPICAL_BINS)
    largest = max(true_areas.max(initial=0), found_areas.max(initial=0), width)
    edges = np.arange(int(np.ceil(largest / width)) + 1) * width
    edges[-1] = max(edges[-1], largest)

    def density(areas: NDArray[np.float64]) -> NDArray[np.float64]:
        counts = np.histogram(areas, edges)[0].astype(np.float64)
        return counts / (counts.sum() * width) if counts.sum() else counts

    return SizeCheck(
        label,
        unit,
        width,
        density(true_areas),
        density(found_areas),
        statistics_of(true_areas),
        statistics_of(found_areas),
    )


def round_width(width: float) -> float:
    """Return the smallest of 1, 2, 5, 10, … (any power of ten) that is not below ``width``."""
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9)))
