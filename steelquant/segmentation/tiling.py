"""Which tiles suit a model on a device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from steelquant.networks.registry import ModelInfo
from steelquant.segmentation.reach import DEEPLABS, halo_px
from steelquant.segmentation.tiles import TileGrid, fit_grid

_WHOLE_FIELD_PX = 2592
"""DeepLabV3+ gets whole fields up to this size; larger ones are cut.

Most cameras' fields stay whole. OpenVINO takes 212 bytes a pixel: 1.4 GiB for such a tile, and 1.5 GiB in all
for a mosaic 20,000 px wide.
"""

_TILE_PX = 1056
"""Other networks' tiles. OpenVINO takes 1.3 GiB for such a tile of SegNet, 1.2 GiB for one of U-Net."""

_GPU_BATCH_PX = 9_000_000
"""Pixels that go through a GPU at once."""


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
        Tiles per call.
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
        Name of the device.
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
    tile_px = tile or (_WHOLE_FIELD_PX if info.name in DEEPLABS else _TILE_PX)
    overlap_px = affordable(2 * halo, tile_px) if overlap is None else round(overlap * tile_px)
    return Tiling(
        tile_px=tile_px,
        overlap_px=overlap_px,
        margin_px=halo,
        stride_px=info.stride_px,
        batch=1 if on_cpu else max(1, _GPU_BATCH_PX // tile_px**2),
    )


def affordable(overlap_px: int, tile_px: int) -> int:
    """Return an overlap for which most of a tile is not done twice."""
    return overlap_px if overlap_px <= tile_px // 2 else tile_px // 4
