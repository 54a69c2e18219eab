"""Carbon by the lever rule against the worked numbers."""

from __future__ import annotations

import pytest

from steelquant.stereology.carbon import carbon_from_pearlite, estimate_carbon
from steelquant.stereology.statistics import estimate


@pytest.mark.parametrize(
    ("fraction", "carbon"),
    [(0.10, 0.0958), (0.25, 0.2065), (0.50, 0.3910), (0.75, 0.5755), (0, 0.022), (1, 0.76)],
)
def test_lever_rule(fraction, carbon):
    assert carbon_from_pearlite(fraction) == pytest.approx(carbon, abs=1e-12)


def test_the_interval_is_0_738_times_the_fractions_and_the_assumptions_are_told():
    pearlite = estimate([0.1, 0.2, 0.3, 0.4])

    carbon = estimate_carbon(pearlite)

    assert carbon.carbon_wt_percent.mean == pytest.approx(0.2065)
    assert carbon.carbon_wt_percent.ci95 == pytest.approx(0.738 * pearlite.ci95)
    for word in ("hypoeutectoid", "plain", "slowly", "lever rule"):
        assert word in carbon.assumptions


@pytest.mark.parametrize("fraction", [-0.01, 1.01])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        carbon_from_pearlite(fraction)
