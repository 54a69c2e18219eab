"""What the paper does not report: area fractions, sizes, calibration, real differences, robustness."""

from __future__ import annotations

import math

import numpy as np

from steelquant.learning.evaluation_results import Evaluation
from steelquant.learning.size_distribution import BACHMANN_MEAN_ERROR
from steelquant.learning.tables import Table, Value, set_words

BASELINE = "otsu"
PEARLITE = 1


def area_table(evaluation: Evaluation) -> Table:
    """Return the errors of the areal fractions, and the calibration of the probabilities."""
    classes = evaluation.data.classes
    shown = [classes[PEARLITE]] if len(classes) == 2 else classes
    rows: list[tuple[Value, ...]] = []
    for method in evaluation.methods:
        for phase in shown:
            e = method.area_error(phase.label)
            error = method.reliability.expected_calibration_error if method.reliability else None
            rows.append((method.title, phase.name, e.signed_mean, e.mean_absolute, e.largest, e.worst, error))
    return Table(
        "Area fractions",
        f"Error of the areal fraction (found less true) and calibration, {set_words(evaluation)}",
        ("model", "class", "signed mean", "mean absolute", "largest", "on", "calibration error"),
        tuple(rows),
        ("Calibration error: mean distance of confidence from accuracy, 15 bins (ECE).",),
    )


def size_table(evaluation: Evaluation) -> Table:
    """Return the check of region sizes after Bachmann et al."""
    rows: list[tuple[Value, ...]] = []
    for method in evaluation.methods:
        for check in method.sizes:
            true, found = check.true, check.found
            rows.append(
                (
                    method.title,
                    evaluation.data.classes[check.label].name,
                    check.unit,
                    true.count,
                    found.count,
                    true.mean,
                    found.mean,
                    check.relative_error("mean"),
                    true.median,
                    found.median,
                    check.relative_error("median"),
                    true.standard_deviation,
                    found.standard_deviation,
                    check.relative_error("standard_deviation"),
                    check.bin_width,
                )
            )
    return Table(
        "Region sizes",
        f"Areas of connected regions away from the frame, {set_words(evaluation)}",
        (
            *("model", "class", "unit", "n true", "n found", "mean true", "mean found", "error of mean"),
            *("median true", "median found", "error of median", "s true", "s found", "error of s"),
            "bin width",
        ),
        tuple(rows),
        (f"Bachmann et al. 2022: mean off by {100 * BACHMANN_MEAN_ERROR:.1f} % (grains, bins of 500 µm²).",),
    )


def calibration_table(evaluation: Evaluation) -> Table:
    """Return the bins of the reliability plot."""
    rows: list[tuple[Value, ...]] = []
    for method in evaluation.methods:
        if method.reliability is None:
            continue
        bins = method.reliability
        for n in np.flatnonzero(bins.counts):
            count = int(bins.counts[n])
            rows.append(
                (
                    method.title,
                    n / len(bins.counts),
                    float(bins.confidence[n] / count),
                    float(bins.correct[n] / count),
                    count,
                )
            )
    return Table(
        "Calibration",
        f"Reliability of the probabilities, {set_words(evaluation)}",
        ("model", "bin from", "mean confidence", "accuracy", "pixels"),
        tuple(rows),
    )


def difference_table(evaluation: Evaluation, *, only_best: bool = False) -> Table:
    """Return the differences of mean IoU with their confidence intervals."""
    titles = {m.name: m.title for m in evaluation.methods}
    best = evaluation.best.name
    rows: list[tuple[Value, ...]] = []
    for d in evaluation.differences:
        if only_best and best not in (d.first, d.second):
            continue
        sign = -1 if only_best and d.second == best else 1
        low, high = (d.low, d.high) if sign > 0 else (-d.high, -d.low)
        first, second = (d.first, d.second) if sign > 0 else (d.second, d.first)
        verdict = "–" if math.isnan(low) else "yes" if d.is_real else "no"
        rows.append((titles[first], titles[second], sign * d.mean_iou, low, high, verdict))
    note = f"Paired bootstrap over the {evaluation.fields} images, 10,000 draws, 95 % percentile interval."
    if evaluation.fields < 10:
        note += " With so few images the intervals are too narrow; read them as a hint."
    return Table(
        "Differences",
        f"Mean IoU, first less second, {set_words(evaluation)}",
        ("first", "second", "difference", "low", "high", "real"),
        tuple(rows),
        (note,),
    )


def robustness_table(evaluation: Evaluation) -> Table:
    """Return the mean IoU of every method under every degradation, and what that costs."""
    robustness = evaluation.robustness
    assert robustness is not None
    methods = evaluation.methods
    values = {m.name: np.array(robustness.mean_iou(m.name)) for m in methods}
    rows: list[tuple[Value, ...]] = [("clean", *(m.scores.mean_iou for m in methods))]
    rows += [(name, *(float(values[m.name][n]) for m in methods)) for n, name in enumerate(robustness.names)]
    means = {m.name: float(values[m.name].mean()) for m in methods}
    rows.append(("mean of all degraded", *means.values()))
    if BASELINE in means:
        rows.append(("  less Otsu's", *(mean - means[BASELINE] for mean in means.values())))
    rows.append(("largest cost", *(m.scores.mean_iou - float(values[m.name].min()) for m in methods)))
    others = [n for n, name in enumerate(robustness.names) if name != "scale ×0.5"]
    rows.append(("  ×0.5 aside", *(m.scores.mean_iou - float(values[m.name][others].min()) for m in methods)))
    return Table(
        "Robustness",
        f"Mean IoU on degraded fields, {set_words(evaluation)}",
        ("degradation", *(m.title for m in methods)),
        tuple(rows),
    )
