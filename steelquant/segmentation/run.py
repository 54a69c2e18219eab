"""A run from its beginning to its end, whoever does the fields: this process or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from steelquant.errors import FileError
from steelquant.micrograph.provenance import utc_now
from steelquant.segmentation.folder import output_folder
from steelquant.segmentation.job import Job
from steelquant.segmentation.ledger import Ledger, Progress
from steelquant.segmentation.record import Record
from steelquant.segmentation.results import FieldResult, SegmentationInterrupted, SegmentationRun


class Workers(Protocol):
    """Who does the fields of a run.

    Attributes
    ----------
    warnings
        What concerns the whole run, one sentence each.
    """

    warnings: list[str]

    def make_ready(self) -> None:
        """Get what the first field needs.

        Raises
        ------
        SteelquantError
            If it is not to be had.
        """
        ...

    def work(self, ledger: Ledger, fields: Sequence[FieldResult]) -> bool:
        """Do the fields and tell the ledger of each; return whether Ctrl-C ended it."""
        ...

    def describe(self) -> dict[str, Any] | None:
        """Return what predicted, where and in which tiles; None if nothing did."""
        ...


def carry_out(job: Job, workers: Workers, progress: Callable[[Progress], None] | None) -> SegmentationRun:
    """Do a job; see :func:`steelquant.segmentation.segment`."""
    folder = output_folder(job.options.output)
    if not folder.has_record():
        workers.make_ready()  # a missing device or damaged weights leave no folder behind
    folder.make()
    with folder.lock():
        folder.remove_leftovers()
        record = Record(folder)
        record.begin(job.header(), [field.name for field in job.fields])
        ledger = Ledger(job, record, progress)
        interrupted = workers.work(ledger, ledger.claim())
        if ledger.hopeless is None:
            record.close(utc_now(), workers.describe())
    if ledger.hopeless is not None:
        raise FileError(
            ledger.hopeless.path,
            f"{ledger.hopeless.problem} ({ledger.done_count} of {len(job.fields)} fields are done and kept)",
        ) from ledger.hopeless
    engine = workers.describe()
    run = ledger.summary(engine["device"] if engine else "none", tuple(workers.warnings))
    if interrupted:
        raise SegmentationInterrupted(run)
    return run
