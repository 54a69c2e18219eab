"""Mean, spread and confidence over fields, and comparisons between sets of fields.

Everything here takes plain sequences of numbers, one per field, and knows nothing of images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

CONFIDENCE = 0.95
"""Two-sided confidence level of every interval, as in ASTM E562 and E112."""

ONE_FIELD = "one field gives no spread: measure at least two"
NO_FIELD = "no field has this value"


def student_t(degrees_of_freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return Student's t that encloses ``confidence`` between −t and +t.

    Parameters
    ----------
    degrees_of_freedom
        n − 1 for a mean of n fields; fractional after Welch and Satterthwaite.
    confidence
        Two-sided level between 0 and 1.

    Examples
    --------
    >>> round(student_t(9), 3)
    2.262
    """
    return float(special.stdtrit(degrees_of_freedom, 0.5 + confidence / 2))


def half_width(standard_deviation: float, n: int) -> float:
    """Return the half-width of the 95 % confidence interval, t(0.975, n−1)·s/√n (ASTM E562, eq. 5)."""
    if n < 2:
        raise ValueError("a confidence interval needs at least two values")
    return student_t(n - 1) * standard_deviation / math.sqrt(n)


@dataclass(frozen=True)
class Estimate:
    """A mean over fields and how far to trust it.

    Attributes
    ----------
    mean
        Arithmetic mean; None where no field has the value.
    n
        Number of fields that have the value.
    standard_deviation
        s with n − 1; None for fewer than two fields.
    ci95
        Half-width of the 95 % confidence interval, in the mean's unit; None where there is none.
    relative_accuracy_percent
        %RA = 100·CI/|mean|; None where there is no interval or the mean is 0.
    reason
        Why something is None, or on what a single field's interval rests; empty otherwise.
    bounds
        Ends of the interval where it is not symmetric about the mean.
    """

    mean: float | None
    n: int
    standard_deviation: float | None
    ci95: float | None
    relative_accuracy_percent: float | None
    reason: str = ""
    bounds: tuple[float, float] | None = None

    @property
    def low(self) -> float | None:
        """Lower end of the 95 % interval, or None."""
        if self.bounds is not None:
            return self.bounds[0]
        return None if self.mean is None or self.ci95 is None else self.mean - self.ci95

    @property
    def high(self) -> float | None:
        """Upper end of the 95 % interval, or None."""
        if self.bounds is not None:
            return self.bounds[1]
        return None if self.mean is None or self.ci95 is None else self.mean + self.ci95

    def scaled(self, factor: float, offset: float = 0.0) -> Estimate:
        """Return the estimate of ``factor·x + offset``; intervals scale with ``|factor|``."""
        if self.mean is None:
            return self
        mean = factor * self.mean + offset
        ci95 = None if self.ci95 is None else abs(factor) * self.ci95
        s = None if self.standard_deviation is None else abs(factor) * self.standard_deviation
        bounds = None
        if self.bounds is not None:
            ends = sorted(factor * end + offset for end in self.bounds)
            bounds = (ends[0], ends[1])
        return Estimate(mean, self.n, s, ci95, _relative_accuracy(mean, ci95), self.reason, bounds)


def estimate(values: Sequence[float | None]) -> Estimate:
    """Summarise one value per field as ASTM E562 and E1245 do.

    Parameters
    ----------
    values
        One number per field of one specimen; None or NaN where a field has none.

    Returns
    -------
    Estimate
        Mean, n, s (n − 1), 95 % CI = t(0.975, n−1)·s/√n and %RA = 100·CI/mean. A single field has a
        mean but neither s nor interval, and says so in ``reason``.

    Examples
    --------
    >>> result = estimate([0.1, 0.2, 0.3, 0.4])
    >>> round(result.mean, 2), round(result.ci95, 5), round(result.relative_accuracy_percent, 2)
    (0.25, 0.20543, 82.17)
    """
    known = np.array([value for value in values if value is not None and not math.isnan(value)], dtype=float)
    if known.size == 0:
        return Estimate(None, 0, None, None, None, NO_FIELD)
    mean = float(known.mean())
    if known.size == 1:
        return Estimate(mean, 1, None, None, None, ONE_FIELD)
    s = float(known.std(ddof=1))
    ci95 = half_width(s, known.size)
    return Estimate(mean, int(known.size), s, ci95, _relative_accuracy(mean, ci95))


