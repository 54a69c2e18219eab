"""What a training run measured as it went: rows, their CSV and their curves."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from steelquant.micrograph.files import atomic_write


@dataclass(frozen=True)
class Measurement:
    """One validation interval.

    Attributes
    ----------
    iteration
        Iterations done.
    epoch
        Passes over the training crops done.
    training_loss, training_accuracy
        Means over the interval's batches, with augmentation and dropout on; accuracy of counted pixels.
    validation_loss, validation_accuracy, validation_miou
        Over the validation crops.
    images_per_second
        Training throughput over the interval, validation left out.
    seconds
        Training and validation time since the start, interruptions left out.
    """

    iteration: int
    epoch: float
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float
    validation_miou: float
    images_per_second: float
    seconds: float


def write_history(path: Path, rows: list[Measurement]) -> None:
    """Write the measurements as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Measurement)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _rounded(value) for name, value in asdict(row).items()})
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _rounded(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def draw_curves(path: Path, rows: list[Measurement], title: str) -> None:
    """Draw accuracy and loss against iterations, as the paper's Figures 5 to 9, into a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    accuracy, loss = figure.subplots(2, 1, sharex=True)
    iterations = [row.iteration for row in rows]
    for axis, kind in ((accuracy, "accuracy"), (loss, "loss")):
        factor = 100 if kind == "accuracy" else 1
        for part, style in (
            ("training", {"color": "#0072B2"}),
            ("validation", {"color": "black", "ls": "--"}),
        ):
            values = [factor * getattr(row, f"{part}_{kind}") for row in rows]
            axis.plot(iterations, values, marker="o", ms=3, label=part, **style)
        axis.grid(alpha=0.3)
        axis.legend()
    accuracy.set_title(title)
    accuracy.set_ylabel("pixel accuracy (%)")
    loss.set_ylabel("loss")
    loss.set_xlabel("iteration")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def clock(seconds: float) -> str:
    """Return ``hh:mm:ss``."""
    whole = round(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
