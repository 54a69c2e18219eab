"""The verdict on the boundaries found in one field: clear, faint or too faint, and why.

Whether a picture shows all its boundaries cannot be read from those that were found. Four signs tell of
the others: how much the number of grains hangs on the threshold, how much of the boundaries had to be
closed, how many lines end within a grain, and how far the grains are from convex, as two are that a
missed boundary leaves joined.
"""

from __future__ import annotations

from dataclasses import dataclass

VERDICTS = ("clear", "faint", "too faint")
_Verdict = tuple[str, tuple[str, ...]]

NOTHING_FOUND: _Verdict = (VERDICTS[2], ("no boundary between ferrite grains was found",))


@dataclass(frozen=True)
class Signs:
    """What the verdict rests on; see :class:`steelquant.stereology.boundaries.GrainBoundaries`.

    Attributes
    ----------
    sensitivity, bridged_fraction, loose_fraction, convexity
        The four signs.
    intercept_px
        Mean intercept in pixels.
    """

    sensitivity: float
    bridged_fraction: float
    loose_fraction: float
    convexity: float
    intercept_px: float


@dataclass(frozen=True)
class _Limit:
    """Up to where a sign is that of clear and of faint boundaries, and what it says beyond."""

    clear: float
    faint: float
    text: str

    def grade(self, value: float) -> int:
        """Return 0, 1 or 2, as the verdicts are ordered."""
        return int(value > self.clear) + int(value > self.faint)


_LIMITS = {
    "sensitivity": _Limit(
        0.45, 1.2, "the grain size number changes by {:.1f} when their threshold moves by a quarter"
    ),
    "bridged_fraction": _Limit(0.10, 0.2, "{:.0%} of their length was not seen but closed"),
    "loose_fraction": _Limit(0.5, 1.0, "lines that end within a grain are {:.0%} as long as the boundaries"),
    "concavity": _Limit(
        0.21, 0.26, "grains fill only {:.0%} of their convex hulls, as they do where boundaries are missing"
    ),
}
"""Set on 80 synthetic fields of known grains, and so that the dirty fields of a real series, whose many false
lines look convex, are not clear; strict rather than generous (tests/benchmarks/test_grain_accuracy.py)."""

_LEAST_INTERCEPT_PX = (10.0, 16.0, 16.0)
"""By verdict: faint boundaries must be farther apart to be told apart."""


def judge_boundaries(signs: Signs) -> _Verdict:
    """Return the verdict and one sentence for each reason against ``"clear"``."""
    values = {
        "sensitivity": signs.sensitivity,
        "bridged_fraction": signs.bridged_fraction,
        "loose_fraction": signs.loose_fraction,
        "concavity": 1 - signs.convexity,
    }
    grades = {name: _LIMITS[name].grade(value) for name, value in values.items()}
    grade = max(grades.values())
    reasons = [
        _LIMITS[name].text.format(signs.convexity if name == "concavity" else values[name])
        for name, own in grades.items()
        if own > 0
    ]
    warnings = [f"boundaries are {VERDICTS[grade]}: {'; '.join(reasons)}"] if reasons else []
    needed = _LEAST_INTERCEPT_PX[grade]
    if signs.intercept_px < needed:
        grade = 2
        warnings.append(
            f"mean intercepts of {signs.intercept_px:.0f} px are too short for boundaries like these: "
            f"{needed:.0f} px are needed, so take the picture at a higher magnification"
        )
    return VERDICTS[grade], tuple(warnings)
