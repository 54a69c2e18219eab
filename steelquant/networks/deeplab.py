"""DeepLabV3+ as MATLAB's ``deeplabv3plusLayers`` builds it, on ResNet18, ResNet50 and MobileNetV2."""

from __future__ import annotations

from collections.abc import Callable

import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from steelquant.networks.registry import ASPP_RATES
from steelquant.networks.upsample import BilinearUpsample4

_OUTPUT_STRIDE = 16

_Convolution = Callable[[int, int, int, int], nn.Module]


def _dense(inside: int, outside: int, size: int, rate: int) -> nn.Module:
    return nn.Conv2d(inside, outside, size, padding=rate * (size // 2), dilation=rate)


def _separable(inside: int, outside: int, size: int, rate: int) -> nn.Module:
    """Depthwise, then 1×1, both with bias and nothing between."""
    return nn.Sequential(
        nn.Conv2d(inside, inside, size, padding=rate * (size // 2), dilation=rate, groups=inside),
        nn.Conv2d(inside, outside, 1),
    )


def _normalised(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class _Aspp(nn.Module):
    """Atrous spatial pyramid of four branches, without image pooling: a tile is independent of its size."""

    def __init__(self, inside: int, convolution: _Convolution) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [_normalised(convolution(inside, 256, 1, 1), 256)]
            + [_normalised(convolution(inside, 256, 3, rate), 256) for rate in ASPP_RATES]
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([branch(features) for branch in self.branches], dim=1)


class DeepLabV3Plus(nn.Module):
    """The decoder of Chen et al. 2018 over a backbone at output stride 16.

    Parameters
    ----------
    encoder
        ``resnet18``, ``resnet50`` or ``mobilenet_v2`` of segmentation-models-pytorch.
    classes
        Number of classes K.

    Notes
    -----
    Layer by layer Muñoz-Rodenas et al. 2024, Appendix A. MobileNetV2 takes its low-level features from the
    expansion of its fourth inverted residual block (144 channels, stride 4), ends at its 320-channel block,
    and has depthwise-separable convolutions in the ASPP and the decoder.
    """

    def __init__(self, encoder: str, classes: int) -> None:
        super().__init__()
        self.is_mobile = encoder == "mobilenet_v2"
        convolution = _separable if self.is_mobile else _dense
        self.encoder = get_encoder(encoder, weights=None, output_stride=_OUTPUT_STRIDE)
        if self.is_mobile:
            self.encoder.features = self.encoder.features[:-1]  # the 1280-channel layer serves the classifier
            low, deep = 144, 320
        else:
            low, deep = self.encoder.out_channels[2], self.encoder.out_channels[5]
        self.aspp = _Aspp(deep, convolution)
        self.dec_c1 = _normalised(nn.Conv2d(1024, 256, 1), 256)
        self.dec_upsample1 = BilinearUpsample4()
        self.dec_c2 = _normalised(nn.Conv2d(low, 48, 1), 48)
        self.dec_c3 = _normalised(convolution(304, 256, 3, 1), 256)
        self.dec_c4 = _normalised(convolution(256, 256, 3, 1), 256)
        self.scorer = nn.Conv2d(256, classes, 1)
        self.dec_upsample2 = BilinearUpsample4()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(n, K, h, w)`` of an image ``(n, 3, h, w)`` of any size."""
        detail, features = self.shallow(image)
        context = self.dec_upsample1(self.deep(features))
        context = context[..., : detail.shape[-2], : detail.shape[-1]]
        logits = self.dec_upsample2(self.decode(detail, context))
        return logits[..., : image.shape[-2], : image.shape[-1]]

    def shallow(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what depends on a pixel's close surroundings only.

        Returns
        -------
        detail, features
            ``(n, 48, h/4, w/4)`` for the decoder, and what the rest of the backbone takes: stride 8 for
            MobileNetV2, stride 4 for ResNet. A value depends on fewer than 32 px around it.
        """
        if not self.is_mobile:
            stem = self.encoder.relu(self.encoder.bn1(self.encoder.conv1(image)))
            low = self.encoder.layer1(self.encoder.maxpool(stem))
            return self.dec_c2(low), low
        features = image
        for layer in self.encoder.features[:4]:
            features = layer(features)
        expansion, *rest = self.encoder.features[4].conv
        low = expansion(features)
        features = low
        for layer in rest:
            features = layer(features)
        return self.dec_c2(low), features

    def deep(self, features: Tensor) -> Tensor:
        """Return the context ``(n, 256, h/16, w/16)``, which looks hundreds of pixels around itself."""
        encoder = self.encoder
        layers = encoder.features[5:] if self.is_mobile else (encoder.layer2, encoder.layer3, encoder.layer4)
        for layer in layers:
            features = layer(features)
        return self.dec_c1(self.aspp(features))

    def decode(self, detail: Tensor, context: Tensor) -> Tensor:
        """Return logits ``(n, K, h/4, w/4)`` from detail and context of that size; looks 2 values around."""
        return self.scorer(self.dec_c4(self.dec_c3(torch.cat([context, detail], dim=1))))
