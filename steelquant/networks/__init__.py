"""The five networks of the paper, the registry of models, and their weight files.

Only :func:`build` and the reading of weights need torch; the registry and the search for weight files do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build"]


def build(name: str, classes: int = 2) -> nn.Module:
    """Return an untrained network, He-initialised.

    Parameters
    ----------
    name
        One of ``unet segnet resnet50 resnet18 mobilenetv2`` or ``smp:ARCHITECTURE:ENCODER``.
    classes
        Number of classes K, at least 2.

    Returns
    -------
    torch.nn.Module
        Takes ``(n, 3, height, width)`` float32, normalised as its weight file says, of any size, and
        returns logits ``(n, K, height, width)``.

    Raises
    ------
    UsageError
        If the name or the number of classes means nothing.
    """
    from steelquant.networks.building import build_network

    return build_network(name, classes)
