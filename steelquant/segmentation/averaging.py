"""Several networks, or the eight symmetries of a tile, as one engine: the mean of probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steelquant.networks.registry import model_info
from steelquant.segmentation.engine import Engine
from steelquant.segmentation.tiling import Tiling, choose_tiling

if TYPE_CHECKING:
    from steelquant.networks.weights import WeightsMetadata

Array = NDArray[np.float32]

_LEAST_PROBABILITY = np.float32(1e-30)
"""Keeps the logarithm finite; far below what blending or a uint8 picture can show."""


class MeanEngine:
    """The mean of probabilities over networks and symmetries, as logits like any other engine's.

    The logits are the logarithms of the mean probabilities: their softmax is that mean.

    Parameters
    ----------
    members
        Engines whose networks have the same classes.
    symmetries
        Whether each network sees every tile in its eight orientations.
    """

    def __init__(self, members: Sequence[Engine], *, symmetries: bool = False) -> None:
        self._members = tuple(members)
        self._symmetries = symmetries
        self.name = "+".join(dict.fromkeys(member.name for member in members))
        self.version = "+".join(dict.fromkeys(member.version for member in members))
        self.device = members[0].device
        self.features: Array | None = None

    def predict(self, tiles: NDArray[np.uint8]) -> Array:
        """Return the logits of a batch; see :class:`steelquant.segmentation.engine.Engine`."""
        total: Array | None = None
        features: Array | None = None
        count = 0
        for seen, turn_back in _orientations(tiles) if self._symmetries else [(tiles, _as_it_is)]:
            for member in self._members:
                probabilities = turn_back(softmax(member.predict(seen)))
                if total is None:
                    features = member.features
                total = probabilities if total is None else total + probabilities
                count += 1
        assert total is not None
        self.features = features  # of the first network, whose training fields it is compared with
        return np.ascontiguousarray(np.log(np.maximum(total / np.float32(count), _LEAST_PROBABILITY)))

    def on_cpu(self) -> MeanEngine | None:
        """Return the same networks on the CPU; None if they are there already."""
        moved = [member.on_cpu() for member in self._members]
        if not any(moved):
            return None
        members = [there or here for there, here in zip(moved, self._members, strict=True)]
        return MeanEngine(members, symmetries=self._symmetries)


def combine(members: Sequence[Engine], *, symmetries: bool) -> Engine:
    """Return the one engine that stands for all; an engine alone stays as it is."""
    if len(members) == 1 and not symmetries:
        return members[0]
    return MeanEngine(members, symmetries=symmetries)


def combined_tiling(
    metadata: Sequence[WeightsMetadata], device: str, tile: int | None = None, overlap: float | None = None
) -> Tiling:
    """Choose tiles that suit every network: the smallest, with the largest halo and stride among them.

    Where the smallest is small against the overlap it grows, lest most of a tile be done twice.

    Parameters
    ----------
    metadata
        Of the networks' weights.
    device, tile, overlap
        As :func:`steelquant.segmentation.predict.choose_tiling` takes them.
    """
    tilings = [
        choose_tiling(model_info(one.model), device, tile, overlap, crop_px=one.crop_px) for one in metadata
    ]
    overlap_px = max(tiling.overlap_px for tiling in tilings)
    tile_px = min(tiling.tile_px for tiling in tilings)
    return Tiling(
        tile_px=tile_px if tile else max(tile_px, 4 * overlap_px),
        overlap_px=overlap_px,
        margin_px=max(tiling.margin_px for tiling in tilings),
        stride_px=math.lcm(*(tiling.stride_px for tiling in tilings)),
        batch=min(tiling.batch for tiling in tilings),
    )


def softmax(logits: Array) -> Array:
    """Return the probabilities of logits ``(n, K, height, width)``."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)


def _as_it_is(planes: Array) -> Array:
    return planes


def _orientations(tiles: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], Callable[[Array], Array]]]:
    """Yield tiles ``(n, height, width, 3)`` in eight orientations, each with its way back for planes."""
    for turns in range(4):
        turned = np.rot90(tiles, turns, axes=(1, 2))
        for is_mirrored in (False, True):
            seen = turned[:, :, ::-1] if is_mirrored else turned

            def turn_back(planes: Array, turns: int = turns, is_mirrored: bool = is_mirrored) -> Array:
                upright = planes[..., ::-1] if is_mirrored else planes
                return np.rot90(upright, -turns, axes=(2, 3))

            yield np.ascontiguousarray(seen), turn_back
