"""Grain size numbers: the equations of ASTM E112 and ISO 643, and a specimen's number from its fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from steelquant.stereology.statistics import Estimate, estimate

_SLOPE_AREA = 3.321928
_SLOPE_INTERCEPT = 6.643856
_OFFSET_AREA = 2.954
_OFFSET_INTERCEPT = 3.288

GRAINS_PER_FIELD = 50
GRAINS_IN_ALL = 500
FIELDS = 5
RELATIVE_ACCURACY_PERCENT = 10.0
"""What a grain size determination should reach (ASTM E112 §11 and §15, E1382 §10)."""


def number_from_density(grains_per_mm2: float) -> float:
    """Return the ASTM grain size number of ``grains_per_mm2`` (ASTM E112, table 6).

    Examples
    --------
    >>> round(number_from_density(177.0), 4)
    4.5136
    """
    need_positive(grains_per_mm2, "grains per mm²")
    return _SLOPE_AREA * math.log10(grains_per_mm2) - _OFFSET_AREA


def number_from_area(mean_area_um2: float) -> float:
    """Return the ASTM grain size number of a mean grain section in µm² (ASTM E112, table 6)."""
    need_positive(mean_area_um2, "the mean area")
    return -_SLOPE_AREA * math.log10(mean_area_um2 * 1e-6) - _OFFSET_AREA


def number_from_intercept(mean_intercept_um: float) -> float:
    """Return the ASTM grain size number of a mean lineal intercept in µm (ASTM E112, table 6).

    Examples
    --------
    >>> round(number_from_intercept(12.5), 3)
    9.356
    """
    need_positive(mean_intercept_um, "the mean intercept")
    return -_SLOPE_INTERCEPT * math.log10(mean_intercept_um * 1e-3) - _OFFSET_INTERCEPT


def iso_number(grains_per_mm2: float) -> float:
    """Return the grain size number of ISO 643, log2(m) − 3, 0.046 below that of ASTM E112."""
    need_positive(grains_per_mm2, "grains per mm²")
    return math.log2(grains_per_mm2) - 3


def density_of_number(number: float) -> float:
    """Return the grains per mm² of an ASTM grain size number."""
    return 10 ** ((number + _OFFSET_AREA) / _SLOPE_AREA)


def area_of_number(number: float) -> float:
    """Return the mean grain section in µm² of an ASTM grain size number."""
    return 1e6 * 10 ** (-(number + _OFFSET_AREA) / _SLOPE_AREA)


def intercept_of_number(number: float) -> float:
    """Return the mean lineal intercept in µm of an ASTM grain size number."""
    return 1e3 * 10 ** (-(number + _OFFSET_INTERCEPT) / _SLOPE_INTERCEPT)


def need_positive(value: float, what: str) -> None:
    """Raise ValueError, naming the quantity, unless it is greater than 0."""
    if not value > 0:
        raise ValueError(f"{what} must be greater than 0, not {value}")


def number_from_replicates(values: Sequence[float | None], number_of: Callable[[float], float]) -> Estimate:
    """Return the mean grain size number of several fields with its 95 % interval (ASTM E112 §15).

    The mean and the interval are those of the quantity measured, and their ends are turned into
    grain size numbers; the interval is therefore not quite symmetric.

    Parameters
    ----------
    values
        One mean intercept in µm, mean area in µm² or N_A per mm² per field; None where a field has none.
    number_of
        The equation that belongs to it: ``number_from_intercept``, ``number_from_area`` or
        ``number_from_density``.

    Returns
    -------
    Estimate
        ``mean`` is G; ``standard_deviation`` that of the fields' own numbers; ``ci95`` half the width
        of ``bounds``; ``relative_accuracy_percent`` that of the *measured quantity*, as E112 wants it.
    """
    known = [value for value in values if value is not None and value > 0]
    result = as_number(estimate(known), number_of)
    if result.standard_deviation is None:
        return result
    return replace(result, standard_deviation=float(np.std([number_of(value) for value in known], ddof=1)))


def as_number(measured: Estimate, number_of: Callable[[float], float]) -> Estimate:
    """Turn the mean of an intercept, area or density and its interval's ends into grain size numbers.

    The standard deviation stays that of what was measured; where the interval reaches 0 there is none.
    """
    if measured.mean is None:
        return measured
    number = number_of(measured.mean)
    if measured.ci95 is None:
        return replace(measured, mean=number)
    if measured.ci95 >= measured.mean:
        reason = "the interval of the measured mean reaches 0: measure more fields"
        return replace(measured, mean=number, ci95=None, reason=reason)
    ends = sorted((number_of(measured.mean - measured.ci95), number_of(measured.mean + measured.ci95)))
    return replace(measured, mean=number, ci95=(ends[1] - ends[0]) / 2, bounds=(ends[0], ends[1]))


def shortfalls(grains_per_field: Sequence[float], result: Estimate) -> tuple[str, ...]:
    """Say in which ways a determination misses what the standards ask for.

    Parameters
    ----------
    grains_per_field
        Grains counted in each field of the specimen.
    result
        From :func:`number_from_replicates`.

    Returns
    -------
    tuple of str
        One sentence each; empty where nothing is missed.
    """
    flags: list[str] = []
    few = sum(count < GRAINS_PER_FIELD for count in grains_per_field)
    if few:
        flags.append(f"{few} of {len(grains_per_field)} fields hold fewer than {GRAINS_PER_FIELD} grains")
    total = sum(grains_per_field)
    if total < GRAINS_IN_ALL:
        flags.append(f"{total:.0f} grains in all; {GRAINS_IN_ALL} are wanted")
    if len(grains_per_field) < FIELDS:
        counted = "1 field" if len(grains_per_field) == 1 else f"{len(grains_per_field)} fields"
        flags.append(f"{counted}; at least {FIELDS} are wanted")
    accuracy = result.relative_accuracy_percent
    if accuracy is not None and accuracy > RELATIVE_ACCURACY_PERCENT:
        flags.append(f"relative accuracy {accuracy:.1f} %; {RELATIVE_ACCURACY_PERCENT:.0f} % is wanted")
    return tuple(flags)
