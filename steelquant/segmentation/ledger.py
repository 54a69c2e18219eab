"""What a run has done so far: for the record on disk, for whoever watches, and for the summary at its end."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from steelquant.errors import FileError
from steelquant.segmentation.job import Job
from steelquant.segmentation.record import Record
from steelquant.segmentation.results import FieldResult, SegmentationRun

STAGES = ("read", "network", "blend", "write")

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


class Ledger:
    """Takes up what becomes of each field; threads may share it.

    Parameters
    ----------
    job
        What to do.
    record
        The record of the output folder.
    progress
        Called for each finished field, from one thread at a time.

    Attributes
    ----------
    stop
        Set when nothing more should be begun.
    hopeless
        Why the run cannot go on; None while it can.
    """

    def __init__(self, job: Job, record: Record, progress: Callable[[Progress], None] | None) -> None:
        self.job = job
        self.record = record
        self.stop = threading.Event()
        self.hopeless: FileError | None = None
        self._progress = progress
        self._results: dict[str, FieldResult] = {}
        self._stage_seconds = dict.fromkeys(STAGES, 0.0)
        self._megapixels = 0.0
        self._lock = threading.Lock()
        self._start = time.perf_counter()

    @property
    def done_count(self) -> int:
        """Fields that are done or kept."""
        return sum(result.status == "done" for result in self._results.values())

    def claim(self) -> list[FieldResult]:
        """Claim the names of new fields; where a foreign file stands in a field's place, the field fails."""
        able, new = [], []
        taken: set[str] = set()
        for field in self.job.fields:
            files = self.job.files(field)
            folded = {file.casefold() for file in files}
            try:
                if taken & folded:
                    raise FileError(field.path, "its results would bear another's name; rename the file")
                if not self.record.is_known(field.name):
                    self.record.refuse_foreign(files)
                    new.append(field.name)
            except FileError as error:
                self.fail(field, error)
                continue
            taken |= folded
            able.append(field)
        self.record.plan(new)
        return able

    def finish(self, result: FieldResult) -> None:
        """Take up a field that is done."""
        self.record.finish(result)
        self._report(result)

    def fail(self, field: FieldResult, error: FileError, *, has_begun_writing: bool = False) -> None:
        """Take up a field that failed."""
        line = error.problem if error.path == field.path else str(error)
        result = replace(field, status="failed", error=line)
        self.record.fail(result, has_begun_writing=has_begun_writing)
        self._report(result)

    def give_up(self, field: FieldResult, error: FileError, errno_of_cause: int | None = None) -> None:
        """Fail a field that may be half written, and the whole run where others would fail like it.

        Parameters
        ----------
        field, error
            The field and what is wrong.
        errno_of_cause
            The number of the system's error behind it, where the error itself does not carry it.
        """
        if isinstance(error.__cause__, OSError):
            errno_of_cause = error.__cause__.errno
        if errno_of_cause in _HOPELESS:
            self.stop.set()
            self.hopeless = self.hopeless or error
        elif not self.stop.is_set():
            self.fail(field, error, has_begun_writing=True)

    def report_part(self, field: FieldResult, megapixels: float) -> None:
        """Tell of the area done so far of a field in work."""
        with self._lock:
            self._tell(field, self._megapixels + megapixels)

    def add_seconds(self, seconds: Mapping[str, float]) -> None:
        """Add the time that stages took."""
        with self._lock:
            for stage, value in seconds.items():
                self._stage_seconds[stage] += value

    def leave_out(self, seconds: float) -> None:
        """Leave time that was spent on loading out of the throughput."""
        self._start += seconds

    def summary(self, device: str, warnings: tuple[str, ...]) -> SegmentationRun:
        """Return the run as far as it came."""
        job = self.job
        return SegmentationRun(
            output=job.options.output,
            model=job.model,
            weights=tuple(member.path for member in job.weights),
            device=device,
            fields=tuple(self._results[f.name] for f in job.fields if f.name in self._results),
            total=len(job.fields),
            seconds=time.perf_counter() - self._start,
            stage_seconds=self._stage_seconds,
            warnings=warnings,
        )

    def _report(self, result: FieldResult) -> None:
        with self._lock:
            self._results[result.name] = result
            if result.status == "done" and not result.is_kept:
                self._megapixels += result.megapixels
            self._tell(result, self._megapixels)

    def _tell(self, field: FieldResult, megapixels: float) -> None:
        if self._progress is not None:
            seconds = time.perf_counter() - self._start
            self._progress(Progress(field, len(self._results), len(self.job.fields), megapixels, seconds))
