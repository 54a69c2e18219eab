"""OpenVINO as an engine: the fastest on processors, and for Intel's GPUs and NPUs. Imports no torch."""

from __future__ import annotations

import hashlib
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelquant import __version__, openvino_runtime
from steelquant.errors import UsageError
from steelquant.micrograph.files import sha256_of
from steelquant.segmentation.engine_cache import ExportedNetwork, find_export, keep_export

_PACKAGE = Path(__file__).resolve().parent.parent
_DECIDING_CODE = (
    "networks/*.py",
    "segmentation/reach.py",
    "segmentation/folding.py",
    "segmentation/openvino_export.py",
)
_DECIDING_PACKAGES = ("openvino", "torch", "segmentation-models-pytorch")

_LISTENING_MS = 50
"""While a tile is in work, Ctrl-C is listened for that often."""

_OUT_OF_MEMORY = ("failed to allocate", "bad_alloc", "out of memory", "out_of_resources")
"""Words of the processor's plugin, of C++ and of OpenCL; there is no class of error for it."""


class OpenVinoEngine:
    """OpenVINO: one tile at a time, compiled for its size, in float32 on the processor.

    A network compiled for one size is a little faster than one for any size and takes half the memory;
    compiling takes a tenth of a second, and the tiles of a field, mostly of a run, have one size.

    Parameters
    ----------
    network
        What to run.
    device
        ``cpu``, ``gpu``, ``gpu.N`` or ``npu``.

    Raises
    ------
    UsageError
        If OpenVINO finds no such device.
    """

    name = "openvino"

    def __init__(self, network: ExportedNetwork, device: str) -> None:
        core = openvino_runtime.openvino_core()
        there = ["cpu"] if device == "cpu" else [name.lower() for name in core.available_devices]
        if not any(name == device or name.startswith(f"{device}.") for name in there):
            raise UsageError(f"--device {device}: OpenVINO finds only {', '.join(there)}; use --device cpu")
        self.version = metadata.version("openvino")
        self.device = device
        self._network = None if device == "cpu" else network
        openvino = openvino_runtime.import_openvino()
        constants = openvino.Tensor(np.frombuffer(network.constants, np.uint8))
        self._model = core.read_model(network.graph.decode(), constants)
        self._has_features = len(self._model.outputs) > 1
        self.features: NDArray[np.float32] | None = None
        self._request: Any = None
        self._size_px: tuple[int, ...] | None = None

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits of a batch; see :class:`steelquant.segmentation.engine.Engine`."""
        try:
            self._prepare(tiles.shape[1:3])
            return self._run(tiles)
        except RuntimeError as error:
            if not any(word in str(error).lower() for word in _OUT_OF_MEMORY):
                raise
            problem = str(error).strip().splitlines()[-1]
        self._request = self._size_px = None
        raise MemoryError(problem)

    def on_cpu(self) -> OpenVinoEngine | None:
        """Return the same network on the CPU; None if it is there already."""
        return None if self._network is None else OpenVinoEngine(self._network, "cpu")

    def _prepare(self, size_px: tuple[int, ...]) -> None:
        """Compile for tiles of this size, unless the last tiles had it."""
        if size_px == self._size_px:
            return
        self._request = self._size_px = None  # the memory of the last size goes before the next is taken
        self._model.reshape([1, *size_px, 3])
        compiled = openvino_runtime.openvino_core().compile_model(
            self._model, self.device.upper(), _settings(self.device)
        )
        self._request = compiled.create_infer_request()
        self._size_px = size_px

    def _run(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        tensor = openvino_runtime.import_openvino().Tensor
        results = [self._request.get_output_tensor(place) for place in range(1 + self._has_features)]
        batch = [np.empty((len(tiles), *result.shape[1:]), np.float32) for result in results]
        for place, tile in enumerate(np.ascontiguousarray(tiles)):
            self._infer(tensor(tile[None], shared_memory=True))
            for values, result in zip(batch, results, strict=True):
                values[place] = result.data[0]
        logits, *features = batch
        self.features = features[0] if features else None
        return logits

    def _infer(self, tile: Any) -> None:
        """Run one tile; Ctrl-C ends it between two layers, where `infer` would go on to the end."""
        self._request.start_async([tile], share_inputs=True)
        try:
            while not self._request.wait_for(_LISTENING_MS):
                pass
        except KeyboardInterrupt:
            self._request.cancel()
            self._request = self._size_px = None  # waits until the tile is no longer in use
            raise


def _settings(device: str) -> dict[str, Any]:
    """Return what OpenVINO must know of a device.

    On processors with bfloat16 it would use that unasked; on eight fields up to 0.2 % of the labels changed.
    Pinned threads of two processes would meet on the same cores.
    """
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if device == "cpu":
        settings |= {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
        if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(threads) > 0:
            settings["INFERENCE_NUM_THREADS"] = int(threads)
    return settings


def exported(weights: Path) -> ExportedNetwork:
    """Return the export of a weight file: kept from an earlier start, or made now with PyTorch, and kept.

    Raises
    ------
    FileError
        If the weight file cannot be used.
    """
    openvino_runtime.openvino_core()  # where OpenVINO is damaged, nothing need be exported
    origin = {"weights": sha256_of(weights), **_makers()}
    network = find_export(origin)
    if network is None:
        from steelquant.segmentation.openvino_export import export_weights

        network = export_weights(weights)
        keep_export(origin, network)
    return network


def _makers() -> dict[str, str]:
    """Return the versions that an export depends on, and the hash of our own code behind it."""
    code = hashlib.sha256()
    for pattern in _DECIDING_CODE:
        for path in sorted(_PACKAGE.glob(pattern)):
            code.update(path.name.encode() + path.read_bytes())
    versions = {name: metadata.version(name) for name in _DECIDING_PACKAGES}
    return {"steelquant": __version__, "code": code.hexdigest(), **versions}
