"""SegNet on VGG16, as MATLAB's ``segnetLayers`` builds it."""

from __future__ import annotations

import itertools

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn
from torch.nn import functional

from steelquant.networks.upsample import padded_to_stride

_DECODER_WIDTHS = ((512, 512, 512, 512), (512, 512, 512, 256), (256, 256, 256, 128), (128, 128, 64))

_KERNEL_SPREAD = 0.05
"""Of kernels that start from VGG16. Batch norms leave it free, and Adam's steps of 0.001 should be small
beside it."""


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

    @torch.no_grad()
    def keep_features(self, image: Tensor) -> None:
        """Set the encoder's batch norms, in place, so that plain VGG16's kernels see what they always saw.

        A batch norm that starts from gain 1 and offset 0 moves the point where every kernel's ReLU cuts, and
        thirteen of them leave little of what the kernels had learnt. These start from each channel's own
        spread and mean, so that they change features by one factor a layer. An encoder that came with batch
        norms that remember pictures stays as it is.

        Parameters
        ----------
        image
            ``(n, 3, h, w)``, normalised; pictures of the kind that it will be trained on.
        """
        if any(
            name.endswith("running_mean") and buffer.any() for name, buffer in self.encoder.named_buffers()
        ):
            return
        features, total = image, 1.0
        for layer in self.encoder.features:
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                factor = _KERNEL_SPREAD / float(layer.weight.std())
                layer.weight.mul_(factor)
                layer.bias.mul_(factor * total)
                total *= factor
            if not isinstance(layer, nn.BatchNorm2d):
                features = layer(features)
                continue
            variance, mean = torch.var_mean(features, (0, 2, 3), correction=0)
            spread = (variance + layer.eps).sqrt()
            factor = 1 / float(spread.mean())
            layer.weight.copy_(factor * spread)
            layer.bias.copy_(factor * mean)
            layer.get_buffer("running_mean").copy_(mean)
            layer.get_buffer("running_var").copy_(variance)
            features = features * factor
            total *= factor

    @torch.no_grad()
    def mirror_encoder(self) -> None:
        """Start the decoder, in place, from the encoder's kernels, transposed; its last convolution stays.

        Unpooling and transposed kernels, with a ReLU after each, are the deconvolutional network of Zeiler
        and Fergus (2014): it draws where in the picture the features were seen. All that the labels need has
        to come through the narrowest features, and this decoder knows the way from the first iteration.
        """
        kernels = [layer.weight for layer in self.encoder.modules() if isinstance(layer, nn.Conv2d)]
        own = [layer.weight for layer in self.decoder.modules() if isinstance(layer, nn.Conv2d)]
        for weight, kernel in zip(own[:-1], reversed(kernels[1:]), strict=True):
            weight.copy_(kernel.transpose(0, 1).flip(2, 3))

    @torch.no_grad()
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
