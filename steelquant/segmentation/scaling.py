"""``--scale`` for fields that are never in memory whole: each tile is resampled by itself, there and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.segmentation.tiling import Tiling, affordable

_LARGEST_STRIDE_PX = 64
_LARGEST_TILE_PX = 6144


def field_tiling(tiling: Tiling, scale: float) -> Tiling:
    """Return the tiles to cut from a field so that they are those of ``tiling`` once resampled.

    Where a small multiple of the field's pixels is a whole number of the network's strides, origins are such
    multiples: every tile is then resampled and pooled as the whole field would be.
    """
    ratio = Fraction(scale).limit_denominator(_LARGEST_STRIDE_PX)
    stride = (
        tiling.stride_px
        * ratio.denominator
        // math.gcd(tiling.stride_px * ratio.denominator, ratio.numerator)
    )
    tile = min(round(tiling.tile_px / scale), _LARGEST_TILE_PX)
    overlap = math.ceil(tiling.overlap_px / scale)
    return replace(
        tiling,
        tile_px=tile,
        overlap_px=affordable(overlap, tile),
        margin_px=math.ceil(tiling.margin_px / scale),
        stride_px=stride if stride <= _LARGEST_STRIDE_PX else tiling.stride_px,
    )


def predict_resampled(
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    tiles: NDArray[np.uint8],
    scale: float,
    stride_px: int,
) -> NDArray[np.float32]:
    """Show tiles to the network resampled, and bring its logits back to their size.

    Parameters
    ----------
    predict
        Takes tiles whose sides are multiples of ``stride_px``.
    tiles
        ``(n, height, width, 3)`` uint8 RGB.
    scale, stride_px
        The factor, and what the network's sides are multiples of.
    """
    height, width = tiles.shape[1:3]
    seen_height, seen_width = max(1, round(height * scale)), max(1, round(width * scale))
    below, right = -seen_height % stride_px, -seen_width % stride_px
    there = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    back = cv2.INTER_LINEAR if scale < 1 else cv2.INTER_AREA
    seen = [
        cv2.copyMakeBorder(
            cv2.resize(tile, (seen_width, seen_height), interpolation=there),
            0,
            below,
            0,
            right,
            cv2.BORDER_REFLECT_101,
        )
        for tile in tiles
    ]
    logits = predict(np.asarray(seen, np.uint8))[:, :, :seen_height, :seen_width]
    return np.array(
        [
            [cv2.resize(plane, (width, height), interpolation=back) for plane in planes]
            for planes in np.ascontiguousarray(logits)
        ],
        np.float32,
    )
