"""Fields done by a Dask cluster: ``--scheduler``.

Dask's scheduler hands out the fields, and those of a worker that dies to others. Here the record is kept, the
results are taken up, and progress is told, as for a run on this machine.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import ipaddress
import socket
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.locations import is_url
from steelquant.segmentation.job import Job
from steelquant.segmentation.ledger import Ledger
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.stages import claim_files, find_done

_CONNECT_S = 20
_CHECKERS = 4
"""Threads that look whether fields of an earlier run still stand."""


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
            If Dask is not installed, the scheduler does not answer, or a worker has another steelquant.
        """
        if self._client is not None:
            return
        if importlib.util.find_spec("distributed") is None:
            raise UsageError("--scheduler needs Dask; python -m pip install 'steelquant[cluster]'")
        from steelquant.segmentation.cluster_worker import installed_version

        if is_open_to_others(self._address):
            self.warnings.append(
                f"the way to {self._address} is not encrypted, and whoever reaches that scheduler can run "
                "programs on its workers; use tls:// with the certificates of Dask's configuration"
            )
        try:
            self._client = _distributed().Client(self._address, timeout=_CONNECT_S)
            versions = self._client.run(installed_version)
        except Exception as error:  # Dask answers with errors of many kinds, and those of its workers
            reason = str(error).strip().splitlines()
            raise UsageError(
                f"--scheduler {self._address}: {reason[0] if reason else type(error).__name__}"
            ) from error
        for worker, version in versions.items():
            if version != __version__:
                raise UsageError(
                    f"the worker {worker} has steelquant {version}, this is {__version__}; install the same"
                )

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
        try:
            weights = tuple(member.path.read_bytes() for member in self._job.weights)
            self._client.register_plugin(Segmenting(self._name, _with_full_paths(self._job), weights))
            for field in self._unfinished(ledger, fields):
                pending[self._client.submit(segment_field, self._name, field, pure=False)] = field
            for future in _distributed().as_completed(list(pending)):
                self._take_up(ledger, future, pending[future])
                del pending[future]
                if ledger.stop.is_set():
                    break
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with contextlib.suppress(Exception):  # a scheduler that is gone has nothing to take back
                self._client.cancel(list(pending))
                self._client.unregister_worker_plugin(self._name)
        return interrupted

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
                else:
                    claim_files(ledger.record, field)
                    yield field

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
    found = _addresses(parts.hostname or "")
    own = _addresses(socket.gethostname())
    return not found or not all(ipaddress.ip_address(place).is_loopback or place in own for place in found)


def _addresses(host: str) -> set[str]:
    """Return the addresses behind a name; none if nobody knows it."""
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _with_full_paths(job: Job) -> Job:
    """Return a job whose paths mean the same in any working folder."""
    options = job.options
    if not is_url(options.output):
        options = replace(options, output=options.output.absolute())
    if options.exclusion is not None and options.exclusion.mask is not None:
        mask = options.exclusion.mask.absolute()
        options = replace(options, exclusion=replace(options.exclusion, mask=mask))
    return replace(job, options=options)
