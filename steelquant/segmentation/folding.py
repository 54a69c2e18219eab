"""Batch norms folded into the convolutions before them: fewer passes over memory, the same numbers."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_PROBE_PX = 64
_TOLERANCE = 1e-3
"""Largest change of a logit, relative to the largest logit, that still counts as rounding."""


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Return a copy of a network in evaluation mode whose batch norms are part of their convolutions.

    Which convolution feeds which batch norm is observed on a small input, not guessed from the order of the
    modules. Where the copy's output then differs (a convolution whose output is also used elsewhere), the
    network itself is returned.

    Parameters
    ----------
    network
        Takes ``(n, 3, height, width)`` float32 on the CPU, in evaluation mode.
    """
    probe = torch.randn(1, 3, _PROBE_PX, _PROBE_PX, generator=torch.Generator().manual_seed(0))
    folded = copy.deepcopy(network)
    with torch.no_grad():
        for first, second in _pairs(folded, probe):
            convolution, norm = folded.get_submodule(first), folded.get_submodule(second)
            assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
            assert isinstance(norm, nn.BatchNorm2d)
            is_transposed = isinstance(convolution, nn.ConvTranspose2d)
            replace_module(folded, first, fuse_conv_bn_eval(convolution, norm, transpose=is_transposed))
            replace_module(folded, second, nn.Identity())
        expected, got = network(probe), folded(probe)
    is_same = (expected - got).abs().max() <= _TOLERANCE * expected.abs().max().clamp(min=1e-6)
    return folded if bool(is_same) else network


def _pairs(network: nn.Module, probe: Tensor) -> list[tuple[str, str]]:
    """Names of each convolution and the batch norm that takes its output."""
    outputs: list[tuple[Tensor, str]] = []
    pairs: list[tuple[str, str]] = []
    hooks = []

    def watch(name: str, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            hooks.append(module.register_forward_hook(lambda _m, _i, output: outputs.append((output, name))))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(lambda _m, inputs: meet(name, inputs[0])))

    def meet(norm: str, entering: Tensor) -> None:
        if outputs and outputs[-1][0] is entering:
            pairs.append((outputs[-1][1], norm))

    for name, module in network.named_modules():
        watch(name, module)
    with torch.no_grad():
        network(probe)
    for hook in hooks:
        hook.remove()
    counts = [name for pair in pairs for name in pair]
    return [pair for pair in pairs if counts.count(pair[0]) == counts.count(pair[1]) == 1]


def replace_module(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of the one with this name."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)
