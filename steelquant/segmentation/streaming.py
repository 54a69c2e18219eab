"""Very large fields, read, segmented and written from top to bottom at once.

Memory is needed for a row of tiles, whatever the field's height: bands of rows are read ahead in one thread,
the caller's thread predicts, and a third thread deflates what is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.excluded_rows import ExcludedRows
from steelquant.micrograph.field import EXCLUDED, Micrograph
from steelquant.micrograph.masks import mask_pyramid, probability_pyramid
from steelquant.micrograph.mosaic import Band, Mosaic
from steelquant.micrograph.overlay import write_overlay
from steelquant.micrograph.overview import Overview, overview_factor
from steelquant.micrograph.pyramid import PyramidWriter
from steelquant.micrograph.reduction import RowReducer
from steelquant.segmentation.ahead import read_ahead
from steelquant.segmentation.job import Job
from steelquant.segmentation.look import Sample
from steelquant.segmentation.predict import Prediction, Predictor
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.stages import done_result
from steelquant.segmentation.strips import Strip

_TILE_PX = 2048
"""Largest tile unless ``--tile`` says otherwise: what a network needs beside its weights grows with a tile's
area; MobileNetV2 in OpenVINO takes 2.0 GiB for 3072² px, 1.0 for 2048² at the same speed."""

_AHEAD_BYTES = 128 * 2**20
"""Pixels that are read ahead of the network."""


def segment_mosaic(
    job: Job,
    field: FieldResult,
    mosaic: Mosaic,
    predictor: Predictor,
    on_rows: Callable[[int], None],
) -> FieldResult:
    """Segment a very large field and write its files.

    Where memory runs out the field is begun anew with smaller tiles.

    Parameters
    ----------
    job, field
        What to do, and the field with hash, size and scale.
    mosaic
        Reads its pixels.
    predictor
        Runs the network.
    on_rows
        Called with the number of rows done so far; what it raises ends the work.

    Returns
    -------
    FieldResult
        Without the time it took.

    Raises
    ------
    FileError
        If the field cannot be read, its exclusion does not fit it, or a file cannot be written.
    MemoryError
        If not even single smallest tiles on the CPU fit into memory.
    """
    while True:
        try:
            return _attempt(job, field, mosaic, predictor, on_rows)
        except MemoryError:
            predictor.back_off()


def _attempt(
    job: Job, field: FieldResult, mosaic: Mosaic, predictor: Predictor, on_rows: Callable[[int], None]
) -> FieldResult:
    size = mosaic.height_px, mosaic.width_px
    folder = job.options.output
    certainty, counted = 0.0, 0
    sample = Sample(*size, job.options.scale)
    with _Rows(job, mosaic, sample) as rows, _Outputs(job, field, mosaic, sample) as outputs:
        strips, deep = predictor.strips(
            size,
            rows.read,
            rows.excluded,
            most_tile_px=None if job.options.tile else _TILE_PX,
            probabilities=job.options.probabilities,
        )
        for strip in strips:
            outputs.add(strip)
            certainty += strip.certainty
            counted += strip.counted
            on_rows(strip.top_px + len(strip.labels))
        labels = outputs.small_labels()
        excluded_px = outputs.counts_px[EXCLUDED]
        if excluded_px == size[0] * size[1]:
            raise FileError(field.path, "the exclusion leaves nothing of the field")
        outputs.finish()
    overview = rows.overview
    write_overlay(folder / field.overlay, overview.mean(), labels, job.classes)
    factor = overview_factor(*size)
    note = f"is very large: segmented in strips, its overlay reduced {factor} times"
    sparse = Micrograph(
        path=field.path,
        page=field.page,
        pixels=overview.sample(),
        excluded=labels == EXCLUDED if excluded_px else None,
        calibration=mosaic.calibration,
        sha256=field.sha256 or "",
        warnings=(*mosaic.warnings, *overview.edge_remarks(), note),
    )
    return done_result(
        job,
        dataclasses.replace(field, excluded_px=excluded_px),
        sparse,
        Prediction(labels, None, certainty / counted if counted else None, deep),
        {phase.name: outputs.counts_px[phase.label] for phase in job.classes},
        sample.look(),
    )


class _Rows:
    """The rows of a mosaic, read ahead, with what must not count of them; a context manager."""

    def __init__(self, job: Job, mosaic: Mosaic, sample: Sample) -> None:
        size = mosaic.height_px, mosaic.width_px
        self.overview = Overview(*size)
        self._sample = sample
        try:
            self._exclusion = ExcludedRows(job.options.exclusion, *size) if job.options.exclusion else None
        except UsageError as error:
            raise FileError(mosaic.path, str(error)) from error  # other fields of the run it may fit
        self._bands = read_ahead(
            self._watched(mosaic), lambda band: _AHEAD_BYTES // max(1, band.pixels.nbytes)
        )
        self._pixels = np.empty((0, mosaic.width_px, 3), np.uint8)
        self._transparent: deque[NDArray[np.bool_]] = deque()

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self._bands.close()

    def read(self, first: int, end: int) -> NDArray[np.uint8]:
        """Return some of the rows asked for, as `steelquant.segmentation.blending.blend` wants them."""
        if not len(self._pixels):
            self._pixels, transparent = next(self._bands)
            if transparent is not None:
                self._transparent.append(transparent)
        rows, self._pixels = self._pixels[: end - first], self._pixels[end - first :]
        return rows

    def excluded(self, first: int, end: int) -> NDArray[np.bool_] | None:
        """Mark what must not count of rows that were read, each row once."""
        drawn = None if self._exclusion is None else self._exclusion.read(first, end)
        if not self._transparent:
            return drawn
        parts: list[NDArray[np.bool_]] = []
        missing = end - first
        while missing:
            part = self._transparent.popleft()
            if len(part) > missing:
                self._transparent.appendleft(part[missing:])
            parts.append(part[:missing])
            missing -= len(parts[-1])
        transparent = np.concatenate(parts)
        return transparent if drawn is None else drawn | transparent

    def _watched(self, mosaic: Mosaic) -> Generator[Band]:
        for band in mosaic.bands():
            self.overview.add(band.pixels)
            self._sample.add_pixels(band.pixels)
            yield band


class _Outputs:
    """The files of a mosaic, written strip by strip in a thread; a context manager that leaves no halves.

    Attributes
    ----------
    counts_px
        Pixels of each label.
    """

    def __init__(self, job: Job, field: FieldResult, mosaic: Mosaic, sample: Sample) -> None:
        size, size_um = (mosaic.height_px, mosaic.width_px), mosaic.calibration.pixel_size_um
        folder = job.options.output
        self.counts_px = dict.fromkeys([EXCLUDED, *(phase.label for phase in job.classes)], 0)
        self._reducer = RowReducer(*size, overview_factor(*size), mean=False)
        self._small: list[NDArray[np.uint8]] = []
        self._sample = sample
        self._stack = contextlib.ExitStack()
        self._mask = self._stack.enter_context(
            mask_pyramid(folder / field.mask, *size, pixel_size_um=size_um, classes=job.classes)
        )
        self._probability: PyramidWriter | None = None
        if job.options.probabilities:
            self._probability = self._stack.enter_context(
                probability_pyramid(folder / field.probability, *size, pixel_size_um=size_um)
            )
        self._writer = self._stack.enter_context(ThreadPoolExecutor(1, "deflate"))
        self._in_work: Future[None] | None = None

    def __enter__(self) -> _Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, strip: Strip) -> None:
        """Write the next strip while the caller goes on; wait for the one before."""
        self._wait()
        self._in_work = self._writer.submit(self._add, strip)

    def small_labels(self) -> NDArray[np.uint8]:
        """Return the labels in the size of the overview, once all strips are there."""
        self._wait()
        return np.concatenate(self._small)

    def finish(self) -> None:
        """Give the files their names."""
        self._wait()
        self._mask.finish()
        if self._probability is not None:
            self._probability.finish()

    def _add(self, strip: Strip) -> None:
        for label in self.counts_px:
            self.counts_px[label] += int(np.count_nonzero(strip.labels == label))
        self._small.append(self._reducer.add(strip.labels))
        self._mask.add(strip.labels)
        self._sample.add_labels(strip.labels)
        if self._probability is not None:
            assert strip.probability is not None
            self._probability.add(strip.probability)

    def _wait(self) -> None:
        if self._in_work is not None:
            self._in_work.result()
            self._in_work = None
