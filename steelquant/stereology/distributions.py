"""Distributions of size by number and by area, their lognormal fit, and Saltykov's spheres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

_CLASSES_PER_DOUBLING = 2
_LEAST_FOR_FIT = 20


@dataclass(frozen=True)
class Lognormal:
    """A lognormal fitted by its log moments.

    Attributes
    ----------
    median_um
        exp of the mean logarithm.
    geometric_deviation
        exp of the standard deviation of the logarithm: 1 for equal sizes.
    distance
        Greatest difference between measured and fitted cumulative share (Kolmogorov–Smirnov's D).
    """

    median_um: float
    geometric_deviation: float
    distance: float


@dataclass(frozen=True)
class Shares:
    """One way of weighing a distribution.

    Attributes
    ----------
    fractions
        Share in each class.
    mean_um, standard_deviation_um
        Weighted mean and spread of the size.
    d10_um, d50_um, d90_um
        Sizes below which 10, 50 and 90 % lie.
    lognormal
        Fit; None for fewer than 20 features or equal sizes.
    """

    fractions: tuple[float, ...]
    mean_um: float
    standard_deviation_um: float
    d10_um: float
    d50_um: float
    d90_um: float
    lognormal: Lognormal | None


@dataclass(frozen=True)
class SizeDistribution:
    """Sizes gathered into classes, two per doubling: plain counts, and weighed by number and by area."""

    count: int
    edges_um: tuple[float, ...]
    counts: tuple[int, ...]
    by_number: Shares
    by_area: Shares


def equivalent_diameter_um(areas_um2: ArrayLike) -> NDArray[np.float64]:
    """Return the diameter of the circle of equal area, √(4A/π), of each area."""
    return np.sqrt(np.asarray(areas_um2, dtype=float) * (4 / math.pi))


def frame_weights(
    widths_px: ArrayLike, heights_px: ArrayLike, field_width_px: int, field_height_px: int
) -> NDArray[np.float64]:
    """Return the weights that make whole features stand for those that the frame cut (Miles and Lantuéjoul).

    A feature of w × h pixels lies wholly inside the frame in (W−w+1)(H−h+1) of its W·H positions: large
    ones are cut more often, and count the more when they are not.

    Parameters
    ----------
    widths_px, heights_px
        ``(n,)`` sides of the bounding boxes of the features that do not touch the frame.
    field_width_px, field_height_px
        The frame.

    References
    ----------
    Lantuéjoul, C. (1980). Microscopica Acta, Suppl. 4, 266–270; Serra, J. (1982). Image Analysis and
    Mathematical Morphology, ch. VIII.
    """
    w, h = np.asarray(widths_px, dtype=float), np.asarray(heights_px, dtype=float)
    if (w > field_width_px).any() or (h > field_height_px).any():
        raise ValueError("a feature is larger than the field")
    weights: NDArray[np.float64] = (
        field_width_px * field_height_px / ((field_width_px - w + 1) * (field_height_px - h + 1))
    )
    return weights


def size_distribution(areas_um2: ArrayLike, weights: ArrayLike | None = None) -> SizeDistribution | None:
    """Gather grain or feature sections by their equivalent diameter.

    Parameters
    ----------
    areas_um2
        ``(n,)`` areas.
    weights
        ``(n,)`` what each stands for, from :func:`frame_weights`; 1 without.

    Returns
    -------
    SizeDistribution or None
        None where there is no feature. Classes are powers of √2 µm, the same for every field, so that
        distributions of several fields add up.
    """
    areas = np.asarray(areas_um2, dtype=float)
    if areas.size == 0:
        return None
    if not (areas > 0).all():
        raise ValueError("areas must be greater than 0")
    number = np.ones(areas.shape) if weights is None else np.asarray(weights, dtype=float)
    diameters = equivalent_diameter_um(areas)
    low = math.floor(_CLASSES_PER_DOUBLING * math.log2(diameters.min()) + 1e-9)
    high = max(low + 1, math.ceil(_CLASSES_PER_DOUBLING * math.log2(diameters.max()) - 1e-9))
    edges = 2.0 ** (np.arange(low, high + 1) / _CLASSES_PER_DOUBLING)
    edges[0], edges[-1] = min(edges[0], diameters.min()), max(edges[-1], diameters.max())
    return SizeDistribution(
        count=areas.size,
        edges_um=tuple(edges.tolist()),
        counts=tuple(np.histogram(diameters, edges)[0].tolist()),
        by_number=_shares(diameters, number, edges),
        by_area=_shares(diameters, number * areas, edges),
    )


def _shares(sizes: NDArray[np.float64], weights: NDArray[np.float64], edges: NDArray[np.float64]) -> Shares:
    share = weights / weights.sum()
    mean = float((share * sizes).sum())
    order = np.argsort(sizes)
    ranked = sizes[order]
    below = np.cumsum(share[order])
    middle = below - share[order] / 2
    d10, d50, d90 = np.interp((0.1, 0.5, 0.9), middle, ranked).tolist()
    return Shares(
        fractions=tuple(np.histogram(sizes, edges, weights=share)[0].tolist()),
        mean_um=mean,
        standard_deviation_um=math.sqrt(float((share * (sizes - mean) ** 2).sum())),
        d10_um=d10,
        d50_um=d50,
        d90_um=d90,
        lognormal=_fit(ranked, share[order], below),
    )


def _fit(
    ranked: NDArray[np.float64], share: NDArray[np.float64], below: NDArray[np.float64]
) -> Lognormal | None:
    logs = np.log(ranked)
    mean = float((share * logs).sum())
    spread = math.sqrt(float((share * (logs - mean) ** 2).sum()))
    if ranked.size < _LEAST_FOR_FIT or spread < 1e-9:
        return None
    fitted = special.ndtr((logs - mean) / spread)
    distance = float(np.maximum(np.abs(below - fitted), np.abs(below - share - fitted)).max())
    return Lognormal(math.exp(mean), math.exp(spread), distance)


@dataclass(frozen=True)
class Spheres:
    """What sizes of spheres give the measured sections.

    Attributes
    ----------
    edges_um
        ``classes + 1`` borders of the diameter classes, from 0, of equal width.
    per_mm3
        Spheres per mm³ in each class.
    mean_diameter_um
        Mean over the spheres, which is larger than the mean section only where their sizes vary little.
    number_per_mm3
        N_V, all spheres per mm³.
    volume_fraction
        Σ N_V·π/6·D³, with D the upper border of the class.
    misfit
        Share of the sections that no mixture of spheres explains (too many small ones are none).
    """

    edges_um: tuple[float, ...]
    per_mm3: tuple[float, ...]
    mean_diameter_um: float
    number_per_mm3: float
    volume_fraction: float
    misfit: float


def unfold_spheres(
    diameters_um: ArrayLike,
    area_um2: float,
    *,
    weights: ArrayLike | None = None,
    classes: int = 12,
) -> Spheres | None:
    """Unfold section diameters into sphere diameters (Saltykov).

    Parameters
    ----------
    diameters_um
        ``(n,)`` equivalent diameters of the sections.
    area_um2
        Area that they were counted on.
    weights
        ``(n,)`` what each stands for; 1 without.
    classes
        Number of classes of equal width up to the largest section; 7 to 15 are usual.

    Returns
    -------
    Spheres or None
        None without a section. The classes are solved together under the condition that none is
        negative; where Saltykov's back-substitution leaves none negative, this is its result.

    Notes
    -----
    Grains fill space and are no spheres: the result is the set of spheres with these sections.

    References
    ----------
    Saltykov, S. A. (1967), in Elias, H. (ed.), Stereology, 163–173; Underwood, E. E. (1970).
    Quantitative Stereology, ch. 5.
    """
    sizes = np.asarray(diameters_um, dtype=float)
    if sizes.size == 0:
        return None
    if not (sizes > 0).all() or not area_um2 > 0 or classes < 1:
        raise ValueError("diameters and area must be greater than 0, and there must be a class")
    number = np.ones(sizes.shape) if weights is None else np.asarray(weights, dtype=float)
    edges = np.linspace(0.0, float(sizes.max()), classes + 1)
    per_um2 = np.histogram(sizes, edges, weights=number)[0] / area_um2
    # A sphere of diameter D meets the plane with its centre within D/2 on either side; sections between
    # d and d' come from the part of that range between √(D²−d'²)/2 and √(D²−d²)/2.
    reach = np.sqrt(np.maximum(edges[None, 1:] ** 2 - edges[:, None] ** 2, 0.0))
    kernel = reach[:-1] - reach[1:]
    per_um3, residual = optimize.nnls(kernel, per_um2)
    total = float(per_um3.sum())
    return Spheres(
        edges_um=tuple(edges.tolist()),
        per_mm3=tuple((per_um3 * 1e9).tolist()),
        mean_diameter_um=float(per_um3 @ edges[1:]) / total,
        number_per_mm3=total * 1e9,
        volume_fraction=float(per_um3 @ edges[1:] ** 3) * math.pi / 6,
        misfit=float(residual) / float(np.linalg.norm(per_um2)),
    )
