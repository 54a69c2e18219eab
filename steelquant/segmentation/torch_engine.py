"""PyTorch as an engine: for NVIDIA's and Apple's GPUs, and for what OpenVINO cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steelquant.networks.deeplab import DeepLabV3Plus
from steelquant.networks.features import listening
from steelquant.segmentation.blocks import BlockedDeepLab
from steelquant.segmentation.folding import fold_batch_norms

if TYPE_CHECKING:
    from steelquant.networks.weights import WeightsMetadata


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
    version = str(torch.__version__)

    def __init__(self, network: nn.Module, metadata: WeightsMetadata, device: torch.device) -> None:
        self.device = str(device)
        self.features: NDArray[np.float32] | None = None
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
        """Return the logits of a batch; see :class:`steelquant.segmentation.engine.Engine`."""
        try:
            return self._run(tiles)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            problem = str(error).splitlines()[0]
        _free_cached(self._place)  # only here: while the error lives, its frames hold the tensors
        raise MemoryError(problem)

    def _run(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        is_cuda = self._place.type == "cuda"
        with (
            torch.inference_mode(),
            torch.autocast("cuda", dtype=torch.float16, enabled=is_cuda),
            listening(self._plain) as heard,
        ):
            # Bytes cross to the device, not floats; from (n, h, w, 3) they arrive channels last.
            batch = torch.from_numpy(tiles).permute(0, 3, 1, 2)
            if is_cuda:
                batch = batch.pin_memory()
            values = batch.to(self._place, non_blocking=is_cuda).float()
            logits = self._network(values.sub_(self._mean).div_(self._std))
            self.features = np.asarray(heard[0].float().cpu().numpy(), np.float32) if heard else None
            return _on_host(logits.float().contiguous(memory_format=torch.contiguous_format))

    def on_cpu(self) -> TorchEngine | None:
        """Return the same network on the CPU; None if it is there already."""
        if self._place.type == "cpu":
            return None
        engine = TorchEngine(self._plain.to("cpu"), self._metadata, torch.device("cpu"))
        _free_cached(self._place)
        return engine


def _on_host(logits: Tensor) -> NDArray[np.float32]:
    """Copy to the host, from CUDA into page-locked memory: that is several times as fast."""
    if logits.device.type != "cuda":
        return np.asarray(logits.cpu().numpy(), np.float32)
    host = torch.empty(logits.shape, dtype=torch.float32, pin_memory=True)
    host.copy_(logits, non_blocking=True)
    torch.cuda.synchronize(logits.device)
    return np.asarray(host.numpy(), np.float32)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has a class for it; the CPU's allocator and MPS only have words."""
    text = str(error).lower()
    return isinstance(error, torch.cuda.OutOfMemoryError) or ("memory" in text and "alloc" in text)


def _free_cached(device: torch.device) -> None:
    """Give back what PyTorch keeps of a GPU's memory for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
