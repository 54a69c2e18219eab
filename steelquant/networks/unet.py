"""U-Net with encoder depth 3, as MATLAB's ``unetLayers`` builds it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steelquant.networks.upsample import padded_to_stride


def _two_convolutions(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """U-Net: 64-128-256 encoder, 512 bridge, transposed-convolution decoder, no batch norm.

    Source: Ronneberger et al. 2015, in the variant of Muñoz-Rodenas et al. 2024 (Table 2: 7,697,410).
    Receptive radius 46 px: with tile origins on multiples of 8 and a 64-px halo, tiles equal the whole.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder1 = _two_convolutions(3, 64)
        self.encoder2 = _two_convolutions(64, 128)
        self.encoder3 = _two_convolutions(128, 256)
        self.bridge = _two_convolutions(256, 512)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.5)
        self.up3 = nn.Sequential(nn.ConvTranspose2d(512, 256, 2, stride=2), nn.ReLU(inplace=True))
        self.decoder3 = _two_convolutions(512, 256)
        self.up2 = nn.Sequential(nn.ConvTranspose2d(256, 128, 2, stride=2), nn.ReLU(inplace=True))
        self.decoder2 = _two_convolutions(256, 128)
        self.up1 = nn.Sequential(nn.ConvTranspose2d(128, 64, 2, stride=2), nn.ReLU(inplace=True))
        self.decoder1 = _two_convolutions(128, 64)
        self.head = nn.Conv2d(64, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(n, K, h, w)`` of an image ``(n, 3, h, w)``."""
        return padded_to_stride(self._forward, image, 8)

    def _forward(self, image: Tensor) -> Tensor:
        skip1 = self.encoder1(image)
        skip2 = self.encoder2(self.pool(skip1))
        skip3 = self.dropout(self.encoder3(self.pool(skip2)))
        bridge = self.dropout(self.bridge(self.pool(skip3)))
        up = self.decoder3(torch.cat([self.up3(bridge), skip3], dim=1))
        up = self.decoder2(torch.cat([self.up2(up), skip2], dim=1))
        up = self.decoder1(torch.cat([self.up1(up), skip1], dim=1))
        return self.head(up)
