"""The fixed ×4 bilinear upsampler and the padding to whole strides."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class BilinearUpsample4(nn.Module):
    """×4 upsampling by fixed bilinear weights, as MATLAB's 8×8 stride-4 transposed convolution cropped by 2.

    The transposed convolution with bilinear weights treats what lies outside its input as zero. So does
    bilinear interpolation of an input with a ring of zeros around it, at 1/256 of the work of the dense
    form for 256 channels. It has no parameters: MATLAB stores them, with learning rate 0.

    Shapes: ``(n, c, h, w)`` to ``(n, c, 4h, 4w)``.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Upsample ``(n, c, h, w)`` to ``(n, c, 4h, 4w)``."""
        height, width = features.shape[-2:]
        ringed = functional.pad(features, (1, 1, 1, 1))
        enlarged = functional.interpolate(
            ringed, size=(4 * (height + 2), 4 * (width + 2)), mode="bilinear", align_corners=False
        )
        return enlarged[..., 4:-4, 4:-4]


def padded_to_stride(network: Callable[[Tensor], Tensor], image: Tensor, stride_px: int) -> Tensor:
    """Run a network whose input must be a multiple of ``stride_px``, and crop its output to the input's size.

    The padding repeats the last row and column, to the right and below.
    """
    height, width = image.shape[-2:]
    right, below = -width % stride_px, -height % stride_px
    if right or below:
        image = functional.pad(image, (0, right, 0, below), mode="replicate")
    return network(image)[..., :height, :width]


def bilinear_kernel(size: int = 8) -> Tensor:
    """Return the ``(size, size)`` bilinear kernel of an upsampling transposed convolution.

    Source: Long, Shelhamer and Darrell, *Fully Convolutional Networks*, CVPR 2015 (``upsample_filt``).
    """
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    line = 1 - (torch.arange(size) - centre).abs() / factor
    return line[:, None] * line[None, :]
