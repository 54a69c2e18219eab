"""The run: fields are read, predicted and written side by side, and the record says how far it came."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from steelquant.errors import FileError
from steelquant.micrograph.field import Micrograph
from steelquant.micrograph.files import TEMPORARY_PREFIX, reason
from steelquant.micrograph.mosaic import Mosaic
from steelquant.micrograph.provenance import utc_now
from steelquant.segmentation.averaging import combine, combined_tiling
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.job import Job
from steelquant.segmentation.lock import folder_lock
from steelquant.segmentation.predict import Prediction, Predictor
from steelquant.segmentation.record import FILE_NAME, Record
from steelquant.segmentation.results import FieldResult, SegmentationInterrupted, SegmentationRun
from steelquant.segmentation.stages import ReadField, claim_files, find_done, read_field, write_field
from steelquant.segmentation.streaming import segment_mosaic

_WORKERS = 2
"""Threads that read, and threads that write, beside the network."""

_AHEAD = 3
"""Fields read ahead, and fields waiting to be written: what bounds the memory of a run."""

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENODEV, errno.ESTALE}
"""What fails for one file will fail for the next: the run ends."""


@dataclass(frozen=True)
class Progress:
    """How far a run is, each time a field or a strip of a very large field is finished.

    Attributes
    ----------
    result
        The field that was finished or is in work.
    fields_done, fields_total
        Fields finished, whether done, kept or failed, and fields in all.
    megapixels, seconds
        Area predicted so far, in millions of pixels, and the time it took.
    """

    result: FieldResult
    fields_done: int
    fields_total: int
    megapixels: float
    seconds: float


class Pipeline:
    """Carries out a job. The caller's thread predicts; two pools of threads read and write.

    Parameters
    ----------
    job
        What to do.
    progress
        Called for each finished field, from one thread at a time.
    """

    def __init__(self, job: Job, progress: Callable[[Progress], None] | None) -> None:
        self._job = job
        self._progress = progress
        self._predictor: Predictor | None = None
        self._results: dict[str, FieldResult] = {}
        self._warnings: list[str] = []
        self._stage_seconds = dict.fromkeys(("read", "network", "blend", "write"), 0.0)
        self._megapixels = 0.0
        self._hopeless: FileError | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._start = time.perf_counter()

    def run(self) -> SegmentationRun:
        """Do the job; see :func:`steelquant.segmentation.segment`."""
        folder = self._job.options.output
        try:
            if not (folder / FILE_NAME).exists():
                self._load()  # a missing device or damaged weights leave no folder behind
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(folder, f"this output folder cannot be made: {reason(error)}") from error
        with folder_lock(folder):
            for leftover in folder.glob(f"{TEMPORARY_PREFIX}*.part*"):
                with contextlib.suppress(OSError):
                    leftover.unlink()
            record = Record(folder)
            record.begin(self._job.header(), [field.name for field in self._job.fields])
            self._start = time.perf_counter()
            interrupted = self._work(record, self._claim(record))
            if self._hopeless is None:
                record.close(utc_now(), self._predictor.describe() if self._predictor else None)
        if self._hopeless is not None:
            done = sum(result.status == "done" for result in self._results.values())
            raise FileError(
                self._hopeless.path,
                f"{self._hopeless.problem} ({done} of {len(self._job.fields)} fields are done and kept)",
            ) from self._hopeless
        run = self._summary()
        if interrupted:
            raise SegmentationInterrupted(run)
        return run

    def _load(self) -> Predictor:
        if self._predictor is None:
            start = time.perf_counter()
            options, weights = self._job.options, self._job.weights
            engines = [
                load_engine(member.path, options.device, options.engine, self._warnings.append)[0]
                for member in weights
            ]
            engine = combine(engines, symmetries=options.symmetries)
            metadata = [member.metadata for member in weights]
            tiling = combined_tiling(metadata, engine.device, options.tile, options.overlap)
            self._predictor = Predictor(engine, tiling, scale=options.scale, tell=self._warnings.append)
            self._start += time.perf_counter() - start  # loading is no part of the throughput
        return self._predictor

    def _claim(self, record: Record) -> list[FieldResult]:
        """Claim the names of new fields; where a foreign file stands in a field's place, the field fails."""
        able, new = [], []
        taken: set[str] = set()
        for field in self._job.fields:
            files = self._job.files(field)
            folded = {file.casefold() for file in files}
            try:
                if taken & folded:
                    raise FileError(field.path, "its results would bear another's name; rename the file")
                if not record.is_known(field.name):
                    record.refuse_foreign(files)
                    new.append(field.name)
            except FileError as error:
                self._fail(record, field, error)
                continue
            taken |= folded
            able.append(field)
        record.plan(new)
        return able

    def _work(self, record: Record, fields: Iterable[FieldResult]) -> bool:
        """Do the fields; return whether Ctrl-C ended it."""
        waiting = iter(fields)
        ahead: deque[Future[ReadField | None]] = deque()
        writing: deque[Future[None]] = deque()
        interrupted = False
        with (
            ThreadPoolExecutor(_WORKERS, "read") as readers,
            ThreadPoolExecutor(_WORKERS, "write") as writers,
        ):
            try:
                while not self._stop.is_set():
                    while len(ahead) < _AHEAD and (field := next(waiting, None)) is not None:
                        ahead.append(readers.submit(self._read, record, field))
                    if not ahead:
                        break
                    read = ahead.popleft().result()
                    if read is None:
                        continue
                    if isinstance(read.content, Mosaic):
                        self._segment_mosaic(record, read, read.content)
                        continue
                    if (prediction := self._predict(record, read, read.content)) is None:
                        continue
                    if len(writing) == _AHEAD:
                        writing.popleft().result()
                    writing.append(writers.submit(self._write, record, read, read.content, *prediction))
            except KeyboardInterrupt:
                interrupted = True
            finally:
                self._stop.set()
                for unread in ahead:
                    unread.cancel()
            for unwritten in writing:
                unwritten.result()
        return interrupted

    def _read(self, record: Record, field: FieldResult) -> ReadField | None:
        """Read a field in a reading thread; None if there is nothing more to do for it."""
        if self._stop.is_set():
            return None
        start = time.perf_counter()
        try:
            done = find_done(self._job, record, field)
            if done is not None:
                self._finish(record, done)
                return None
            read = read_field(self._job, field)
        except FileError as error:
            self._fail(record, field, error)
            return None
        self._add_seconds("read", time.perf_counter() - start)
        return read

    def _predict(
        self, record: Record, read: ReadField, micrograph: Micrograph
    ) -> tuple[Prediction, float] | None:
        """Predict a field in the caller's thread; also return the seconds it took."""
        predictor = self._load()
        start, network_before = time.perf_counter(), predictor.network_seconds
        try:
            prediction = predictor.predict(
                micrograph.pixels, micrograph.excluded, probabilities=self._job.options.probabilities
            )
        except MemoryError as error:
            self._fail(record, read.field, _no_memory(read.field, error))
            return None
        seconds = time.perf_counter() - start
        network_seconds = predictor.network_seconds - network_before
        self._add_seconds("network", network_seconds)
        self._add_seconds("blend", seconds - network_seconds)
        return prediction, seconds

    def _segment_mosaic(self, record: Record, read: ReadField, mosaic: Mosaic) -> None:
        """Read, predict and write a very large field in the caller's thread and two beside it."""
        predictor = self._load()
        start, network_before = time.perf_counter(), predictor.network_seconds

        def on_rows(rows: int) -> None:
            if self._stop.is_set():
                raise FileError(read.field.path, "was given up with the run")
            self._report_part(read.field, rows * mosaic.width_px / 1e6)

        try:
            claim_files(self._job, record, read.field)
            result = segment_mosaic(self._job, read.field, mosaic, predictor, on_rows)
        except MemoryError as error:
            self._fail(record, read.field, _no_memory(read.field, error), has_begun_writing=True)
        except FileError as error:
            self._give_up(record, read.field, error)
        else:
            seconds = time.perf_counter() - start
            network_seconds = predictor.network_seconds - network_before
            self._add_seconds("network", network_seconds)
            self._add_seconds("blend", seconds - network_seconds)
            self._finish(record, replace(result, seconds=read.seconds + seconds))

    def _write(
        self, record: Record, read: ReadField, micrograph: Micrograph, prediction: Prediction, seconds: float
    ) -> None:
        """Write a field in a writing thread."""
        start = time.perf_counter()
        try:
            claim_files(self._job, record, read.field)
            result = write_field(self._job, read.field, micrograph, prediction)
        except FileError as error:
            self._give_up(record, read.field, error)
        else:
            took = time.perf_counter() - start
            self._add_seconds("write", took)
            self._finish(record, replace(result, seconds=read.seconds + seconds + took))

    def _give_up(self, record: Record, field: FieldResult, error: FileError) -> None:
        """Fail a field that may be half written, and the whole run where others would fail like it."""
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _HOPELESS:
            self._stop.set()
            self._hopeless = self._hopeless or error
        elif not self._stop.is_set():
            self._fail(record, field, error, has_begun_writing=True)

    def _finish(self, record: Record, result: FieldResult) -> None:
        record.finish(result)
        self._report(result)

    def _fail(
        self, record: Record, field: FieldResult, error: FileError, *, has_begun_writing: bool = False
    ) -> None:
        line = error.problem if error.path == field.path else str(error)
        result = replace(field, status="failed", error=line)
        record.fail(result, has_begun_writing=has_begun_writing)
        self._report(result)

    def _report(self, result: FieldResult) -> None:
        with self._lock:
            self._results[result.name] = result
            if result.status == "done" and not result.is_kept:
                self._megapixels += result.megapixels
            self._tell(result, self._megapixels)

    def _report_part(self, field: FieldResult, megapixels: float) -> None:
        with self._lock:
            self._tell(field, self._megapixels + megapixels)

    def _tell(self, field: FieldResult, megapixels: float) -> None:
        if self._progress is not None:
            seconds = time.perf_counter() - self._start
            self._progress(Progress(field, len(self._results), len(self._job.fields), megapixels, seconds))

    def _add_seconds(self, stage: str, seconds: float) -> None:
        with self._lock:
            self._stage_seconds[stage] += seconds

    def _summary(self) -> SegmentationRun:
        job = self._job
        return SegmentationRun(
            output=job.options.output,
            model=job.model,
            weights=tuple(member.path for member in job.weights),
            device=self._predictor.engine.device if self._predictor else "none",
            fields=tuple(self._results[f.name] for f in job.fields if f.name in self._results),
            total=len(job.fields),
            seconds=time.perf_counter() - self._start,
            stage_seconds=self._stage_seconds,
            warnings=tuple(self._warnings),
        )


def _no_memory(field: FieldResult, error: MemoryError) -> FileError:
    return FileError(field.path, f"{error}; try a smaller --scale")
