"""Fields done by this process: read, predicted and written side by side."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import cv2

from steelquant.errors import FileError
from steelquant.micrograph.field import Micrograph
from steelquant.micrograph.mosaic import Mosaic
from steelquant.segmentation.allocator import keep_memory
from steelquant.segmentation.averaging import combine, combined_tiling
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.job import Job
from steelquant.segmentation.ledger import Ledger
from steelquant.segmentation.predict import Prediction, Predictor
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.stages import (
    ReadField,
    claim_files,
    find_done,
    no_memory,
    read_field,
    write_field,
)
from steelquant.segmentation.streaming import segment_mosaic

_WORKERS = 2
"""Threads that read, and threads that write, beside the network."""

_AHEAD = 3
"""Fields read ahead, and fields waiting to be written: what bounds the memory of a run. Where a GPU takes
several fields at once they are as many as two such batches."""

_PATIENCE_S = 0.3
"""How long Ctrl-C waits for fields that are being read and written, so that these are whole and told of."""


class Pipeline:
    """Does the fields of a job. The caller's thread predicts; two pools of threads read and write.

    Parameters
    ----------
    job
        What to do.
    """

    def __init__(self, job: Job) -> None:
        self.warnings: list[str] = []
        self._job = job
        self._predictor: Predictor | None = None
        self._ahead = _AHEAD

    def make_ready(self) -> None:
        """Load the network."""
        self._load()

    def describe(self) -> dict[str, Any] | None:
        """Return what predicted, where and in which tiles; None if nothing did."""
        return self._predictor.describe() if self._predictor else None

    def work(self, ledger: Ledger, fields: Sequence[FieldResult]) -> bool:
        """Do the fields; return whether Ctrl-C ended it."""
        waiting = iter(fields)
        ahead: deque[Future[ReadField | None]] = deque()
        writing: deque[Future[None]] = deque()
        interrupted = False
        readers, writers = (ThreadPoolExecutor(_WORKERS, work) for work in ("read", "write"))
        try:
            while not ledger.stop.is_set():
                while len(ahead) < self._ahead and (field := next(waiting, None)) is not None:
                    ahead.append(readers.submit(self._read, ledger, field))
                if not ahead:
                    break
                read = ahead.popleft().result()
                if read is None:
                    continue
                if isinstance(read.content, Mosaic):
                    self._segment_mosaic(ledger, read, read.content)
                    continue
                together = [(read, read.content), *self._take_alike(ledger, read.content, ahead)]
                for done in self._predict(ledger, together):
                    if len(writing) >= self._ahead:
                        writing.popleft().result()
                    writing.append(writers.submit(self._write, ledger, *done))
            for unwritten in writing:
                unwritten.result()
        except KeyboardInterrupt:
            interrupted = True
            ledger.stop.set()
            submitted: list[Future[Any]] = [*ahead, *writing]
            wait([future for future in submitted if not future.cancel()], _PATIENCE_S)
        finally:
            ledger.stop.set()
            for pool in (readers, writers):
                pool.shutdown(wait=not interrupted, cancel_futures=interrupted)
        return interrupted

    def _load(self, ledger: Ledger | None = None) -> Predictor:
        if self._predictor is None:
            start = time.perf_counter()
            self._predictor = load_predictor(self._job, self.warnings.append)
            if ledger is not None:
                ledger.leave_out(time.perf_counter() - start)
        return self._predictor

    def _read(self, ledger: Ledger, field: FieldResult) -> ReadField | None:
        """Read a field in a reading thread; None if there is nothing more to do for it."""
        if ledger.stop.is_set():
            return None
        start = time.perf_counter()
        try:
            done = find_done(self._job, ledger.record, field)
            if done is not None:
                ledger.finish(done)
                return None
            read = read_field(self._job, field)
        except FileError as error:
            ledger.fail(field, error)
            return None
        ledger.add_seconds({"read": time.perf_counter() - start})
        return read

    def _take_alike(
        self, ledger: Ledger, micrograph: Micrograph, ahead: deque[Future[ReadField | None]]
    ) -> Iterator[tuple[ReadField, Micrograph]]:
        """Take the next fields that can go through the network with one: of its size, and read already."""
        size_px = _size_px(micrograph)
        most = self._load(ledger).fields_at_once(size_px)
        self._ahead = _AHEAD if most == 1 else max(_AHEAD, 2 * most)
        for _ in range(most - 1):
            if not ahead or not ahead[0].done():
                return
            read = ahead[0].result()
            if read is None or isinstance(read.content, Mosaic) or _size_px(read.content) != size_px:
                return
            ahead.popleft()
            yield read, read.content

    def _predict(
        self, ledger: Ledger, fields: Sequence[tuple[ReadField, Micrograph]]
    ) -> list[tuple[ReadField, Micrograph, Prediction, float]]:
        """Predict fields in the caller's thread; also return the seconds that each took."""
        predictor = self._load(ledger)
        start, network_before = time.perf_counter(), predictor.network_seconds
        try:
            predictions = predictor.predict_together(
                [(micrograph.pixels, micrograph.excluded) for _, micrograph in fields],
                probabilities=self._job.options.probabilities,
            )
        except MemoryError as error:
            for read, _ in fields:
                ledger.fail(read.field, no_memory(read.field, error))
            return []
        seconds = time.perf_counter() - start
        network_seconds = predictor.network_seconds - network_before
        ledger.add_seconds({"network": network_seconds, "blend": seconds - network_seconds})
        return [
            (*field, prediction, seconds / len(fields))
            for field, prediction in zip(fields, predictions, strict=True)
        ]

    def _write(
        self, ledger: Ledger, read: ReadField, micrograph: Micrograph, prediction: Prediction, seconds: float
    ) -> None:
        """Write a field in a writing thread."""
        start = time.perf_counter()
        try:
            claim_files(ledger.record, read.field)
            result = write_field(self._job, read.field, micrograph, prediction)
        except FileError as error:
            ledger.give_up(read.field, error)
        else:
            took = time.perf_counter() - start
            ledger.add_seconds({"write": took})
            ledger.finish(replace(result, seconds=read.seconds + seconds + took))

    def _segment_mosaic(self, ledger: Ledger, read: ReadField, mosaic: Mosaic) -> None:
        """Read, predict and write a very large field in the caller's thread and two beside it."""
        predictor = self._load(ledger)
        start, network_before = time.perf_counter(), predictor.network_seconds

        def on_rows(rows: int) -> None:
            if ledger.stop.is_set():
                raise FileError(read.field.path, "was given up with the run")
            ledger.report_part(read.field, rows * mosaic.width_px / 1e6)

        try:
            claim_files(ledger.record, read.field)
            result = segment_mosaic(self._job, read.field, mosaic, predictor, on_rows)
        except MemoryError as error:
            ledger.fail(read.field, no_memory(read.field, error), has_begun_writing=True)
        except FileError as error:
            ledger.give_up(read.field, error)
        else:
            seconds = time.perf_counter() - start
            network_seconds = predictor.network_seconds - network_before
            ledger.add_seconds({"network": network_seconds, "blend": seconds - network_seconds})
            ledger.finish(replace(result, seconds=read.seconds + seconds))


def _size_px(micrograph: Micrograph) -> tuple[int, int]:
    height, width = micrograph.pixels.shape[:2]
    return height, width


def load_predictor(job: Job, tell: Callable[[str], None], device: str | None = None) -> Predictor:
    """Load the networks of a job into a process that does its fields, and make it fit for many of them.

    Parameters
    ----------
    job
        Names them, the device, the engine and the tiles.
    tell
        Called with what concerns the whole run, one sentence at a time.
    device
        Takes the place of the job's device.

    Raises
    ------
    UsageError
        If the device is not there, or the engine cannot run a network on it.
    FileError
        If a weight file cannot be used.
    """
    keep_memory()
    cv2.setNumThreads(1)  # fields are done side by side; threads within each only wait for one another
    options = job.options
    engines = [
        load_engine(member.path, device or options.device, options.engine, tell)[0] for member in job.weights
    ]
    engine = combine(engines, symmetries=options.symmetries)
    tiling = combined_tiling(
        [member.metadata for member in job.weights], engine.device, options.tile, options.overlap
    )
    return Predictor(engine, tiling, scale=options.scale, tell=tell)