def _relative_accuracy(mean: float, ci95: float | None) -> float | None:
    return None if ci95 is None or mean == 0 else 100 * ci95 / abs(mean)


def fields_needed(result: Estimate, wanted_relative_accuracy_percent: float = 10.0) -> int | None:
    """Return the number of like fields whose mean would reach a wanted %RA.

    The smallest n with 100·t(0.975, n−1)·s/(√n·mean) ≤ wanted, s and mean taken as they are
    (ASTM E562 §10, with t following n rather than fixed at 2).

    Parameters
    ----------
    result
        What was measured so far, from at least two fields.
    wanted_relative_accuracy_percent
        Greater than 0; 10 is the standards' aim.

    Returns
    -------
    int or None
        None where s is unknown or the mean is 0.
    """
    if wanted_relative_accuracy_percent <= 0:
        raise ValueError("the wanted relative accuracy must be greater than 0 %")
    if result.standard_deviation is None or not result.mean:
        return None
    allowed = wanted_relative_accuracy_percent / 100 * abs(result.mean)
    low, high = 1, 2
    while half_width(result.standard_deviation, high) > allowed:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if half_width(result.standard_deviation, middle) > allowed:
            low = middle
        else:
            high = middle
    return high


def fields_needed_by_points(
    volume_fraction_percent: float, points_per_field: int, relative_error: float = 0.1
) -> int:
    """Return how many fields a point count needs: n = (4/E²)·(100−V_V)/(V_V·P_T) (ASTM E562, eq. 10).

    Parameters
    ----------
    volume_fraction_percent
        Expected V_V in %, above 0 and at most 100.
    points_per_field
        P_T, points of the grid.
    relative_error
        E as a fraction: 0.1 for ±10 %.
    """
    if not 0 < volume_fraction_percent <= 100 or points_per_field < 1 or relative_error <= 0:
        raise ValueError("need 0 < V_V <= 100 %, at least one point and a relative error above 0")
    n = 4 / relative_error**2 * (100 - volume_fraction_percent) / (volume_fraction_percent * points_per_field)
    # 1e-9 keeps a quotient that is whole on paper from being rounded up by its last binary digit.
    return max(1, math.ceil(n - 1e-9))


@dataclass(frozen=True)
class Difference:
    """Welch's comparison of two means; ``difference`` is first minus second, in the values' unit."""

    difference: float
    ci95: float
    t: float
    degrees_of_freedom: float
    p_value: float


def welch(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Compare two sets of fields by Welch's t, which assumes no equal variances.

    Parameters
    ----------
    first, second
        One value per field of either specimen.

    Returns
    -------
    Difference or None
        None where either set has fewer than two fields. Two sets without any spread give t = ±inf and
        p = 0, or t = 0 and p = 1 when they are equal.

    References
    ----------
    Welch, B. L. (1947). Biometrika 34, 28–35; degrees of freedom by Satterthwaite (1946).
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.size < 2 or b.size < 2:
        return None
    difference = float(a.mean() - b.mean())
    va, vb = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    if va + vb == 0:
        t = 0.0 if difference == 0 else math.copysign(math.inf, difference)
        return Difference(difference, 0.0, t, float(a.size + b.size - 2), 1.0 if difference == 0 else 0.0)
    error = math.sqrt(va + vb)
    freedom = (va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1))
    t = difference / error
    p = float(2 * special.stdtr(freedom, -abs(t)))
    return Difference(difference, student_t(freedom) * error, t, freedom, p)


def holm(p_values: ArrayLike) -> list[float]:
    """Adjust p-values of several comparisons by Holm's step-down rule.

    Parameters
    ----------
    p_values
        ``(m,)`` unadjusted p-values.

    Returns
    -------
    list of float
        Adjusted p-values in the same order, none above 1.

    References
    ----------
    Holm, S. (1979). Scandinavian Journal of Statistics 6, 65–70.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]
