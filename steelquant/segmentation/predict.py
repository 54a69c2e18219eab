"""From a field's pixels to its labels: tiles through an engine, logits blended, strip by strip."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED
from steelquant.networks.registry import ModelInfo
from steelquant.segmentation.engine import Engine
from steelquant.segmentation.reach import DEEPLABS, halo_px
from steelquant.segmentation.tiles import SMALLEST_TILE_PX, TileGrid, fit_grid, pad_to_grid

PROBABILITY_LABEL = 1
"""The class whose probability is written: pearlite."""

_WHOLE_FIELD_PX = 3072
"""Networks that run in blocks get whole fields up to this size; larger ones are cut."""

_GPU_BATCH_PX = 9_000_000
"""Pixels that go through a GPU at once."""

_CONFIDENCE_STEP_PX = 4
"""Confidence is averaged over every fourth pixel each way: the decoders work at stride 4."""


@dataclass(frozen=True)
class Tiling:
    """How a field is cut and how much of it goes through the network at once.

    Attributes
    ----------
    tile_px
        Largest side of a tile.
    overlap_px
        Least overlap of neighbours.
    margin_px
        Border of a tile that has no say where a neighbour covers it.
    stride_px
        Origins and sizes are multiples of this.
    batch
        Tiles per call.
    """

    tile_px: int
    overlap_px: int
    margin_px: int
    stride_px: int
    batch: int

    def grid(self, height_px: int, width_px: int) -> TileGrid:
        """Fit the tiles to a field."""
        return fit_grid(
            height_px,
            width_px,
            tile_px=self.tile_px,
            overlap_px=self.overlap_px,
            stride_px=self.stride_px,
            margin_px=self.margin_px,
        )


@dataclass(frozen=True)
class Prediction:
    """What the network says of a field.

    Attributes
    ----------
    labels
        ``(height, width)`` uint8 labels, 255 where excluded.
    probability
        ``(height, width)`` uint8, 255 = surely pearlite; None unless asked for.
    confidence
        Mean probability of the chosen class over the counted pixels; None where none counts.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.uint8] | None
    confidence: float | None


