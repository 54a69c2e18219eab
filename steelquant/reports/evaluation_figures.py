"""The plots of an evaluation: confusion (the paper's Figure 10), reliability, sizes, robustness."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from steelquant.learning.evaluation_results import Evaluation, MethodResult
from steelquant.learning.metrics import normalised_by_row
from steelquant.learning.paper_results import PAPER_FIGURE_10
from steelquant.learning.tables import set_words
from steelquant.micrograph.files import atomic_write

PLOTS = ("confusion.png", "reliability.png", "region-sizes.png", "robustness.png")

_DPI = 120
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def draw_figures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Draw all plots that the evaluation has something for, as PNG.

    Returns
    -------
    list of Path
        The files written.
    """
    confusion, calibration, sizes, robustness = PLOTS
    plots = {confusion: _confusions(evaluation)}
    if any(m.reliability for m in evaluation.methods):
        plots[calibration] = _reliability(evaluation)
    if any(m.sizes for m in evaluation.methods):
        plots[sizes] = _sizes(evaluation)
    if evaluation.robustness is not None:
        plots[robustness] = _robustness(evaluation)
    for name, figure in plots.items():
        save(figure, folder / name)
    return [folder / name for name in plots]


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all, without a date in it."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI, metadata={"Software": None})


def _confusions(evaluation: Evaluation) -> Figure:
    methods, names = evaluation.methods, [c.name for c in evaluation.data.classes]
    columns = min(3, len(methods))
    rows = math.ceil(len(methods) / columns)
    figure = Figure(figsize=(0.8 + 3.4 * columns, 0.9 + 4.1 * rows), layout="constrained")
    figure.suptitle(f"Confusion, rows divided by their sums\n{set_words(evaluation)}", fontsize=9)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(methods) :]:
        axis.set_axis_off()
    for axis, method in zip(axes.flat, methods, strict=False):
        shares = normalised_by_row(method.confusion)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (true, found), share in np.ndenumerate(shares):
            colour = "white" if share > 0.6 else "black"
            axis.text(found, true, f"{100 * share:.1f} %", ha="center", va="center", color=colour)
        axis.set_title(f"{method.title}{_papers_diagonal(method, len(names))}", fontsize=9)
        axis.set_xticks(range(len(names)), names, fontsize=8)
        axis.set_yticks(range(len(names)), names, rotation=90, va="center", fontsize=8)
        axis.set_xlabel("predicted", fontsize=8)
        axis.set_ylabel("true", fontsize=8)
    return figure


def _papers_diagonal(method: MethodResult, classes: int) -> str:
    if classes != 2 or method.name not in PAPER_FIGURE_10:
        return ""
    ferrite, pearlite = PAPER_FIGURE_10[method.name]
    return f"\n(the paper's diagonal: {100 * ferrite:.1f}, {100 * pearlite:.1f} %)"


def _reliability(evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(6, 6), layout="constrained")
    axis = figure.add_subplot()
    lowest = 1 / len(evaluation.data.classes)
    axis.plot([lowest, 1], [lowest, 1], color="grey", ls=":", label="perfect")
    for number, method in enumerate(m for m in evaluation.methods if m.reliability):
        bins = method.reliability
        assert bins is not None
        used = bins.counts > 0
        axis.plot(
            bins.confidence[used] / bins.counts[used],
            bins.correct[used] / bins.counts[used],
            marker="o",
            ms=4,
            color=_COLOURS[number % len(_COLOURS)],
            label=f"{method.title}, error {bins.expected_calibration_error:.4f}",
        )
    axis.set_xlabel("confidence: probability of the predicted class")
    axis.set_ylabel("accuracy: share of these pixels predicted right")
    axis.set_title(f"Reliability\n{set_words(evaluation)}", fontsize=9)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def _sizes(evaluation: Evaluation) -> Figure:
    methods, classes = evaluation.methods, evaluation.data.classes
    figure = Figure(figsize=(5 * len(classes), 0.8 + 2.4 * len(methods)), layout="constrained")
    figure.suptitle(f"Areas of connected regions\n{set_words(evaluation)}", fontsize=9)
    axes = figure.subplots(len(methods), len(classes), squeeze=False)
    for line, method in zip(axes, methods, strict=True):
        for axis, check in zip(line, method.sizes, strict=True):
            left = np.arange(len(check.true_density)) * check.bin_width
            for density, colour, word in (
                (check.true_density, "black", "true"),
                (check.found_density, _COLOURS[1], "found"),
            ):
                axis.step(left, density, where="post", color=colour, label=word, lw=1)
            error = 100 * check.relative_error("mean")
            name = classes[check.label].name
            axis.set_title(f"{method.title}: {name}, mean {error:+.1f} %", fontsize=8)
            axis.set_xlim(0, max(check.bin_width * 30, 1))
            axis.set_xlabel(f"area ({check.unit}), bins of {check.bin_width:g}", fontsize=8)
            axis.set_ylabel(f"density (1/{check.unit})", fontsize=8)
            axis.tick_params(labelsize=7)
            axis.legend(fontsize=7)
    return figure


def _robustness(evaluation: Evaluation) -> Figure:
    robustness = evaluation.robustness
    assert robustness is not None
    names = ("clean", *robustness.names)
    figure = Figure(figsize=(9, 1.2 + 0.36 * len(names)), layout="constrained")
    axis = figure.add_subplot()
    places = np.arange(len(names))
    for number, method in enumerate(evaluation.methods):
        values = [method.scores.mean_iou, *robustness.mean_iou(method.name)]
        marker = "x" if method.name == "otsu" else "o"
        colour = _COLOURS[number % len(_COLOURS)]
        axis.plot(values, places, marker=marker, ls="", ms=6, label=method.title, color=colour)
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.grid(alpha=0.3)
    axis.set_xlabel("mean IoU")
    axis.set_title(f"Robustness\n{set_words(evaluation)}", fontsize=9)
    axis.legend(fontsize=8)
    return figure
