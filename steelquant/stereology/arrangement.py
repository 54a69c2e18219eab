"""How features lie in the plane: at random, in clusters or evenly spaced; and which way they point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.spatial import cKDTree

_SIGNIFICANCE = 0.05
_LEAST_FEATURES = 10


@dataclass(frozen=True)
class NearestNeighbours:
    """Distances to the nearest neighbour against those of points thrown at random.

    Attributes
    ----------
    features
        Number of features.
    mean_distance_um
        Mean distance from a centroid to the next; None for fewer than two.
    expected_distance_um
        The mean for points thrown at random on the same area, with Donnelly's correction for its edge.
    ratio
        Measured over expected: below 1 clustered, above 1 regular.
    z, p_value
        Standard score of the difference and its two-sided probability; None for fewer than 10 features.
    arrangement
        ``"random"``, ``"clustered"`` or ``"regular"`` at 5 %; ``"too few features"`` below 10.
    """

    features: int
    mean_distance_um: float | None
    expected_distance_um: float | None
    ratio: float | None
    z: float | None
    p_value: float | None
    arrangement: str


def nearest_neighbours(
    centroids_um: NDArray[np.floating], area_um2: float, perimeter_um: float
) -> NearestNeighbours:
    """Test whether features are clustered, random or regular (Clark and Evans).

    Parameters
    ----------
    centroids_um
        ``(n, 2)`` centroids in µm.
    area_um2, perimeter_um
        Of the counted field.

    Notes
    -----
    Features that fill much of the plane cannot come close to each other: their centroids are more
    regular than points, whatever put them there.

    References
    ----------
    Clark, P. J. & Evans, F. C. (1954). Ecology 35, 445–453; edge correction by Donnelly, K. (1978), in
    Hodder, I. (ed.), Simulation Methods in Archaeology, 91–95.
    """
    n = len(centroids_um)
    if n < 2 or area_um2 <= 0:
        return NearestNeighbours(n, None, None, None, None, None, "too few features")
    points = np.asarray(centroids_um, dtype=float)
    mean = float(cKDTree(points).query(points, k=2)[0][:, 1].mean())
    expected = 0.5 * math.sqrt(area_um2 / n) + (0.0514 + 0.041 / math.sqrt(n)) * perimeter_um / n
    ratio = mean / expected
    if n < _LEAST_FEATURES:
        return NearestNeighbours(n, mean, expected, ratio, None, None, "too few features")
    error = math.sqrt(0.0703 * area_um2 / n**2 + 0.037 * perimeter_um * math.sqrt(area_um2 / n**5))
    z = (mean - expected) / error
    p_value = float(2 * special.ndtr(-abs(z)))
    arrangement = "random" if p_value >= _SIGNIFICANCE else ("clustered" if z < 0 else "regular")
    return NearestNeighbours(n, mean, expected, ratio, z, p_value, arrangement)


@dataclass(frozen=True)
class Rose:
    """Orientations of features, gathered into sectors of 180°.

    Attributes
    ----------
    edges_deg
        ``sectors + 1`` borders of the sectors from 0 to 180, counter-clockwise from the horizontal.
    shares
        Share of the weight in each sector.
    mean_deg
        Mean axis; None without a direction.
    resultant
        Length of the mean vector of doubled angles: 0 without direction, 1 all alike.
    p_value
        Rayleigh's probability of so long a mean vector without any direction; None without features.
    """

    edges_deg: tuple[float, ...]
    shares: tuple[float, ...]
    mean_deg: float | None
    resultant: float
    p_value: float | None


def orientation_rose(
    angles_deg: NDArray[np.floating] | Sequence[float],
    weights: NDArray[np.floating] | Sequence[float] | None = None,
    *,
    sectors: int = 18,
) -> Rose:
    """Gather axes into a rose.

    Parameters
    ----------
    angles_deg
        ``(n,)`` axes of features; 0° and 180° are the same.
    weights
        ``(n,)`` weights such as areas; every feature counts 1 without them.
    sectors
        Number of sectors; the first begins at 0°.

    References
    ----------
    Mardia, K. V. & Jupp, P. E. (2000). Directional Statistics, §6.3 (Rayleigh's test), axes doubled.
    """
    angles = np.asarray(angles_deg, dtype=float) % 180.0
    weight = np.ones(angles.shape) if weights is None else np.asarray(weights, dtype=float)
    edges = np.linspace(0.0, 180.0, sectors + 1)
    total = float(weight.sum())
    if angles.size == 0 or total <= 0:
        return Rose(tuple(edges.tolist()), (0.0,) * sectors, None, 0.0, None)
    shares = np.histogram(angles, edges, weights=weight)[0] / total
    vector = complex((weight * np.exp(2j * np.radians(angles))).sum() / total)
    resultant = abs(vector)
    # Unequal weights leave fewer independent features than there are (Kish).
    effective = total**2 / float((weight**2).sum())
    score = effective * resultant**2
    p_value = math.exp(-score) * (1 + (2 * score - score**2) / (4 * effective))
    return Rose(
        edges_deg=tuple(edges.tolist()),
        shares=tuple(shares.tolist()),
        mean_deg=math.degrees(math.atan2(vector.imag, vector.real)) / 2 % 180.0 if resultant > 1e-9 else None,
        resultant=resultant,
        p_value=min(1.0, max(0.0, p_value)),
    )
