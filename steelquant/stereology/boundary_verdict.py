"""How far the grain size number may be off for boundaries missed or mistaken, and the verdict on it.

Three signs tell whether a picture shows its boundaries: how much the number hangs on the threshold, how
likely the boundaries are that were found, and how convex the grains between them are. How they tell was
fitted on synthetic fields of known grains, none of which the network had seen. In a half of them the etch
left out up to 20 % of the boundaries, in the others 20 to 75 %:
``python -m steelquant.learning.grain_boundaries.fit`` prints the coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERDICTS = ("clear", "faint", "too faint")
_Verdict = tuple[str, tuple[str, ...]]

NOTHING_FOUND: _Verdict = (VERDICTS[2], ("no boundary between ferrite grains was found",))

CLEAR, FAINT = 0.25, 0.6
"""Half-widths of the number's 95 % interval up to which boundaries are clear and faint."""

_LEAST_INTERCEPT_PX = 8.0
_FAMILIAR = 3.0
"""Standard deviations from the fields of the fit beyond which a sign says no more than there."""


@dataclass(frozen=True)
class Signs:
    """What the uncertainty rests on.

    Attributes
    ----------
    sensitivity
        How much the grain size number falls when a border must be twice rather than half as likely one as
        none, for a threshold of 0.5.
    probability
        Mean probability of the boundaries that were found.
    convexity
        Share of their convex hulls that grains fill.
    """

    sensitivity: float
    probability: float
    convexity: float

    def values(self) -> NDArray[np.float64]:
        """Return them as regressors, in the order of `_FIT`."""
        return np.array(
            [
                math.log(max(self.sensitivity, 0.05)),
                math.log(max(1 - self.probability, 0.02)),
                min(max(self.convexity, 0.65), 0.9),
            ]
        )


def scaled(
    values: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return signs in standard deviations of the fit's fields, within what these showed."""
    return np.clip((values - mean) / deviation, -_FAMILIAR, _FAMILIAR)


_FIT: tuple[tuple[float, float, float], ...] = (
    (-0.502, 0.531, 0.090),
    (-2.208, 0.535, 0.560),
    (0.844, 0.043, -0.196),
)
"""Of each sign: mean and standard deviation in the fields of the fit, and its slope."""
_LN_DEVIATION = -1.164
"""Logarithm of the number's standard deviation for mean signs."""


def uncertainty(signs: Signs) -> float:
    """Return the half-width of the grain size number's 95 % interval for boundaries missed or mistaken.

    It is at least half of what the number hangs on the threshold: real dirt may look surer to the network
    than that of the fields of the fit.
    """
    mean, deviation, slope = np.array(_FIT).T
    fitted = 1.96 * math.exp(_LN_DEVIATION + float(scaled(signs.values(), mean, deviation) @ slope))
    return max(fitted, signs.sensitivity / 2)


def judge_boundaries(uncertain: float, intercept_px: float) -> _Verdict:
    """Return the verdict and one sentence for each reason against ``"clear"``.

    Parameters
    ----------
    uncertain
        From :func:`uncertainty`.
    intercept_px
        Mean intercept that was found, in pixels.
    """
    grade = int(uncertain > CLEAR) + int(uncertain > FAINT)
    warnings = []
    if grade:
        warnings.append(
            f"boundaries are {VERDICTS[grade]}: for those missed or mistaken G may be off by {uncertain:.1f}"
        )
    if intercept_px < _LEAST_INTERCEPT_PX:
        grade = 2
        warnings.append(
            f"mean intercepts of {intercept_px:.0f} px are too short to tell boundaries apart: "
            f"{_LEAST_INTERCEPT_PX:.0f} px are needed, so take the picture at a higher magnification"
        )
    return VERDICTS[grade], tuple(warnings)
