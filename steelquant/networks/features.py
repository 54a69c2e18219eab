"""The deepest features of a network, as means over blocks, from the same pass as its logits.

What a network sees in a field, before the decoder turns it into labels, shows how unlike its training fields
the field is (Lee et al. 2018, arXiv:1807.03888). Means over blocks of the training crops' size take next to
no time or memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from steelquant.networks.deeplab import DeepLabV3Plus
from steelquant.networks.familiarity import BLOCK_PX
from steelquant.networks.segnet import SegNet
from steelquant.networks.unet import UNet


@contextlib.contextmanager
def listening(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the features of each pass of a network, batch norms folded or not, while the block runs.

    Yields
    ------
    list of Tensor
        One ``(n, rows, columns, channels)`` for each pass: means over blocks of 224 px from the top left,
        those at the lower and right borders smaller. Empty for networks other than the paper's five.
    """
    heard: list[Tensor] = []
    module, stride_px = _deepest(network)
    if module is None:
        yield heard
        return

    def hear(_module: nn.Module, _entering: object, features: Tensor) -> None:
        heard.append(_block_means(features, BLOCK_PX // stride_px))

    hook = module.register_forward_hook(hear)
    try:
        yield heard
    finally:
        hook.remove()


def _block_means(features: Tensor, side: int) -> Tensor:
    """Return means over squares of ``(n, c, h, w)`` as ``(n, rows, columns, c)``; at edges of what is there.

    Zeros are added and divided out: OpenVINO knows no pooling over more than there is.
    """
    beyond = (0, side - 1, 0, side - 1)
    sums = functional.avg_pool2d(functional.pad(features, beyond), side)
    shares = functional.avg_pool2d(functional.pad(torch.ones_like(features[:1, :1]), beyond), side)
    return (sums / shares).permute(0, 2, 3, 1)


def _deepest(network: nn.Module) -> tuple[nn.Module | None, int]:
    """Return the module whose output the decoder begins with, after a ReLU, and the stride of that output."""
    if isinstance(network, DeepLabV3Plus):
        return network.dec_c1, 16
    if isinstance(network, UNet):
        return network.bridge, 8
    if isinstance(network, SegNet):
        layers = network.encoder.features
        assert isinstance(layers, nn.Sequential)
        return layers[-2], 16
    return None, 1
