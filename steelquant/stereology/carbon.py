"""The carbon content that a pearlite fraction stands for, by the lever rule, with its assumptions."""

from __future__ import annotations

from dataclasses import dataclass

from steelquant.stereology.statistics import Estimate

EUTECTOID_CARBON_PERCENT = 0.76
FERRITE_CARBON_PERCENT = 0.022
LEVER = EUTECTOID_CARBON_PERCENT - FERRITE_CARBON_PERCENT
"""wt% C per unit of pearlite fraction: 0.738; a fraction's interval times this is the carbon's."""

ASSUMPTIONS = (
    "Carbon by the lever rule, C = f·(0.76 − 0.022) + 0.022 wt%: holds only for a hypoeutectoid plain "
    "carbon steel, cooled slowly enough for equilibrium, whose carbon is all in pearlite and ferrite; "
    "alloying and fast cooling change the pearlite fraction at the same carbon. "
    "The interval is 0.738 times that of the pearlite fraction and holds no error of the rule itself."
)


@dataclass(frozen=True)
class CarbonEstimate:
    """Carbon in wt% with its 95 % interval, and the assumptions to print beside it."""

    carbon_wt_percent: Estimate
    assumptions: str = ASSUMPTIONS


def carbon_from_pearlite(fraction: float) -> float:
    """Return carbon in wt% of a hypoeutectoid steel with the pearlite fraction ``fraction`` (0 to 1).

    Lever rule at 727 °C between ferrite (0.022 wt% C) and the eutectoid (0.76 wt% C), as in Callister,
    Materials Science and Engineering, §9.

    Examples
    --------
    >>> round(carbon_from_pearlite(0.25), 4)
    0.2065
    """
    if not 0 <= fraction <= 1:
        raise ValueError("a fraction lies between 0 and 1")
    return fraction * LEVER + FERRITE_CARBON_PERCENT


def estimate_carbon(pearlite_fraction: Estimate) -> CarbonEstimate:
    """Return the carbon that an estimate of the pearlite fraction (0 to 1) stands for.

    The rule is linear, so mean, s and interval follow exactly: each times 0.738.
    """
    return CarbonEstimate(pearlite_fraction.scaled(LEVER, FERRITE_CARBON_PERCENT))
