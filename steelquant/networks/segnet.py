"""SegNet on VGG16, as MATLAB's ``segnetLayers`` builds it."""

from __future__ import annotations

import itertools

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn import functional

from steelquant.networks.upsample import padded_to_stride

_DECODER_WIDTHS = ((512, 512, 512, 512), (512, 512, 512, 256), (256, 256, 256, 128), (128, 128, 64))


def _block(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inside, outside in itertools.pairwise(widths):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class SegNet(nn.Module):
    """SegNet: VGG16 with batch norm, max pooling that keeps its indices, and the mirror image that unpools.

    Source: Badrinarayanan et al. 2017, in the variant of Muñoz-Rodenas et al. 2024 (Table 2: 29,444,166).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = get_encoder("vgg16_bn", weights=None)
        self.decoder = nn.ModuleList([_block(*widths) for widths in (*_DECODER_WIDTHS, (64, 64, classes))])

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(n, K, h, w)`` of an image ``(n, 3, h, w)``."""
        return padded_to_stride(self._forward, image, 32)

    def sharpen(self, gain: float) -> None:
        """Scale the last batch norm, in place, to a mean gain of at least `gain`; labels stay as they are.

        Logits are what this batch norm and a ReLU leave, so with a gain of 1 no class gets a probability
        much above 0.7, and Adam moves a gain by less than 0.5 in a thousand iterations.

        Parameters
        ----------
        gain
            Above 0. At 4, a pixel one standard deviation from the mean has a probability of 0.98.
        """
        *_, last = (module for module in self.decoder.modules() if isinstance(module, nn.BatchNorm2d))
        with torch.no_grad():
            factor = max(1.0, gain / float(last.weight.abs().mean()))
            last.weight.mul_(factor)
            last.bias.mul_(factor)

    def _forward(self, image: Tensor) -> Tensor:
        features = image
        pooled: list[Tensor] = []
        for layer in self.encoder.features:
            if isinstance(layer, nn.MaxPool2d):
                features, indices = functional.max_pool2d(features, 2, 2, return_indices=True)
                pooled.append(indices)
            else:
                features = layer(features)
        for block in self.decoder:
            features = block(functional.max_unpool2d(features, pooled.pop(), [2, 2]))
        return features
