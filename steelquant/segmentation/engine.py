"""What runs a network: one small protocol, and the choice between PyTorch and OpenVINO behind it.

An engine takes tiles as they are cut from a picture and returns logits; normalisation, precision and the
device's memory are its own affair. Another runtime is another class with these members.

On the processor the engines differ by rounding only: on eight real and synthetic fields no label was another.
So the engine, like the device, is recorded but is no parameter of the masks: a run that goes on with another
engine keeps the fields that are done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from steelquant.errors import SteelquantError, UsageError
from steelquant.segmentation.device import is_intel, is_torch_gpu, resolve_device

if TYPE_CHECKING:
    from steelquant.networks.weights import WeightsMetadata

ENGINES = ("auto", "torch", "openvino")
"""What ``--engine`` takes."""


class Engine(Protocol):
    """A network on a device.

    Attributes
    ----------
    name
        Of the runtime, for the record: ``"torch"``, ``"openvino"``.
    version
        Of the runtime.
    device
        Where it runs: ``"cpu"``, ``"cuda:0"``.
    features
        Of the last batch, ``(n, rows, columns, channels)`` float32: what the network saw in blocks of 224 px,
        see :func:`steelquant.networks.features.listening`. None where that is not known.
    """

    name: str
    version: str
    device: str
    features: NDArray[np.float32] | None

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits of a batch.

        Parameters
        ----------
        tiles
            ``(n, height, width, 3)`` uint8 RGB; the sides are multiples of the network's stride.

        Returns
        -------
        ndarray
            ``(n, K, height, width)`` float32 logits, C-contiguous; the caller may change them.

        Raises
        ------
        MemoryError
            If the batch does not fit into the device's memory.
        """
        ...

    def on_cpu(self) -> Engine | None:
        """Return the same network on the CPU; None if it is there already."""
        ...


def load_engine(
    weights: Path, device: str, engine: str = "auto", tell: Callable[[str], None] = lambda _: None
) -> tuple[Engine, WeightsMetadata]:
    """Read a weight file and make it ready on a device.

    Parameters
    ----------
    weights
        A weight file of steelquant.
    device
        As ``--device`` says; see :func:`steelquant.segmentation.device.resolve_device`.
    engine
        ``torch``, ``openvino``, or ``auto``: PyTorch on the GPUs that it knows; elsewhere OpenVINO, and
        PyTorch where OpenVINO cannot run the network.
    tell
        Called with a sentence when ``auto`` has to do without OpenVINO.

    Returns
    -------
    engine, metadata

    Raises
    ------
    UsageError
        If the device is not there, or the engine cannot run the network on it.
    FileError
        If the weight file cannot be used.
    """
    from steelquant.networks.weights import read_metadata

    if engine not in ENGINES:
        raise UsageError(f"--engine is auto, torch or openvino, not {engine!r}")
    place = "cpu" if (device, engine) == ("auto", "openvino") else resolve_device(device)
    if engine == "openvino" and is_torch_gpu(place):
        raise UsageError(f"--engine openvino does not run on {place}; use --engine torch")
    if engine == "torch" and is_intel(place):
        raise UsageError(f"--engine torch does not run on {place}; use --engine openvino")
    metadata = read_metadata(weights)
    if engine == "torch" or is_torch_gpu(place):
        return _load_torch(weights, place), metadata
    try:
        return _load_openvino(weights, place), metadata
    except (SteelquantError, MemoryError):
        raise
    except Exception as error:  # a damaged installation, an operation that it lacks: no list names them all
        problem = f"OpenVINO cannot run {metadata.model} ({first_line(error)})"
        if engine == "openvino" or place != "cpu":
            raise UsageError(f"{problem}; use --engine torch") from error
        tell(f"{problem}; going on with PyTorch")
    return _load_torch(weights, place), metadata


def _load_torch(weights: Path, device: str) -> Engine:
    import torch

    from steelquant.networks.weights import read_weights
    from steelquant.segmentation.reach import limit_reach
    from steelquant.segmentation.torch_engine import TorchEngine

    network, metadata = read_weights(weights)
    limit_reach(network, metadata.crop_px)
    return TorchEngine(network, metadata, torch.device(device))


def _load_openvino(weights: Path, device: str) -> Engine:
    from steelquant.segmentation.openvino_engine import OpenVinoEngine, exported

    return OpenVinoEngine(exported(weights), device)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says; of one that is not ours with the name of its class."""
    line = next(iter(str(error).strip().splitlines()), "")
    return line if isinstance(error, SteelquantError) else f"{type(error).__name__}: {line}".rstrip(": ")
