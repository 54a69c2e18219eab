"""What a worker of a Dask cluster does: it keeps the network loaded and does one field after the other."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from steelquant import __version__
from steelquant.errors import FileError, UsageError
from steelquant.locations import is_url
from steelquant.micrograph.files import reason
from steelquant.micrograph.mosaic import Mosaic
from steelquant.segmentation.device import resolve_device
from steelquant.segmentation.folder import RECORD_NAME
from steelquant.segmentation.job import Job
from steelquant.segmentation.lock import folder_lock
from steelquant.segmentation.pipeline import load_predictor
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.remote import at_hand
from steelquant.segmentation.results import FieldResult
from steelquant.segmentation.stages import ReadField, no_memory, read_field, write_field
from steelquant.segmentation.streaming import segment_mosaic

_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Outcome:
    """What a worker made of a field.

    Attributes
    ----------
    field
        Done, or as far as it came.
    error
        Why it failed; None where it is done.
    errno
        The number of the system's error behind it.
    stage_seconds
        Time by stage.
    engine
        What predicted.
    warnings
        What concerns the whole run.
    """

    field: FieldResult
    error: FileError | None
    errno: int | None
    stage_seconds: dict[str, float]
    engine: dict[str, Any] | None
    warnings: tuple[str, ...]


class Segmenting(WorkerPlugin):
    """The network of a job on each worker of a cluster, those that come later too.

    Parameters
    ----------
    name
        By which tasks find it.
    job
        What to do.
    weights
        The bytes of the job's weight files, so that these need not lie on shared storage.
    """

    def __init__(self, name: str, job: Job, weights: tuple[bytes, ...]) -> None:
        self.name = name
        self._job = job
        self._weights = weights
        self._version = __version__

    def setup(self, worker: Worker) -> None:
        """Take the weights; the network is loaded with the first field."""
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._predictor: Predictor | None = None
        self._warnings: list[str] = []
        self._address = worker.address
        self._is_checked = self._is_over = False

    def teardown(self, worker: Worker) -> None:
        """Let go of network and GPU; a field in work is given up before it is written."""
        self._is_over = True
        self._predictor = None
        self._stack.close()

    def segment(self, field: FieldResult) -> Outcome:
        """Read, predict and write a field; several threads may, the network takes one at a time.

        Raises
        ------
        UsageError
            If this worker can do no field: it has another steelquant, or lacks the device, the output folder
            or the folder of the field.
        """
        self._check(field)
        seconds: dict[str, float] = {}
        error: FileError | None = None
        result = field
        try:
            with at_hand(self._job, field) as (job, here):
                start = time.perf_counter()
                read = read_field(job, here)
                seconds["read"] = time.perf_counter() - start
                result = read.field
                result = self._predict_and_write(job, read, seconds)
        except FileError as problem:
            error = problem
        except MemoryError as problem:
            error = no_memory(field, problem)
        except OSError as problem:  # of the worker's own temporary folder
            error = FileError(field.path, f"cannot be done on the worker {self._address}: {reason(problem)}")
            error.__cause__ = problem
        cause = error.__cause__ if error is not None else None
        return Outcome(
            field=replace(result, path=field.path),
            error=error,
            errno=cause.errno if isinstance(cause, OSError) else None,
            stage_seconds=seconds,
            engine=self._predictor.describe() if self._predictor else None,
            warnings=tuple(self._warnings),
        )

    def _check(self, field: FieldResult) -> None:
        """Raise UsageError where this worker can do no field; its steelquant and the output but once."""
        if not is_url(field.path) and not field.path.parent.is_dir():
            raise UsageError(
                f"{field.path.parent} is not there on the worker {self._address}; "
                "inputs must lie in a folder that all workers share, or be URLs"
            )
        if self._is_checked:
            return
        refuse_other_version(self._address, __version__, self._version)
        output = self._job.options.output
        if not is_url(output) and not _holds_run(output / RECORD_NAME, self._job.run):
            raise UsageError(
                f"{output} is not there on the worker {self._address}; "
                "--output must be a folder that all workers share, or a URL"
            )
        self._is_checked = True

    def _go_on(self, field: FieldResult) -> None:
        if self._is_over:
            raise FileError(field.path, "was given up with the run")

    def _predict_and_write(self, job: Job, read: ReadField, seconds: dict[str, float]) -> FieldResult:
        content = read.content
        with self._lock:
            predictor = self._load()
            start, network_before = time.perf_counter(), predictor.network_seconds
            if isinstance(content, Mosaic):
                result = segment_mosaic(
                    job, read.field, content, predictor, lambda _: self._go_on(read.field)
                )
            else:
                prediction = predictor.predict(
                    content.pixels, content.excluded, probabilities=job.options.probabilities
                )
            seconds["network"] = predictor.network_seconds - network_before
            seconds["blend"] = time.perf_counter() - start - seconds["network"]
        if not isinstance(content, Mosaic):
            self._go_on(read.field)
            start = time.perf_counter()
            result = write_field(job, read.field, content, prediction)
            seconds["write"] = time.perf_counter() - start
        return replace(result, seconds=sum(seconds.values()))

    def _load(self) -> Predictor:
        if self._predictor is None:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="steelquant-")))
            members = []
            for place, (member, content) in enumerate(zip(self._job.weights, self._weights, strict=True)):
                path = folder / f"{place}_{member.path.name}"
                path.write_bytes(content)
                members.append(replace(member, path=path))
            job = replace(self._job, weights=tuple(members))
            device = own_gpu(job.options.device, self._stack)
            self._predictor = load_predictor(job, self._warnings.append, device)
        return self._predictor


def segment_field(name: str, field: FieldResult) -> Outcome:
    """Do a field on the worker that this runs on; ``name`` is that of the job's plugin there."""
    plugin = get_worker().plugins[name]
    assert isinstance(plugin, Segmenting)
    return plugin.segment(field)


def _holds_run(record: Path, run: str) -> bool:
    """Tell whether the record of an output folder is that of a run, which stands in its first lines."""
    try:
        with record.open("rb") as stream:
            return f'"run": "{run}"'.encode() in stream.read(_HEAD_BYTES)
    except OSError:
        return False


def refuse_other_version(worker: str, version: str, wanted: str) -> None:
    """Raise UsageError where a worker would make other masks than this program."""
    if version != wanted:
        raise UsageError(f"the worker {worker} has steelquant {version}, this is {wanted}; install the same")


def installed_version() -> str:
    """Return the version of steelquant on the worker that this runs on."""
    return __version__


def own_gpu(device: str, stack: contextlib.ExitStack) -> str:
    """Return the device for this process: of several GPUs one that no other worker here has taken.

    Where all are taken, or a GPU was named, workers share.

    Parameters
    ----------
    device
        As ``--device`` says.
    stack
        Gives the GPU back when it is closed; so does the end of the process.
    """
    resolved = resolve_device(device)
    if resolved != "cuda:0" or device not in ("auto", "cuda"):
        return resolved
    import torch

    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        mark = getattr(properties, "uuid", index)
        folder = Path(tempfile.gettempdir()) / f"steelquant-gpu-{mark}"
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(UsageError, FileError):  # another worker's, or another user's
            stack.enter_context(folder_lock(folder))
            return f"cuda:{index}"
    return resolved
