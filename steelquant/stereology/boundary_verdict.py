"""The grain size number to be expected of a field's boundaries, its uncertainty, and the verdict on both.

Whether a picture shows all its boundaries cannot be read from those that were found at one threshold. How
the number of grains changes with the threshold, how much length of boundary the probabilities sum up to,
how convex the grains are and how noisy the picture is tell of the others. How they tell was fitted on
synthetic fields of known grains, 5 to 75 % of whose boundaries the etch left out, none of which the network
had seen: ``python -m steelquant.learning.grain_boundaries.fit`` prints the coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

VERDICTS = ("clear", "faint", "too faint")
_Verdict = tuple[str, tuple[str, ...]]

NOTHING_FOUND: _Verdict = (VERDICTS[2], ("no boundary between ferrite grains was found",))

THRESHOLDS = (0.08, 0.12, 0.18, 0.27, 0.4, 0.6)
"""Probabilities at which the grains are counted to learn how their number hangs on it."""
USUAL = 3
"""Which of them is nearest to what most fields want."""

CLEAR, FAINT = 0.25, 0.6
"""Half-widths of the number's 95 % interval up to which boundaries are clear and faint."""

_LEAST_INTERCEPT_PX = 8.0
FAMILIAR = 3.0
"""Standard deviations from the fields of the fit beyond which a sign says no more than there."""
USUAL_FALL, _LEAST_FALL = 0.8, 0.04


@dataclass(frozen=True)
class Signs:
    """What the expectation rests on.

    Attributes
    ----------
    numbers
        The grain size number, but for a constant, at each of `THRESHOLDS`.
    expected_length
        Length of boundary that the probabilities sum up to over that at the usual threshold, as a
        difference of grain size numbers.
    probability
        Mean probability of the boundaries at the usual threshold.
    convexity
        Share of their convex hulls that grains fill at the usual threshold.
    noise
        Noise of the picture as a share of the brightness.
    intercept_px
        Mean intercept in pixels at the usual threshold.
    """

    numbers: tuple[float, ...]
    expected_length: float
    probability: float
    convexity: float
    noise: float
    intercept_px: float

    @property
    def fall(self) -> float:
        """How much the number falls from the second to the last but one threshold, a little at least."""
        return max(0.0, self.numbers[1] - self.numbers[-2]) + _LEAST_FALL

    def values(self) -> NDArray[np.float64]:
        """Return them as regressors, in the order of `_FIT`."""
        falls = np.clip(-np.diff(self.numbers), 0, 1.5)
        return np.array(
            [
                *falls,
                float(np.clip(self.expected_length, -2, 2)),
                math.log(max(self.probability, 0.05)),
                float(np.clip(self.convexity, 0.6, 1)),
                math.log(self.noise),
                math.log(max(self.intercept_px, 4.0)),
            ]
        )


@dataclass(frozen=True)
class Expectation:
    """The number to be expected, but for the same constant as `Signs.numbers`, and its uncertainty.

    Attributes
    ----------
    number
        Expected grain size number.
    uncertainty
        Half-width of its 95 % interval.
    """

    number: float
    uncertainty: float


NAMES = (
    *(f"fall from {low} to {high}" for low, high in pairwise(THRESHOLDS)),
    "expected length",
    "ln probability",
    "convexity",
    "ln noise",
    "ln intercept",
)
_FIT: tuple[tuple[float, float, float], ...] = (
    (0.359, 0.210, 0.014),
    (0.385, 0.219, -0.246),
    (0.407, 0.236, -0.028),
    (0.423, 0.279, -0.237),
    (0.730, 0.448, 0.275),
    (-0.877, 0.465, 0.239),
    (-0.547, 0.163, -0.143),
    (0.804, 0.055, -0.251),
    (-5.396, 0.813, 0.006),
    (3.154, 0.425, -0.082),
)
"""Of each sign: mean and standard deviation in the fields of the fit, and its slope."""
_ABOVE = 0.372
"""The expected number is (this + the signs' deviations times their slopes) times the fall above the usual
one: where the number does not hang on the threshold, there is nothing to choose."""
_LN_DEVIATION, _BY_LN_FALL, _BY_PROBABILITY, _BY_CONVEXITY = -1.044, 0.077, -0.579, 0.055
"""Logarithm of the number's standard deviation for a usual fall, and its slopes."""
_PROBABILITY, _CONVEXITY = (NAMES.index(name) for name in ("ln probability", "convexity"))


def expected(signs: Signs) -> Expectation:
    """Return the grain size number to be expected."""
    fit = np.array(_FIT)
    near = np.clip((signs.values() - fit[:, 0]) / fit[:, 1], -FAMILIAR, FAMILIAR)
    above = (_ABOVE + float(near @ fit[:, 2])) * signs.fall
    ln_deviation = (
        _LN_DEVIATION
        + _BY_LN_FALL * math.log(signs.fall / USUAL_FALL)
        + _BY_PROBABILITY * near[_PROBABILITY]
        + _BY_CONVEXITY * near[_CONVEXITY]
    )
    return Expectation(signs.numbers[USUAL] + above, 1.96 * math.exp(ln_deviation))


def judge_boundaries(expectation: Expectation, number: float, intercept_px: float) -> _Verdict:
    """Return the verdict and one sentence for each reason against ``"clear"``.

    Parameters
    ----------
    expectation
        From :func:`expected`.
    number
        The number that was found, but for the same constant: another where the threshold was given, or
        where none gives the expected one.
    intercept_px
        Mean intercept that was found, in pixels.
    """
    off = expectation.uncertainty + abs(number - expectation.number)
    grade = int(off > CLEAR) + int(off > FAINT)
    warnings = []
    if grade:
        warnings.append(
            f"boundaries are {VERDICTS[grade]}: for those missed or mistaken G may be off by {off:.1f}"
        )
    if intercept_px < _LEAST_INTERCEPT_PX:
        grade = 2
        warnings.append(
            f"mean intercepts of {intercept_px:.0f} px are too short to tell boundaries apart: "
            f"{_LEAST_INTERCEPT_PX:.0f} px are needed, so take the picture at a higher magnification"
        )
    return VERDICTS[grade], tuple(warnings)
