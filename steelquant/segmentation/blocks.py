"""DeepLabV3+ over a whole field, its shallow layers and its decoder block by block.

The ASPP of DeepLabV3+ looks hundreds of pixels far, so tiles that overlap by less differ from the whole
field. But it does so at a sixteenth of the resolution, where a whole field is small; the layers at high
resolution, which hold nearly all of the memory, look less than 32 px far. So these run in blocks that stay
in the processor's caches, with the surroundings that they look at, and the deep ones once over the whole
field: the numbers of the whole field, faster and in a fraction of its memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steelquant.networks.deeplab import DeepLabV3Plus

BLOCK_PX = 512

_MOBILE_HALO_PX = 16
_RESIDUAL_HALO_PX = 32
"""At least as far as the shallow part looks (13 and 21 px), in multiples of the deep stride."""

_DECODER_HALO = 3
"""In quarters of the resolution: two 3×3 convolutions and the upsampling of the logits."""

_CONTEXT_HALO = 2
"""In sixteenths of the resolution: what fills the decoder's halo and the upsampling beyond it."""

_Span = tuple[int, int]


class BlockedDeepLab(nn.Module):
    """A DeepLabV3+ for the CPU, with the logits of the network that it wraps.

    Parameters
    ----------
    network
        In evaluation mode, batch norms folded or not.
    block_px
        Largest side of a block, a multiple of 16.
    """

    def __init__(self, network: DeepLabV3Plus, block_px: int = BLOCK_PX) -> None:
        super().__init__()
        self.network = network
        self.block_px = block_px

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(n, K, h, w)`` of an image ``(n, 3, h, w)``, h and w multiples of 16."""
        height, width = image.shape[-2:]
        blocks = [
            (rows, columns)
            for rows in _spans(height, self.block_px)
            for columns in _spans(width, self.block_px)
        ]
        detail, features = self._shallow(image, blocks)
        return self._decode(detail, self.network.deep(features), blocks)

    def _shallow(self, image: Tensor, blocks: list[tuple[_Span, _Span]]) -> list[Tensor]:
        """Run the shallow part block by block, each with its halo, and put its outputs together."""
        height, width = image.shape[-2:]
        halo = _MOBILE_HALO_PX if self.network.is_mobile else _RESIDUAL_HALO_PX
        outputs: list[Tensor] = []
        for rows, columns in blocks:
            seen_rows, seen_columns = _grown(rows, halo, height), _grown(columns, halo, width)
            seen = image[:, :, slice(*seen_rows), slice(*seen_columns)]
            parts = self.network.shallow(seen.contiguous(memory_format=torch.channels_last))
            if not outputs:
                outputs = [_canvas(part, image, seen.shape[-1] // part.shape[-1]) for part in parts]
            for part, output in zip(parts, outputs, strict=True):
                stride = width // output.shape[-1]
                output[:, :, _within(rows, 0, stride), _within(columns, 0, stride)] = part[
                    :, :, _within(rows, seen_rows[0], stride), _within(columns, seen_columns[0], stride)
                ]
        return outputs

    def _decode(self, detail: Tensor, context: Tensor, blocks: list[tuple[_Span, _Span]]) -> Tensor:
        """Run the decoder block by block, each with its halo, and put the logits together."""
        network = self.network
        height, width = detail.shape[-2:]
        classes = network.scorer.out_channels
        logits = detail.new_empty((len(detail), classes, 4 * height, 4 * width))
        for block in blocks:
            (top, bottom), (left, right) = ((start // 16, end // 16) for start, end in block)
            deep_rows = _grown((top, bottom), _CONTEXT_HALO, context.shape[-2])
            deep_columns = _grown((left, right), _CONTEXT_HALO, context.shape[-1])
            rows = _grown((4 * top, 4 * bottom), _DECODER_HALO, height)
            columns = _grown((4 * left, 4 * right), _DECODER_HALO, width)
            enlarged = network.dec_upsample1(context[:, :, slice(*deep_rows), slice(*deep_columns)])
            enlarged = enlarged[:, :, _within(rows, 4 * deep_rows[0]), _within(columns, 4 * deep_columns[0])]
            scores = network.decode(detail[:, :, slice(*rows), slice(*columns)], enlarged)
            part = network.dec_upsample2(scores)
            logits[:, :, slice(*block[0]), slice(*block[1])] = part[
                :, :, _within(block[0], 4 * rows[0]), _within(block[1], 4 * columns[0])
            ]
        return logits


def _spans(length: int, block: int) -> list[_Span]:
    """Cut a side into nearly equal parts that begin at multiples of 16."""
    count = -(-length // block)
    starts = [length // 16 * place // count * 16 for place in range(count)]
    return list(zip(starts, [*starts[1:], length], strict=True))


def _grown(span: _Span, halo: int, length: int) -> _Span:
    """Add a halo on both sides, as far as there is anything."""
    return max(0, span[0] - halo), min(length, span[1] + halo)


def _within(span: _Span, origin: int, stride: int = 1) -> slice:
    """Where a span lies in a tensor that begins at ``origin`` and is reduced by ``stride``."""
    return slice((span[0] - origin) // stride, (span[1] - origin) // stride)


def _canvas(part: Tensor, image: Tensor, stride: int) -> Tensor:
    """Return an empty tensor for the whole image, of the channels of one block's output."""
    shape = (len(part), part.shape[1], image.shape[-2] // stride, image.shape[-1] // stride)
    return torch.empty(shape, dtype=part.dtype, memory_format=torch.channels_last)
