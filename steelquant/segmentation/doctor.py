"""What this machine offers and how fast the networks run on it, for ``steelquant doctor``."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steelquant.micrograph.provenance import machine, versions
from steelquant.networks.weights import WeightsMetadata
from steelquant.segmentation.device import is_torch_gpu, may_have_torch_gpu, resolve_device
from steelquant.segmentation.engine import Engine, first_line, load_engine
from steelquant.segmentation.engine_cache import cache_folder, can_keep_exports
from steelquant.segmentation.models import ModelStatus, list_models

MODEL = "mobilenetv2"
WORK_GFLOP_PER_MP = 42.8
"""Floating-point operations of that model: what a matrix product's rate bounds."""

_TILE_PX = 1024
_REPEATS = 3
_MATRIX = 1536
_BUSY_SHARE = 0.5
"""Above this load per core other programs take a part of what is measured."""


@dataclass(frozen=True)
class EngineReport:
    """An engine on a device.

    Attributes
    ----------
    name, version, device
        Of the engine; the version is None where it cannot be used.
    load_seconds
        To make a network ready.
    megapixels_per_second
        Median rate on a tile of 1 MP.
    problem
        Why it cannot be used, one line; None where it can.
    """

    name: str
    device: str
    version: str | None = None
    load_seconds: float | None = None
    megapixels_per_second: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    machine, versions
        As :mod:`steelquant.micrograph.provenance` tells them.
    device
        What ``--device auto`` means here.
    devices
        What ``--device`` can name here.
    matrix_gflops
        Rate of a float32 matrix product, 10⁹ operations a second.
    engines
        The engines, the one that ``--engine auto`` takes first.
    models
        The models and their weights.
    cache
        Folder of exported networks.
    advice
        What would make it faster, one sentence each.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    device: str
    devices: tuple[str, ...]
    matrix_gflops: float
    engines: tuple[EngineReport, ...]
    models: tuple[ModelStatus, ...]
    cache: Path
    advice: tuple[str, ...]

    @property
    def works(self) -> bool:
        """Whether any engine can be used, and no weight file is damaged."""
        has_engine = any(engine.problem is None for engine in self.engines)
        return has_engine and all(status.problem is None for status in self.models)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``doctor --json`` prints it."""
        return {
            "machine": self.machine,
            "versions": self.versions,
            "device": self.device,
            "devices": self.devices,
            "matrix_gflops": self.matrix_gflops,
            "bound_megapixels_per_second": self.matrix_gflops / WORK_GFLOP_PER_MP,
            "engines": [asdict(engine) for engine in self.engines],
            "models": [status.to_json() for status in self.models],
            "cache": str(self.cache),
            "advice": list(self.advice),
        }


def diagnose() -> Diagnosis:
    """Look at the machine and run every engine on one tile; what does not work is part of the answer."""
    load = _load_per_core()
    facts = machine()
    matrix_gflops = _matrix_gflops()
    models = tuple(list_models())
    usable = {status.info.name: status.weights for status in models if status.problem is None}
    try:
        device = resolve_device("auto")
    except Exception:  # a damaged PyTorch: its engine will say so
        device = "cpu"
    places = [("openvino", "cpu"), ("torch", device)]
    if is_torch_gpu(device):
        places.reverse()
    engines = tuple(_examine(name, place, usable.get(MODEL)) for name, place in places)
    intel = _intel_devices()
    return Diagnosis(
        machine=facts,
        versions=versions(),
        device=device,
        devices=tuple(dict.fromkeys([device, "cpu", *intel])),
        matrix_gflops=round(matrix_gflops, 1),
        engines=engines,
        models=models,
        cache=cache_folder(),
        advice=tuple(_advice(facts["cores"], load, device, intel, engines)),
    )


def _examine(name: str, device: str, weights: Path | None) -> EngineReport:
    try:
        start = time.perf_counter()
        engine = _untrained(name, device) if weights is None else load_engine(weights, device, name)[0]
        loaded = time.perf_counter() - start
        rate = _rate(engine)
    except Exception as error:  # whatever a damaged installation throws
        return EngineReport(name, device, problem=first_line(error))
    return EngineReport(name, device, engine.version, round(loaded, 2), round(rate, 3))


def _untrained(name: str, device: str) -> Engine:
    """Return an engine with random weights: as fast as trained ones."""
    import torch

    from steelquant.networks import build
    from steelquant.segmentation.openvino_engine import OpenVinoEngine
    from steelquant.segmentation.openvino_export import export_network
    from steelquant.segmentation.reach import limit_reach
    from steelquant.segmentation.torch_engine import TorchEngine

    network, metadata = build(MODEL).eval(), WeightsMetadata(MODEL)
    limit_reach(network, metadata.crop_px)
    if name == "torch":
        return TorchEngine(network, metadata, torch.device(device))
    return OpenVinoEngine(export_network(network, metadata), device)


def _rate(engine: Engine) -> float:
    """Return MP/s on one tile; the first run, which makes things ready, does not count."""
    tile = np.random.default_rng(0).integers(0, 256, (1, _TILE_PX, _TILE_PX, 3), np.uint8)
    return _TILE_PX**2 / 1e6 / _median_seconds(lambda: engine.predict(tile))


def _matrix_gflops() -> float:
    matrix = np.random.default_rng(0).random((_MATRIX, _MATRIX), np.float32)
    return 2 * _MATRIX**3 / 1e9 / _median_seconds(lambda: matrix @ matrix)


def _median_seconds(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _intel_devices() -> list[str]:
    """Return Intel's GPUs and NPUs that OpenVINO finds; none where it cannot be imported."""
    from steelquant import openvino_runtime

    with contextlib.suppress(Exception):
        return [name.lower() for name in openvino_runtime.openvino_core().available_devices if name != "CPU"]
    return []


def _load_per_core() -> float:
    """Return how many processes want each core; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0.0
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return 0.0


def _advice(
    cores: int, load: float, device: str, intel: list[str], engines: tuple[EngineReport, ...]
) -> Iterator[str]:
    if load > _BUSY_SHARE:
        yield f"other programs keep the processor busy ({load:.1f} processes a core), which slows all down"
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and 0 < int(threads) < cores:
        yield f"OMP_NUM_THREADS={threads} leaves {cores - int(threads)} of {cores} cores unused; unset it"
    for engine in engines:
        if engine.problem is not None:
            yield f"{engine.name} does not work; python -m pip install --force-reinstall {engine.name}"
    if device == "cpu":
        if may_have_torch_gpu():
            yield "there is a GPU's driver, but this PyTorch cannot use it; install PyTorch with CUDA"
        else:
            yield "a GPU that PyTorch knows (NVIDIA's, Apple's) would be faster than this processor"
    for name in intel:
        yield f"OpenVINO finds {name}: compare with --device {name}"
    if not can_keep_exports():
        yield (
            f"{cache_folder()} cannot be written, so every start exports the network again; "
            "name another folder in STEELQUANT_CACHE"
        )
