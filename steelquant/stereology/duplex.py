"""Grains that one mean does not describe: a few as large as … (ASTM E930), and duplex sizes (ASTM E1181)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelquant.stereology.grain_size import number_from_area

COARSER_BY = 3.0
"""Grain size numbers by which an outlier is coarser than the rest (ASTM E930 §1)."""
AREA_OF_OUTLIERS = 0.05
"""Most of the area that outliers cover (ASTM E930 §1)."""
BIMODAL_APART = 4.0
"""Grain size numbers between the means of two populations."""
WIDE_RANGE = 5.0
"""Grain size numbers within which 90 % of the area lie."""
LEAST_POPULATION = 0.05
_LEAST_GRAINS = 50


@dataclass(frozen=True)
class LargestGrain:
    """The largest grain section of a specimen.

    Attributes
    ----------
    area_um2, number
        The section and its grain size number (ASTM E930 §6.4, from its measured area).
    outliers, outlier_area_fraction
        Sections at least 3 numbers coarser than the mean of all others, and their share of the area.
    applies
        Whether E930 does: there are outliers, and they cover at most 5 % of the area.
    """

    area_um2: float
    number: float
    outliers: int
    outlier_area_fraction: float
    applies: bool


def as_large_as(areas_um2: ArrayLike) -> LargestGrain | None:
    """Find the largest grain and tell whether it is one of a few outliers (ASTM E930).

    Parameters
    ----------
    areas_um2
        ``(n,)`` sections of all grains of the specimen, those cut by the edge with what is seen of them.

    Returns
    -------
    LargestGrain or None
        None without a grain.
    """
    areas = np.sort(np.asarray(areas_um2, dtype=float))[::-1]
    if areas.size == 0:
        return None
    total = float(areas.sum())
    taken = np.cumsum(areas)[:-1]
    mean_of_rest = (total - taken) / np.arange(areas.size - 1, 0, -1)
    coarse = np.log2(areas[:-1] / mean_of_rest) >= COARSER_BY
    # The k largest are outliers together when even the smallest of them is far from the rest.
    count = int(np.flatnonzero(coarse)[-1]) + 1 if coarse.any() else 0
    fraction = float(taken[count - 1]) / total if count else 0.0
    return LargestGrain(
        area_um2=float(areas[0]),
        number=number_from_area(float(areas[0])),
        outliers=count,
        outlier_area_fraction=fraction,
        applies=0 < fraction <= AREA_OF_OUTLIERS,
    )


@dataclass(frozen=True)
class Population:
    """One of the sizes in a duplex structure: its share of the area and its grain size number."""

    area_fraction: float
    number: float
    grains: int


@dataclass(frozen=True)
class Duplex:
    """Whether grain sizes are duplex, and how (ASTM E1181).

    Attributes
    ----------
    kind
        ``"none"``, ``"isolated coarse grains"``, ``"bimodal"`` or ``"wide range"``: the random types of
        the standard. The limits between them in numbers are this program's (see ``basis``).
    populations
        The coarse and the fine population; empty for ``"none"`` and ``"wide range"``.
    spread
        Grain size numbers between which the middle 90 % of the area lie.
    basis
        Which limits decided, in words for the report.
    """

    kind: str
    populations: tuple[Population, ...]
    spread: float
    basis: str


def duplex(areas_um2: ArrayLike) -> Duplex | None:
    """Tell whether one mean grain size describes a specimen.

    Parameters
    ----------
    areas_um2
        ``(n,)`` sections of all its grains.

    Returns
    -------
    Duplex or None
        None for fewer than 50 grains. Shares are of the area: sections of equal grains are already very
        unequal, and by number the many small ones would make any structure look duplex.
    """
    areas = np.asarray(areas_um2, dtype=float)
    if areas.size < _LEAST_GRAINS:
        return None
    ordered = np.sort(areas)
    below = (np.cumsum(ordered) - ordered / 2) / ordered.sum()
    fine, coarse = np.interp((0.05, 0.95), below, np.log2(ordered)).tolist()
    spread = coarse - fine
    largest = as_large_as(areas)
    if largest is not None and largest.applies:
        return Duplex(
            "isolated coarse grains",
            _split(ordered, ordered.size - largest.outliers),
            spread,
            f"outliers {COARSER_BY:g} numbers coarser, on {AREA_OF_OUTLIERS:.0%} of the area at most",
        )
    cut = _best_cut(ordered)
    populations = _split(ordered, cut)
    apart = populations[1].number - populations[0].number
    shares = min(population.area_fraction for population in populations)
    if apart >= BIMODAL_APART and shares >= LEAST_POPULATION and _has_valley(ordered, cut):
        return Duplex(
            "bimodal",
            populations,
            spread,
            f"two peaks of the area's distribution, their means {BIMODAL_APART:g} or more numbers apart",
        )
    if spread >= WIDE_RANGE:
        return Duplex("wide range", (), spread, f"90 % of the area over {WIDE_RANGE:g} or more numbers")
    return Duplex("none", (), spread, "one mean describes the grains")


def _split(ordered: NDArray[np.float64], cut: int) -> tuple[Population, Population]:
    total = float(ordered.sum())

    def population(part: NDArray[np.float64]) -> Population:
        return Population(float(part.sum()) / total, number_from_area(float(part.mean())), part.size)

    return population(ordered[cut:]), population(ordered[:cut])


def _best_cut(ordered: NDArray[np.float64]) -> int:
    """Return where to cut so that the two parts' log areas, weighted by area, differ most (Otsu)."""
    logs, weight = np.log2(ordered), ordered / ordered.sum()
    share = np.cumsum(weight)[:-1]
    sums = np.cumsum(weight * logs)
    between = (sums[-1] * share - sums[:-1]) ** 2 / np.maximum(share * (1 - share), 1e-12)
    return int(between.argmax()) + 1


def _has_valley(ordered: NDArray[np.float64], cut: int) -> bool:
    """Tell whether the area's distribution over log size dips to half of the lower peak at the cut."""
    logs = np.log2(ordered)
    step = 0.25
    bins = max(3, math.ceil((logs[-1] - logs[0]) / step))
    histogram, edges = np.histogram(logs, bins, weights=ordered)
    smooth = np.convolve(np.pad(histogram, 2), (1, 2, 3, 2, 1), mode="same")[2:-2] / 9
    at = min(int(np.searchsorted(edges, logs[cut])) - 1, bins - 1)
    low, high = smooth[: at + 1], smooth[at:]
    peaks = int(low.argmax()), at + int(high.argmax())
    valley = smooth[peaks[0] : peaks[1] + 1].min()
    return bool(peaks[0] < peaks[1] and valley <= 0.5 * min(smooth[peaks[0]], smooth[peaks[1]]))
