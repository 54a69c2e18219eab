"""An evaluation as tables: the paper's Table 4, per class, per image, and the confusion."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from steelquant.learning.evaluation_checks import (
    area_table,
    calibration_table,
    difference_table,
    robustness_table,
    size_table,
)
from steelquant.learning.evaluation_results import Evaluation
from steelquant.learning.metrics import BF_TOLERANCE, nan_mean, normalised_by_row, scores
from steelquant.learning.paper_results import PAPER_TABLE_4
from steelquant.learning.tables import Table, Value, set_words


def table_4(evaluation: Evaluation) -> Table:
    """Return the paper's Table 4: every method, and the paper's figures below its models."""
    rows: list[tuple[Value, ...]] = []
    two_phases = len(evaluation.data.classes) == 2
    for method in evaluation.methods:
        found = method.scores
        megapixels = sum(s.height_px * s.width_px for s in method.samples) / 1e6
        rows.append(
            (
                method.title,
                found.global_accuracy,
                found.mean_accuracy,
                found.mean_iou,
                found.weighted_iou,
                method.mean_bf,
                method.seconds / megapixels,
            )
        )
        if two_phases and (paper := PAPER_TABLE_4.get(method.name)):
            rows.append(("  the paper's", *paper, None))
    height, width = evaluation.sizes_px[0]
    tolerance = BF_TOLERANCE * math.hypot(height, width)
    notes = [
        f"BF compares at one size only: here boundaries may be {tolerance:.2f} px off, in the paper 2.38 px.",
    ]
    if two_phases:
        notes.append(
            "The paper's figures are of its own 734 crops, split at random with turned twins on both sides."
        )
    if evaluation.unlabelled > 0:
        notes.append(
            f"{100 * evaluation.unlabelled:.1f} % of the pixels are unlabelled and count nowhere; where they "
            "lie along boundaries, these figures are better than on fully labelled fields."
        )
    if evaluation.data.split == "random":
        notes.append("The split is random: turned twins were trained on, the figures are optimistic.")
    return Table(
        "Models",
        f"Table 4 on {set_words(evaluation)}",
        ("model", "global acc", "mean acc", "mean IoU", "weighted IoU", "mean BF", "s per Mpx"),
        tuple(rows),
        tuple(notes),
    )


def class_table(evaluation: Evaluation) -> Table:
    """Return accuracy, IoU and BF score of every class."""
    rows = []
    for method in evaluation.methods:
        found, boundaries = method.scores, np.array([s.bf for s in method.samples])
        for phase in evaluation.data.classes:
            k = phase.label
            rows.append(
                (
                    method.title,
                    phase.name,
                    found.class_accuracy[k],
                    found.class_iou[k],
                    nan_mean(boundaries[:, k]),
                    int(method.confusion[k].sum()),
                )
            )
    return Table(
        "Classes",
        f"Per class, {set_words(evaluation)}",
        ("model", "class", "accuracy", "IoU", "mean BF", "true pixels"),
        tuple(rows),
    )


def image_table(evaluation: Evaluation) -> Table:
    """Return every method on every field or crop."""
    classes = evaluation.data.classes
    rows: list[tuple[Value, ...]] = []
    for method in evaluation.methods:
        for sample in method.samples:
            found = scores(sample.confusion)
            rows.append(
                (
                    sample.name,
                    method.title,
                    sample.width_px,
                    sample.height_px,
                    found.global_accuracy,
                    found.mean_iou,
                    *found.class_iou,
                    nan_mean(sample.bf),
                    *(float(v) for v in sample.true_fractions),
                    *(float(v) for v in sample.found_fractions),
                )
            )
    return Table(
        "Images",
        f"Per image, {set_words(evaluation)}",
        (
            *("image", "model", "width px", "height px", "global acc", "mean IoU"),
            *(f"IoU {c.name}" for c in classes),
            "BF",
            *(f"true fraction {c.name}" for c in classes),
            *(f"found fraction {c.name}" for c in classes),
        ),
        tuple(rows),
    )


def confusion_table(evaluation: Evaluation) -> Table:
    """Return the row-normalised confusion matrices, with the pixels behind them."""
    names = [c.name for c in evaluation.data.classes]
    rows: list[tuple[Value, ...]] = []
    for method in evaluation.methods:
        shares = normalised_by_row(method.confusion)
        for k, name in enumerate(names):
            pixels = (int(v) for v in method.confusion[k])
            rows.append((method.title, name, *(float(v) for v in shares[k]), *pixels))
    found = (*(f"found {n}" for n in names), *(f"pixels found {n}" for n in names))
    title = f"Confusion, rows divided by their sums, {set_words(evaluation)}"
    return Table("Confusion", title, ("model", "true class", *found), tuple(rows))


def all_tables(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the tables of the workbook."""
    yield table_4(evaluation)
    yield class_table(evaluation)
    yield image_table(evaluation)
    yield confusion_table(evaluation)
    yield area_table(evaluation)
    if any(method.sizes for method in evaluation.methods):
        yield size_table(evaluation)
    yield calibration_table(evaluation)
    yield difference_table(evaluation)
    if evaluation.robustness is not None:
        yield robustness_table(evaluation)


def closing_tables(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the tables that the terminal shows."""
    yield table_4(evaluation)
    yield area_table(evaluation)
    if len(evaluation.methods) > 1:
        yield difference_table(evaluation, only_best=True)
    if evaluation.robustness is not None:
        yield robustness_table(evaluation)
