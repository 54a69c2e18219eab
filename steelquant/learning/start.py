"""What a network starts from: weights of ours, an encoder that has seen other pictures, or chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from steelquant.errors import FileError, UsageError
from steelquant.learning.crops import FixedCrops
from steelquant.networks import build
from steelquant.networks.building import fetch_imagenet_encoder, load_encoder
from steelquant.networks.registry import IMAGENET_MEAN, IMAGENET_STD, ModelInfo
from steelquant.networks.segnet import SegNet
from steelquant.networks.weights import read_weights

_Rgb = tuple[float, float, float]

PICTURES = 16
"""Crops by which SegNet's batch norms are set: a batch of the protocol ``best``."""


@dataclass(frozen=True)
class Start:
    """What a network starts from; one of the two at most.

    Attributes
    ----------
    weights
        A weight file of the same model to fine-tune, or None.
    encoder
        A safetensors file of encoder weights under torchvision's names, the word ``imagenet`` for those that
        segmentation-models-pytorch fetches from its hub, or None for He initialisation.

    Raises
    ------
    UsageError
        If both are given: the weights hold an encoder.
    """

    weights: Path | None = None
    encoder: Path | str | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and self.encoder is not None:
            raise UsageError("--weights hold an encoder already; leave out --encoder, or --weights")


def starting_network(info: ModelInfo, classes: int, start: Start) -> tuple[nn.Module, _Rgb, _Rgb]:
    """Return a network to train, and the mean and standard deviation by which it wants RGB normalised.

    Raises
    ------
    UsageError
        If the weights are of another model or of other classes.
    FileError
        If a file cannot be read.
    """
    if start.weights is not None:
        network, metadata = read_weights(start.weights)
        if metadata.model != info.name or len(metadata.classes) != classes:
            raise UsageError(
                f"{start.weights} holds {metadata.model} with {len(metadata.classes)} classes, "
                f"not {info.name} with {classes}"
            )
        return network.train(), metadata.mean, metadata.std
    network = build(info.name, classes)
    if start.encoder == "imagenet":
        load_encoder(network, fetch_imagenet_encoder(info.name))
        return network, IMAGENET_MEAN, IMAGENET_STD
    if start.encoder is not None:
        load_encoder(network, _read_tensors(Path(start.encoder)))
    return network, info.mean, info.std


def start_segnet(
    network: SegNet, logit_gain: float, start: Start, crops: FixedCrops, mean: _Rgb, std: _Rgb
) -> None:
    """Sharpen SegNet's logits, in place, and start from an encoder all that can start from it.

    Parameters
    ----------
    network
        From :func:`starting_network`.
    logit_gain
        See :meth:`SegNet.sharpen`.
    start
        Where it names an encoder, batch norms keep its features and the decoder mirrors its kernels.
    crops
        `PICTURES` of those to train on, to set the batch norms by.
    mean, std
        From :func:`starting_network`.
    """
    network.sharpen(logit_gain)
    if start.encoder is None:
        return
    pixels = torch.stack([crops[number][0] for number in range(len(crops))]).float()
    network.keep_features((pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    network.mirror_encoder()


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise FileError(path, f"not a readable safetensors file ({error})") from None
