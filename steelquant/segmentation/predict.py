"""From a field's pixels to its labels: tiles through an engine, with what memory allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.networks.familiarity import BLOCK_PX
from steelquant.segmentation.blending import Block, PaddedRows, ReadRows, blend
from steelquant.segmentation.deep_look import DeepSample
from steelquant.segmentation.engine import Engine
from steelquant.segmentation.scaling import field_tiling, predict_resampled
from steelquant.segmentation.strips import Strip, label_strips
from steelquant.segmentation.tiles import SMALLEST_TILE_PX
from steelquant.segmentation.tiling import Tiling


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
    deep
        What the network saw in the field.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.uint8] | None
    confidence: float | None
    deep: DeepSample


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
        engine = self.engine
        return {
            "name": engine.name,
            "version": engine.version,
            "device": engine.device,
            **asdict(self.tiling),
        }

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
                self.back_off()

    def fields_at_once(self, size_px: tuple[int, int]) -> int:
        """Return how many fields of this height and width :meth:`predict_together` takes."""
        grid = self.tiling.grid(*size_px)
        return self.tiling.at_once(grid) if len(grid) == 1 and self._scale == 1 else 1

    def predict_together(
        self,
        fields: Sequence[tuple[NDArray[np.uint8], NDArray[np.bool_] | None]],
        *,
        probabilities: bool = False,
    ) -> list[Prediction]:
        """Label fields of one size in one call of the engine, which keeps a GPU busy with small ones.

        Parameters
        ----------
        fields
            Pixels and what must not count of each, at most :meth:`fields_at_once`; otherwise as
            :meth:`predict`.

        Raises
        ------
        MemoryError
            As :meth:`predict`, for any of the fields.
        """
        if len(fields) > 1:
            grid = self.tiling.grid(*fields[0][0].shape[:2])
            tiles = [PaddedRows(partial(_rows_of, pixels), grid) for pixels, _ in fields]
            try:
                all_logits = self._run(np.stack([tile.slide(0, grid.tile_shape[0]) for tile in tiles]))
            except MemoryError:
                self.back_off()
            else:
                seen, predictions = self.engine.features, []
                for place, (pixels, excluded) in enumerate(fields):
                    logits = all_logits[place : place + 1]
                    deep = DeepSample(grid, BLOCK_PX)
                    deep.add(None if seen is None else seen[place : place + 1])
                    blocks = blend(partial(_known, logits), partial(_rows_of, pixels), grid, 1)
                    predictions.append(self._labelled(blocks, deep, pixels.shape[1], excluded, probabilities))
                return predictions
        return [self.predict(*field, probabilities=probabilities) for field in fields]

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a field's blended logits, ``(K, height, width)``; parameters as :meth:`predict`."""
        return self.look_into(pixels)[0]

    def look_into(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], DeepSample]:
        """Return a field's blended logits, ``(K, height, width)``, and what the network saw in it."""
        while True:
            try:
                blocks, deep = self._blocks(pixels)
                return _assembled(blocks, pixels.shape[:2]), deep
            except MemoryError:
                self.back_off()

    def strips(
        self,
        size_px: tuple[int, int],
        read_rows: ReadRows,
        read_excluded: Callable[[int, int], NDArray[np.bool_] | None],
        *,
        most_tile_px: int | None = None,
        probabilities: bool = False,
    ) -> tuple[Iterator[Strip], DeepSample]:
        """Label a field strip by strip, from top to bottom, with memory for one row of tiles.

        What the network saw is collected while the strips are asked for.

        Parameters
        ----------
        size_px
            Height and width of the field.
        read_rows, read_excluded
            Give its pixels, each row once, and what must not count; see
            :func:`steelquant.segmentation.blending.blend` and
            :func:`steelquant.segmentation.strips.label_strips`.
        most_tile_px
            Largest side of a tile, where the tiling would allow larger ones.
        probabilities
            Whether to keep the probability of pearlite.

        Raises
        ------
        MemoryError
            If memory runs out; after :meth:`back_off` the field can be begun anew.
        """
        tiling = self.tiling
        if most_tile_px is not None:
            tiling = tiling.limited(most_tile_px)
        if self._scale != 1:
            tiling = field_tiling(tiling, self._scale)
        grid = tiling.grid(*size_px)
        deep = DeepSample(grid, BLOCK_PX / self._scale)
        run = partial(self._run, deep=deep)
        if self._scale != 1:
            run = partial(predict_resampled, run, scale=self._scale, stride_px=self.tiling.stride_px)
        blocks = blend(run, read_rows, grid, tiling.at_once(grid))
        return label_strips(blocks, size_px[1], read_excluded, probabilities=probabilities), deep

    def _predict(
        self, pixels: NDArray[np.uint8], excluded: NDArray[np.bool_] | None, probabilities: bool
    ) -> Prediction:
        return self._labelled(*self._blocks(pixels), pixels.shape[1], excluded, probabilities)

    def _labelled(
        self,
        blocks: Iterable[Block],
        deep: DeepSample,
        width_px: int,
        excluded: NDArray[np.bool_] | None,
        probabilities: bool,
    ) -> Prediction:
        strips = list(
            label_strips(
                blocks,
                width_px,
                lambda first, end: None if excluded is None else excluded[first:end],
                probabilities=probabilities,
            )
        )
        counted = sum(strip.counted for strip in strips)
        return Prediction(
            labels=_joined([strip.labels for strip in strips]),
            probability=_joined([strip.probability for strip in strips if strip.probability is not None])
            if probabilities
            else None,
            confidence=sum(strip.certainty for strip in strips) / counted if counted else None,
            deep=deep,
        )

    def _blocks(self, pixels: NDArray[np.uint8]) -> tuple[Iterator[Block], DeepSample]:
        """Return the blocks of a field at its own size, and what the network sees while they are made."""
        height, width = pixels.shape[:2]
        if self._scale == 1:
            return self._unscaled_blocks(pixels)
        size = max(1, round(width * self._scale)), max(1, round(height * self._scale))
        seen = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if self._scale < 1 else cv2.INTER_CUBIC)
        blocks, deep = self._unscaled_blocks(np.asarray(seen, np.uint8))
        logits = _assembled(blocks, size[::-1])
        back = cv2.INTER_LINEAR if self._scale < 1 else cv2.INTER_AREA
        planes = [cv2.resize(plane, (width, height), interpolation=back) for plane in logits]
        return iter([Block(0, 0, np.stack(planes))]), deep

    def _unscaled_blocks(self, pixels: NDArray[np.uint8]) -> tuple[Iterator[Block], DeepSample]:
        grid = self.tiling.grid(*pixels.shape[:2])
        deep = DeepSample(grid, BLOCK_PX)
        run = partial(self._run, deep=deep)
        return blend(run, partial(_rows_of, pixels), grid, self.tiling.at_once(grid)), deep

    def _run(self, tiles: NDArray[np.uint8], deep: DeepSample | None = None) -> NDArray[np.float32]:
        """Run the engine, note how long it takes, and collect what the network sees."""
        start = time.perf_counter()
        try:
            logits = self.engine.predict(tiles)
        finally:
            self.network_seconds += time.perf_counter() - start
        if deep is not None:
            deep.add(self.engine.features)
        return logits

    def back_off(self) -> None:
        """Ask for less memory: smaller batches, then smaller tiles, then the CPU.

        Raises
        ------
        MemoryError
            If that has been tried already.
        """
        message = f"memory ran out on {self.engine.device}: going on with smaller batches, tiles or the CPU"
        if self.tiling.batch > 1:
            self.tiling = replace(self.tiling, batch=self.tiling.batch // 2)
        elif self.tiling.tile_px > SMALLEST_TILE_PX:
            self.tiling = self.tiling.limited(max(self.tiling.tile_px // 2, SMALLEST_TILE_PX))
        elif (on_cpu := self.engine.on_cpu()) is not None:
            self.engine = on_cpu
        else:
            raise MemoryError("not even single tiles fit into memory")
        if not self._has_told:
            self._tell(message)
            self._has_told = True


def _assembled(blocks: Iterable[Block], size_px: tuple[int, int]) -> NDArray[np.float32]:
    """Put the blocks of a field together, ``(K, height, width)``."""
    field: NDArray[np.float32] | None = None
    for top, left, logits in blocks:
        count, height, width = logits.shape
        if field is None:
            field = np.empty((count, *size_px), np.float32)
        field[:, top : top + height, left : left + width] = logits
    assert field is not None
    return field


def _known(logits: NDArray[np.float32], _: NDArray[np.uint8]) -> NDArray[np.float32]:
    return logits


def _rows_of(pixels: NDArray[np.uint8], first: int, end: int) -> NDArray[np.uint8]:
    return pixels[first:end]


def _joined(strips: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return strips[0] if len(strips) == 1 else np.concatenate(strips)
