"""Which tiles suit a model on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from steelquant.networks.registry import ModelInfo
from steelquant.segmentation.device import memory_bytes
from steelquant.segmentation.reach import DEEPLABS, halo_px
from steelquant.segmentation.tiles import SMALLEST_TILE_PX, TileGrid, fit_grid

_WHOLE_FIELD_PX = 2592
"""DeepLabV3+ gets whole fields up to this size, as most cameras' fields are; larger ones are cut."""

_TILE_PX = 1056
"""Other networks' tiles."""

_GPU_BATCH_PX = 2 * _WHOLE_FIELD_PX**2
"""Pixels that go through a GPU at once, where its memory allows."""

_DEEPLAB_BYTES_PER_PX, _BYTES_PER_PX = 212, 1250
"""What OpenVINO takes for each pixel of a tile, beside the weights (DeepLabV3+: 179 to 212, U-Net: 1160).
PyTorch takes less: of the processor, thanks to blocks, and of a GPU, thanks to half precision."""

_MEMORY_SHARE = 4
"""One in so many bytes of the device's memory is for a tile, or on a GPU for a batch."""


@dataclass(frozen=True)
class Tiling:
    """How a field is cut and how much of it goes through the network at once.

    Attributes
    ----------
    tile_px
        Largest side of a tile.
    overlap_px
        Least overlap of neighbours.
    margin_px
        Border of a tile that has no say where a neighbour covers it.
    stride_px
        Origins and sizes are multiples of this.
    batch
        Tiles of this size per call; of smaller ones as many more as have the same area, unless it is 1.
    """

    tile_px: int
    overlap_px: int
    margin_px: int
    stride_px: int
    batch: int

    def grid(self, height_px: int, width_px: int) -> TileGrid:
        """Fit the tiles to a field."""
        return fit_grid(
            height_px,
            width_px,
            tile_px=self.tile_px,
            overlap_px=self.overlap_px,
            stride_px=self.stride_px,
            margin_px=self.margin_px,
        )

    def at_once(self, grid: TileGrid) -> int:
        """Return how many of a grid's tiles, of one field or several, go through the network in one call."""
        height, width = grid.tile_shape
        return 1 if self.batch == 1 else max(1, self.batch * self.tile_px**2 // (height * width))

    def limited(self, most_tile_px: int) -> Tiling:
        """Return the tiling with tiles of at most this side, their overlaps still affordable."""
        if self.tile_px <= most_tile_px:
            return self
        return replace(self, tile_px=most_tile_px, overlap_px=affordable(self.overlap_px, most_tile_px))


def choose_tiling(
    info: ModelInfo, device: str, tile: int | None, overlap: float | None, *, crop_px: int = 224
) -> Tiling:
    """Choose tiles for a model on a device.

    Parameters
    ----------
    info
        The model.
    device
        Name of the device, whose memory limits tiles and batches.
    tile
        Largest side (px), or None for the default: whole fields for DeepLabV3+, which looks far; otherwise
        what wastes little on overlaps.
    overlap
        Fraction of a tile, or None for the default: twice the model's halo, or a quarter where that is more
        than half a tile.
    crop_px
        Edge of the crops that the weights were trained on, which limits how far a network looks.
    """
    on_cpu = device == "cpu"
    halo = halo_px(info, crop_px)
    affordable_px = _affordable_px(info, device)
    tile_px = tile or min(
        _WHOLE_FIELD_PX if info.name in DEEPLABS else _TILE_PX,
        max(math.isqrt(affordable_px) // info.stride_px * info.stride_px, SMALLEST_TILE_PX),
    )
    overlap_px = affordable(2 * halo, tile_px) if overlap is None else round(overlap * tile_px)
    return Tiling(
        tile_px=tile_px,
        overlap_px=overlap_px,
        margin_px=halo,
        stride_px=info.stride_px,
        batch=1 if on_cpu else max(1, min(_GPU_BATCH_PX, affordable_px) // tile_px**2),
    )


def _affordable_px(info: ModelInfo, device: str) -> int:
    """Return how many pixels at once the device's memory allows; any number where that is not known."""
    memory = memory_bytes(device)
    bytes_per_px = _DEEPLAB_BYTES_PER_PX if info.name in DEEPLABS else _BYTES_PER_PX
    return _GPU_BATCH_PX if memory is None else memory // (_MEMORY_SHARE * bytes_per_px)


def affordable(overlap_px: int, tile_px: int) -> int:
    """Return an overlap for which most of a tile is not done twice."""
    return overlap_px if overlap_px <= tile_px // 2 else tile_px // 4
