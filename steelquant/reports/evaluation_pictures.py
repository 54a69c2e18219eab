"""Pictures to judge an evaluation by: sheets as the paper's Figures 11 to 13, and the worst crops."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steelquant.learning.degradation import CLEAN, DEGRADATIONS
from steelquant.learning.evaluation_set import Sample, grid_crops
from steelquant.micrograph.field import EXCLUDED, PhaseClass
from steelquant.reports.evaluation_figures import save

DEGRADATIONS_PLOT = "degradations.png"

SHEETS = 12
"""At most so many sheets, spread evenly over the fields."""

WORST = 8
"""Crops per method in the picture of its worst."""

_PANEL_PX = 480
_LEAST_LABELLED = 0.25
_TOO_MUCH = (213, 94, 0)
_TOO_LITTLE = (0, 114, 178)
_UNLABELLED = (128, 128, 128)


class _Bad(NamedTuple):
    """A badly segmented crop; ``order`` keeps equal ones comparable and the outcome deterministic."""

    wrong: float
    order: int
    caption: str
    pixels: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    found: NDArray[np.uint8]


class Gallery:
    """Collects pictures while an evaluation runs, and writes them.

    Parameters
    ----------
    folder
        Where ``sheets/`` and ``worst/`` go.
    classes
        For the colours.
    methods
        Name and title of each method.
    fields
        Number of fields of the set.
    crop_px
        Edge of the worst crops.
    """

    def __init__(
        self,
        folder: Path,
        classes: tuple[PhaseClass, ...],
        methods: Sequence[tuple[str, str]],
        *,
        fields: int,
        crop_px: int,
    ) -> None:
        self._folder = folder
        self._palette = np.full((256, 3), _UNLABELLED, np.uint8)
        for phase in classes:
            self._palette[phase.label] = phase.colour
        self._classes = classes
        self._methods = tuple(methods)
        self._wanted = set(np.linspace(0, fields - 1, min(SHEETS, fields)).round().astype(int).tolist())
        self._crop_px = crop_px
        self._worst: list[list[_Bad]] = [[] for _ in methods]
        self._order = count()

    def add(self, sample: Sample, labels: Sequence[NDArray[np.uint8]]) -> None:
        """Take a sample and the labels that the methods gave it."""
        if sample.image in self._wanted:
            self._wanted.remove(sample.image)
            self._draw_sheet(sample, labels)
        for worst, found in zip(self._worst, labels, strict=True):
            self._note_worst(worst, sample, found)

    def finish(self) -> None:
        """Write the worst crops of every method."""
        for (name, title), worst in zip(self._methods, self._worst, strict=True):
            rows = sorted(worst, key=lambda bad: (-bad.wrong, bad.order))
            if rows:
                save(self._worst_figure(title, rows), self._folder / "worst" / f"{_file_name(name)}.png")

    def _draw_sheet(self, sample: Sample, labels: Sequence[NDArray[np.uint8]]) -> None:
        columns = 2 + len(labels)
        height = sample.truth.shape[0] / sample.truth.shape[1]
        figure = Figure(figsize=(4 * columns, 2 * (4 * height + 0.5)), dpi=100, layout="constrained")
        axes = figure.subplots(2, columns)
        truth = self._palette[sample.truth]
        _show(axes[0, 0], sample.pixels, sample.name)
        _show(axes[0, 1], truth, "truth")
        self._legend(axes[1, 0])
        _strip(axes[1, 1])
        for column, ((_, title), found) in enumerate(zip(self._methods, labels, strict=True), 2):
            counted = sample.truth != EXCLUDED
            wrong = float((found != sample.truth)[counted].mean())
            _show(axes[0, column], self._palette[found], title)
            _show(
                axes[1, column], self._differences(sample.pixels, sample.truth, found), f"{wrong:.2%} wrong"
            )
        save(figure, self._folder / "sheets" / f"{_file_name(sample.field.image.stem)}.png")

    def _legend(self, axis: Any) -> None:
        _strip(axis)
        entries = [(c.colour, c.name) for c in self._classes] + [(_UNLABELLED, "unlabelled")]
        if len(self._classes) == 2:
            second = self._classes[1].name
            entries += [
                (_TOO_MUCH, f"differences: {second} too much"),
                (_TOO_LITTLE, f"differences: {second} missed"),
            ]
        else:
            entries += [(_TOO_MUCH, "differences: wrong")]
        for colour, text in entries:
            axis.scatter([], [], marker="s", s=120, color=[np.array(colour) / 255], label=text)
        axis.legend(loc="center", fontsize=11, frameon=False)

    def _differences(
        self, pixels: NDArray[np.uint8], truth: NDArray[np.uint8], found: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Return the picture, paled, with wrong pixels in colour."""
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        picture = np.repeat((128 + grey // 2)[..., None], 3, axis=2).astype(np.uint8)
        wrong = (found != truth) & (truth != EXCLUDED)
        picture[truth == EXCLUDED] = _UNLABELLED
        picture[wrong] = _TOO_MUCH
        if len(self._classes) == 2:
            picture[wrong & (found == 0)] = _TOO_LITTLE
        return picture

    def _note_worst(self, worst: list[_Bad], sample: Sample, found: NDArray[np.uint8]) -> None:
        edge, truth = self._crop_px, sample.truth
        for crop in grid_crops(sample.image, truth.shape[0], truth.shape[1], edge):
            window = np.s_[crop.y : crop.y + edge, crop.x : crop.x + edge]
            counted = truth[window] != EXCLUDED
            if counted.mean() < _LEAST_LABELLED:
                continue
            wrong = float((found[window] != truth[window])[counted].mean())
            if len(worst) == WORST and wrong <= worst[0].wrong:
                continue
            place = "" if truth.shape == (edge, edge) else f" y{crop.y} x{crop.x}"
            bad = _Bad(
                wrong,
                -next(self._order),
                f"{sample.name}{place}",
                sample.pixels[window].copy(),
                truth[window].copy(),
                found[window].copy(),
            )
            (heapq.heappush if len(worst) < WORST else heapq.heapreplace)(worst, bad)

    def _worst_figure(self, title: str, rows: Sequence[_Bad]) -> Figure:
        figure = Figure(figsize=(9, 0.6 + 2.35 * len(rows)), layout="constrained")
        figure.suptitle(f"{title}: its {len(rows)} worst crops of {self._crop_px}² px", fontsize=10)
        axes = figure.subplots(len(rows), 4, squeeze=False)
        for line, bad in zip(axes, rows, strict=True):
            _show(line[0], bad.pixels, bad.caption, 7)
            _show(line[1], self._palette[bad.truth], "truth", 7)
            _show(line[2], self._palette[bad.found], "found", 7)
            _show(line[3], self._differences(bad.pixels, bad.truth, bad.found), f"{bad.wrong:.1%} wrong", 7)
        return figure


def _show(axis: Any, picture: NDArray[np.uint8], title: str, size: int = 11) -> None:
    """Draw a picture reduced by area averaging, so that thin errors fade but never vanish."""
    factor = _PANEL_PX / picture.shape[1]
    if factor < 1:
        shape = _PANEL_PX, max(1, round(picture.shape[0] * factor))
        picture = np.asarray(cv2.resize(picture, shape, interpolation=cv2.INTER_AREA), np.uint8)
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title, fontsize=size)
    _strip(axis)


def _strip(axis: Any) -> None:
    """Take away frame and ticks; ticks that are only hidden are laid out all the same, slowly."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_axis_off()


def _file_name(name: str) -> str:
    """Replace what cannot stand in a file name, as in ``smp:unet:resnet34``."""
    return "".join("-" if letter in ':/\\*?"<>|' else letter for letter in name)


def draw_degradations(path: Path, sample: Sample, seed: tuple[int, ...]) -> None:
    """Draw one field under every degradation, to see what the robustness figures are of."""
    columns = 4
    shown = (CLEAN, *DEGRADATIONS)
    rows = -(-len(shown) // columns)
    height = sample.truth.shape[0] / sample.truth.shape[1]
    figure = Figure(figsize=(4 * columns, rows * (4 * height + 0.35)), layout="constrained")
    axes = figure.subplots(rows, columns)
    for axis in axes.flat:
        _strip(axis)
    for axis, degradation in zip(axes.flat, shown, strict=False):
        pixels, _ = degradation.apply(sample.pixels, sample.truth, seed)
        _show(axis, pixels, degradation.name)
    save(figure, path)
