"""What runs a network: one small protocol, and PyTorch behind it.

An engine takes tiles as they are cut from a picture and returns logits; normalisation, precision and the
device's memory are its own affair. Another runtime is another class with these members.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

    from steelquant.networks.weights import WeightsMetadata


class Engine(Protocol):
    """A network on a device.

    Attributes
    ----------
    name
        Of the runtime, for the record: ``"torch"``.
    device
        Where it runs: ``"cpu"``, ``"cuda:0"``.
    """

    name: str
    device: str

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits of a batch.

        Parameters
        ----------
        tiles
            ``(n, height, width, 3)`` uint8 RGB; the sides are multiples of the network's stride.

        Returns
        -------
        ndarray
            ``(n, K, height, width)`` float32 logits, C-contiguous.

        Raises
        ------
        MemoryError
            If the batch does not fit into the device's memory.
        """
        ...

    def on_cpu(self) -> Engine | None:
        """Return the same network on the CPU; None if it is there already."""
        ...


class TorchEngine:
    """PyTorch: inference mode, channels last, batch norms folded, half precision on CUDA, blocks on the CPU.

    Parameters
    ----------
    network
        In evaluation mode, float32, on the CPU.
    metadata
        Its normalisation.
    device
        Where to run it.
    """

    name = "torch"

    def __init__(self, network: nn.Module, metadata: WeightsMetadata, device: torch.device) -> None:
        import torch

        from steelquant.networks.deeplab import DeepLabV3Plus
        from steelquant.segmentation.blocks import BlockedDeepLab
        from steelquant.segmentation.folding import fold_batch_norms

        self.device = str(device)
        self._place = device
        self._metadata = metadata
        plain = fold_batch_norms(network).to(device).to(memory_format=torch.channels_last)
        self._plain = self._network = plain
        if device.type == "cpu" and isinstance(plain, DeepLabV3Plus):
            self._network = BlockedDeepLab(plain)
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=device).view(1, 3, 1, 1)
            for values in (metadata.mean, metadata.std)
        )

    def predict(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits of a batch; see :class:`Engine`."""
        import torch

        is_cuda = self._place.type == "cuda"
        batch = torch.from_numpy(tiles).permute(0, 3, 1, 2)
        try:
            with (
                torch.inference_mode(),
                torch.autocast("cuda", dtype=torch.float16, enabled=is_cuda),
            ):
                if is_cuda:
                    batch = batch.pin_memory()
                values = batch.to(self._place, non_blocking=is_cuda).float()
                logits = self._network(values.sub_(self._mean).div_(self._std))
                logits = logits.float().contiguous(memory_format=torch.contiguous_format).cpu()
        except RuntimeError as error:
            if _is_out_of_memory(error):
                if is_cuda:
                    torch.cuda.empty_cache()
                raise MemoryError(str(error).splitlines()[0]) from None
            raise
        return np.asarray(logits.numpy(), dtype=np.float32)

    def on_cpu(self) -> TorchEngine | None:
        """Return the same network on the CPU; None if it is there already."""
        import torch

        if self._place.type == "cpu":
            return None
        return TorchEngine(self._plain.to("cpu"), self._metadata, torch.device("cpu"))


def _is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has a class for it; the CPU's allocator and MPS only have words."""
    import torch

    text = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError) or ("memory" in text and "alloc" in text)


def load_engine(weights: Path, device: str) -> tuple[Engine, WeightsMetadata]:
    """Read a weight file and make it ready on a device.

    Parameters
    ----------
    weights
        A weight file of steelquant.
    device
        As ``--device`` says; see :func:`steelquant.segmentation.device.resolve_device`.

    Returns
    -------
    engine, metadata

    Raises
    ------
    UsageError
        If the device is not there.
    FileError
        If the weight file cannot be used.
    """
    from steelquant.networks.weights import read_weights
    from steelquant.segmentation.device import resolve_device
    from steelquant.segmentation.reach import limit_reach

    place = resolve_device(device)
    network, metadata = read_weights(weights)
    limit_reach(network, metadata.crop_px)
    return TorchEngine(network, metadata, place), metadata
