"""Fields done by a Dask cluster: ``--scheduler``.

Dask's scheduler hands out the fields, and those of a worker that dies to others. Here the record is kept, the
results are taken up, and progress is told, as for a run on this machine.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import ipaddress
import logging
import socket
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.locations import is_url
from steelquant.segmentation.job import Job
from steelquant.segmentation.ledger import Ledger
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.stages import claim_files, find_done

_CONNECT_S = 10
"""How long the scheduler may take to answer, and then its first worker to be there."""

_CHECKERS = 4
"""Threads that look whether fields of an earlier run still stand."""

_IN_WORK_PER_THREAD = 3
"""Fields that are sent ahead for each thread of the workers, so that none waits for its next one."""


class Cluster:
    """Does the fields of a job on the workers of a Dask scheduler; a context manager.

    Parameters
    ----------
    job
        What to do.
    scheduler
        The scheduler's address, such as ``tls://host:8786``.
    """

    def __init__(self, job: Job, scheduler: str) -> None:
        self.warnings: list[str] = []
        self._job = job
        self._address = scheduler
        self._name = f"steelquant-{job.run}-{uuid.uuid4().hex[:8]}"
        self._engine: dict[str, Any] | None = None
        self._client: Any = None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def describe(self) -> dict[str, Any] | None:
        """Return what predicted, where and in which tiles; None if nothing did."""
        return self._engine

    def make_ready(self) -> None:
        """Connect to the scheduler, and check that its workers can do the job.

        Raises
        ------
        UsageError
            If Dask is not installed, the scheduler does not answer, it has no worker, or a worker has another
            steelquant or none.
        """
        if self._client is not None:
            return
        if importlib.util.find_spec("distributed") is None:
            raise UsageError("--scheduler needs Dask; python -m pip install 'steelquant[cluster]'")
        from steelquant.segmentation.cluster_worker import installed_version, refuse_other_version

        if is_open_to_others(self._address):
            self.warnings.append(
                f"the way to {self._address} is not encrypted, and whoever reaches that scheduler can run "
                "programs on its workers; use tls:// with the certificates of Dask's configuration"
            )
        distributed = _distributed()
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what is wrong is told here
        try:
            self._client = distributed.Client(self._address, timeout=_CONNECT_S)
        except Exception as error:  # Dask answers with errors of many kinds
            raise self._wrong(error) from error
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError:
            start = f"dask worker {self._address}"
            raise UsageError(f"--scheduler {self._address}: it has no workers; start some: {start}") from None
        try:
            versions = self._client.run(installed_version)
        except ModuleNotFoundError as error:
            problem = f"a worker lacks {error.name}; install steelquant {__version__} there"
            raise UsageError(f"--scheduler {self._address}: {problem}") from error
        except Exception as error:  # those of the workers too
            raise self._wrong(error) from error
        for worker, version in versions.items():
            refuse_other_version(worker, version, __version__)

    def _wrong(self, error: Exception) -> UsageError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return UsageError(f"--scheduler {self._address}: {reason}")

    def work(self, ledger: Ledger, fields: Sequence[FieldResult]) -> bool:
        """Do the fields; return whether Ctrl-C ended it.

        Raises
        ------
        UsageError
            If a worker can do no field at all: it lacks the device or does not see the output folder.
        FileError
            If the scheduler is lost.
        """
        from steelquant.segmentation.cluster_worker import Segmenting, segment_field

        self.make_ready()
        pending: dict[Any, FieldResult] = {}
        interrupted = False
        finished = _distributed().as_completed(loop=self._client.loop)
        try:
            weights = tuple(member.path.read_bytes() for member in self._job.weights)
            self._client.register_plugin(Segmenting(self._name, _sendable(self._job), weights))
            waiting = self._unfinished(ledger, fields)
            while not ledger.stop.is_set():
                for field in islice(waiting, max(0, self._in_work() - len(pending))):
                    future = self._client.submit(segment_field, self._name, field, pure=False)
                    pending[future] = field
                    finished.add(future)
                if not pending:
                    break
                future = next(finished)
                self._take_up(ledger, future, pending[future])
                del pending[future]
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with contextlib.suppress(Exception):  # a scheduler that is gone has nothing to take back
                self._client.cancel(list(pending))
                self._client.unregister_worker_plugin(self._name)
            ledger.record.folder.remove_leftovers()  # of workers that died
        return interrupted

    def _in_work(self) -> int:
        """Return how many fields to keep with the workers that are there now."""
        return _IN_WORK_PER_THREAD * max(1, sum(self._client.nthreads().values()))

    def _unfinished(self, ledger: Ledger, fields: Sequence[FieldResult]) -> Iterator[FieldResult]:
        """Yield the fields to be done, those of an earlier run that stand taken up."""

        def check(field: FieldResult) -> FieldResult | FileError | None:
            try:
                return find_done(self._job, ledger.record, field)
            except FileError as error:
                return error

        with ThreadPoolExecutor(_CHECKERS) as checkers:
            for field, found in zip(fields, checkers.map(check, fields), strict=True):
                if isinstance(found, FileError):
                    ledger.fail(field, found)
                elif found is not None:
                    ledger.finish(found)
                elif self._claim(ledger, field):
                    yield field

    def _claim(self, ledger: Ledger, field: FieldResult) -> bool:
        try:
            claim_files(ledger.record, field)
        except FileError as error:
            ledger.give_up(field, error)
            return False
        return True

    def _take_up(self, ledger: Ledger, future: Any, field: FieldResult) -> None:
        """Tell the ledger what became of a field."""
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            outcome = future.result()
        except KilledWorker:
            problem = "every worker that did it died, perhaps of too little memory; try a smaller --tile"
            ledger.give_up(field, FileError(field.path, problem))
            return
        except (CancelledError, CommClosedError, TimeoutError) as error:
            raise FileError(
                self._job.options.output,
                f"the scheduler {self._address} was lost ({ledger.done_count} of {len(self._job.fields)} "
                "fields are done and kept); the same command goes on",
            ) from error
        ledger.add_seconds(outcome.stage_seconds)
        self.warnings += [warning for warning in outcome.warnings if warning not in self.warnings]
        if outcome.engine is not None:
            self._engine = self._engine or outcome.engine
        if outcome.error is None:
            ledger.finish(outcome.field)
        elif outcome.field.sha256 is None:
            ledger.fail(outcome.field, outcome.error)
        else:
            ledger.give_up(outcome.field, outcome.error, outcome.errno)


def _distributed() -> Any:
    """Import Dask, whose functions have no types, when it is needed."""
    return importlib.import_module("distributed")


def is_open_to_others(address: str) -> bool:
    """Tell whether what goes to a scheduler can be read on the way: unencrypted, to another machine.

    Examples
    --------
    >>> [is_open_to_others(a) for a in ("tcp://127.0.0.1:8786", "tls://gate:8786", "tcp://192.0.2.7:8786")]
    [False, False, True]
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme not in ("tcp", "ws"):
        return False
    host = parts.hostname or "localhost"
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return True
    return not all(ipaddress.ip_address(place).is_loopback for place in found)


def _sendable(job: Job) -> Job:
    """Return a job without its fields, whose paths mean the same in any working folder."""
    options = job.options
    if not is_url(options.output):
        options = replace(options, output=options.output.absolute())
    if options.exclusion is not None and options.exclusion.mask is not None:
        mask = options.exclusion.mask.absolute()
        options = replace(options, exclusion=replace(options.exclusion, mask=mask))
    return replace(job, options=options, fields=())
