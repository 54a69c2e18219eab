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

    def setup(self, worker: Worker) -> None:
        """Take the weights; the network is loaded with the first field."""
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._predictor: Predictor | None = None
        self._warnings: list[str] = []

    def teardown(self, worker: Worker) -> None:
        """Let go of network and GPU."""
        self._predictor = None
        self._stack.close()

    def segment(self, field: FieldResult) -> Outcome:
        """Read, predict and write a field; several threads may, the network takes one at a time.

        Raises
        ------
        UsageError
            If no worker could do any field: the output folder or the device is not there.
        """
        output = self._job.options.output
        if not is_url(output) and not (output / RECORD_NAME).is_file():
            raise UsageError(
                f"{output} is not there on the worker {get_worker().address}; "
                "--output must be a folder that all workers share, or a URL"
            )
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
        cause = error.__cause__ if error is not None else None
        return Outcome(
            field=replace(result, path=field.path),
            error=error,
            errno=cause.errno if isinstance(cause, OSError) else None,
            stage_seconds=seconds,
            engine=self._predictor.describe() if self._predictor else None,
            warnings=tuple(self._warnings),
        )

    def _predict_and_write(self, job: Job, read: ReadField, seconds: dict[str, float]) -> FieldResult:
        content = read.content
        with self._lock:
            predictor = self._load()
            start, network_before = time.perf_counter(), predictor.network_seconds
            if isinstance(content, Mosaic):
                result = segment_mosaic(job, read.field, content, predictor, lambda _: None)
            else:
                prediction = predictor.predict(
                    content.pixels, content.excluded, probabilities=job.options.probabilities
                )
            seconds["network"] = predictor.network_seconds - network_before
            seconds["blend"] = time.perf_counter() - start - seconds["network"]
        if not isinstance(content, Mosaic):
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
        with contextlib.suppress(UsageError):
            stack.enter_context(folder_lock(folder))
            return f"cuda:{index}"
    return resolved