def choose_tiling(
    info: ModelInfo, device: str, tile: int | None, overlap: float | None, *, crop_px: int = 224
) -> Tiling:
    """Choose tiles for a model on a device.

    Parameters
    ----------
    info
        The model.
    device
        Name of the device.
    tile
        Largest side (px), or None for the default: whole fields for DeepLabV3+, whose layers at high
        resolution run in blocks anyway; otherwise what stays in a processor's caches, or on a GPU what wastes
        little on overlaps.
    overlap
        Fraction of a tile, or None for the default: twice the model's halo, or a quarter where that is more
        than half a tile.
    crop_px
        Edge of the crops that the weights were trained on, which limits how far a network looks.
    """
    on_cpu = device == "cpu"
    halo = halo_px(info, crop_px)
    tile_px = tile or (_WHOLE_FIELD_PX if info.name in DEEPLABS else 576 if on_cpu else 1056)
    overlap_px = _affordable(2 * halo, tile_px) if overlap is None else round(overlap * tile_px)
    return Tiling(
        tile_px=tile_px,
        overlap_px=overlap_px,
        margin_px=halo,
        stride_px=info.stride_px,
        batch=1 if on_cpu else max(1, _GPU_BATCH_PX // tile_px**2),
    )


def _affordable(overlap_px: int, tile_px: int) -> int:
    """Return an overlap for which most of a tile is not done twice."""
    return overlap_px if overlap_px <= tile_px // 2 else tile_px // 4


class Predictor:
    """Predicts fields one after the other with what memory allows.

    Parameters
    ----------
    engine
        Runs the network.
    tiling
        What to begin with; memory that runs out makes it smaller for the rest of the run.
    scale
        The network sees the field resampled by this factor.
    tell
        Called once, with one sentence, when memory ran out.

    Attributes
    ----------
    network_seconds
        Time spent in the engine so far.
    """

    def __init__(
        self, engine: Engine, tiling: Tiling, *, scale: float = 1.0, tell: Callable[[str], None]
    ) -> None:
        self.engine = engine
        self.tiling = tiling
        self._scale = scale
        self._tell = tell
        self._has_told = False
        self.network_seconds = 0.0

    def describe(self) -> dict[str, Any]:
        """Return what predicts, where and in which tiles, for the record."""
        return {"name": self.engine.name, "device": self.engine.device, **asdict(self.tiling)}

    def predict(
        self, pixels: NDArray[np.uint8], excluded: NDArray[np.bool_] | None, *, probabilities: bool = False
    ) -> Prediction:
        """Label a field.

        Parameters
        ----------
        pixels
            ``(height, width, 3)`` uint8 RGB.
        excluded
            ``(height, width)`` bool, true where a pixel must not count; None where all count.
        probabilities
            Whether to keep the probability of pearlite.

        Raises
        ------
        MemoryError
            If not even single smallest tiles on the CPU fit into memory.
        """
        while True:
            try:
                return self._predict(pixels, excluded, probabilities)
            except MemoryError:
                self._back_off()

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a field's blended logits, ``(K, height, width)``; parameters as :meth:`predict`."""
        while True:
            try:
                return np.concatenate([strip.copy() for _, strip in self._field_strips(pixels)], axis=1)
            except MemoryError:
                self._back_off()

    def _predict(
        self, pixels: NDArray[np.uint8], excluded: NDArray[np.bool_] | None, probabilities: bool
    ) -> Prediction:
        shape = pixels.shape[:2]
        labels = np.empty(shape, np.uint8)
        probability = np.empty(shape, np.uint8) if probabilities else None
        confidence, counted = 0.0, 0
        step = _CONFIDENCE_STEP_PX
        for top, logits in self._field_strips(pixels):
            rows = slice(top, top + logits.shape[1])
            labels[rows] = _choose(logits)
            if probability is not None:
                probability[rows] = _as_bytes(_probability(logits, logits[PROBABILITY_LABEL]))
            sample = logits[:, ::step, ::step]
            certainty = _probability(sample, sample.max(axis=0))
            if excluded is not None:
                certainty = certainty[~excluded[rows][::step, ::step]]
            confidence += float(certainty.sum(dtype=np.float64))
            counted += certainty.size
        if excluded is not None:
            labels[excluded] = EXCLUDED
        return Prediction(labels, probability, confidence / counted if counted else None)

    def _field_strips(self, pixels: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the first row and the ``(K, rows, width)`` logits of strips at the field's own size."""
        if self._scale == 1:
            yield from self._strips(pixels)
            return
        height, width = pixels.shape[:2]
        size = max(1, round(width * self._scale)), max(1, round(height * self._scale))
        seen = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if self._scale < 1 else cv2.INTER_CUBIC)
        logits = np.concatenate(
            [strip.copy() for _, strip in self._strips(np.asarray(seen, np.uint8))], axis=1
        )
        back = cv2.INTER_LINEAR if self._scale < 1 else cv2.INTER_AREA
        yield 0, np.stack([cv2.resize(plane, (width, height), interpolation=back) for plane in logits])

    def _strips(self, pixels: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the strips between the origins of the rows of tiles; each is a view, valid until the next."""
        grid = self.tiling.grid(*pixels.shape[:2])
        padded = pad_to_grid(pixels, grid)
        height, width = grid.tile_shape
        rows, columns = grid.rows.origins_px, grid.columns.origins_px
        places = list(grid.tiles())
        canvas: NDArray[np.float32] | None = None
        current = 0
        for first in range(0, len(places), self.tiling.batch):
            batch = places[first : first + self.tiling.batch]
            tiles = [padded[rows[r] : rows[r] + height, columns[c] : columns[c] + width] for r, c in batch]
            start = time.perf_counter()
            predicted = self.engine.predict(np.stack(tiles))
            self.network_seconds += time.perf_counter() - start
            if len(places) == 1:
                yield 0, predicted[0, :, : grid.height_px, : grid.width_px]
                return
            for (row, column), logits in zip(batch, predicted, strict=True):
                if canvas is None:
                    canvas = np.zeros((len(logits), height, grid.columns.length_px), np.float32)
                if row != current:
                    step = rows[row] - rows[current]
                    yield rows[current], canvas[:, :step, : grid.width_px]
                    canvas[:, :-step] = canvas[:, step:]
                    canvas[:, -step:] = 0
                    current = row
                _add(canvas[:, :, columns[column] :], logits, grid, row, column)
        assert canvas is not None
        yield rows[current], canvas[:, : grid.height_px - rows[current], : grid.width_px]

    def _back_off(self) -> None:
        """Ask for less memory: smaller batches, then smaller tiles, then the CPU."""
        message = f"memory ran out on {self.engine.device}: going on with smaller batches, tiles or the CPU"
        if self.tiling.batch > 1:
            self.tiling = replace(self.tiling, batch=self.tiling.batch // 2)
        elif self.tiling.tile_px > SMALLEST_TILE_PX:
            smaller = max(self.tiling.tile_px // 2, SMALLEST_TILE_PX)
            overlap_px = _affordable(self.tiling.overlap_px, smaller)
            self.tiling = replace(self.tiling, tile_px=smaller, overlap_px=overlap_px)
        elif (on_cpu := self.engine.on_cpu()) is not None:
            self.engine = on_cpu
        else:
            raise MemoryError("not even single tiles fit into memory")
        if not self._has_told:
            self._tell(message)
            self._has_told = True


def _add(
    canvas: NDArray[np.float32], logits: NDArray[np.float32], grid: TileGrid, row: int, column: int
) -> None:
    """Add a tile's weighted logits, in place; only the overlaps are touched by the weights."""
    down, across = grid.rows.weights[row], grid.columns.weights[column]
    for part in grid.rows.overlaps(row):
        logits[:, part] *= down[part, None]
    for part in grid.columns.overlaps(column):
        logits[:, :, part] *= across[part]
    canvas[:, :, : logits.shape[2]] += logits


def _choose(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Label of the largest logit, the lower label where two are equal."""
    if len(logits) == 2:
        return (logits[1] > logits[0]).view(np.uint8)
    return logits.argmax(axis=0).astype(np.uint8)


def _probability(logits: NDArray[np.float32], of: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of one logit among ``(K, …)``; with two classes the sigmoid of their difference."""
    with np.errstate(over="ignore"):  # exp's infinity means a probability of 0
        total = np.exp(logits[0] - of)
        for logit in logits[1:]:
            total += np.exp(logit - of)
    return np.asarray(1 / total, np.float32)


def _as_bytes(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Scale 0 … 1 to 0 … 255; one half goes down, so that 128 and above is the label that was chosen."""
    return np.ceil(probability * 255 - 0.5).astype(np.uint8)
