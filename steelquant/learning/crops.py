"""Crops as tensors: an endless, reproducible sequence of draws to train on, a fixed list to validate on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from steelquant.learning.augmentation import draw_crop

if TYPE_CHECKING:
    from steelquant.learning.dataset import Crop
    from steelquant.learning.pixel_store import PixelStore

Example = tuple[Tensor, Tensor]
"""``(3, h, w)`` uint8 RGB and ``(h, w)`` int64 labels."""


def _example(image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Example:
    picture = np.ascontiguousarray(image.transpose(2, 0, 1))
    return torch.from_numpy(picture), torch.from_numpy(labels.astype(np.int64))


class TrainingDraws(TorchDataset[Example]):
    """Draw number n is always the same crop, whatever was drawn before: this is what makes runs resumable.

    Every pass over the crops has its own order. Rotations by quarter turns are those of the crop's list.

    Parameters
    ----------
    store, crops, crop_px
        Decoded pixels, the grid crops to draw from, their edge.
    seed
        With n, decides order and augmentation.
    augment
        See :func:`steelquant.learning.augmentation.draw_crop`.
    """

    def __init__(
        self, store: PixelStore, crops: tuple[Crop, ...], crop_px: int, *, seed: int, augment: bool
    ) -> None:
        self.store = store
        self.crops = crops
        self.crop_px = crop_px
        self.seed = seed
        self.augment = augment

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, draw: int) -> Example:
        turn, place = divmod(draw, len(self.crops))
        crop = self.crops[_order(self.seed, turn, len(self.crops))[place]]
        if not self.augment:
            return _example(*self.store.crop(crop, self.crop_px))
        image, labels = self.store.image(crop.image), self.store.labels(crop.image)
        random = np.random.default_rng((self.seed, 1, draw))
        pixels, truth = draw_crop(image, labels, crop.y, crop.x, self.crop_px, random)
        return _example(np.rot90(pixels, crop.quarter_turns), np.rot90(truth, crop.quarter_turns))


@lru_cache(maxsize=2)
def _order(seed: int, turn: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, 0, turn)).permutation(count)


class FixedCrops(TorchDataset[Example]):
    """Crops as they are, at most ``limit`` of them, spread evenly over the list."""

    def __init__(
        self, store: PixelStore, crops: tuple[Crop, ...], crop_px: int, limit: int | None = None
    ) -> None:
        if limit is not None and len(crops) > limit:
            crops = tuple(crops[i] for i in np.linspace(0, len(crops) - 1, limit).round().astype(int))
        self.store = store
        self.crops = crops
        self.crop_px = crop_px

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> Example:
        return _example(*self.store.crop(self.crops[index], self.crop_px))


class DrawSampler(Sampler[int]):
    """The draws of one validation interval, this process's share of them.

    It has no length on purpose: the last interval may be shorter, and Lightning would hold the first one's
    length for all. It asks for the interval when it is iterated: Lightning's ``set_epoch`` comes too late for
    the first interval after a resume.

    Parameters
    ----------
    intervals_done
        Returns the number of intervals behind.
    per_interval, total
        Draws an interval, and of the run.
    rank, world
        This process and how many share the draws.
    """

    def __init__(
        self,
        intervals_done: Callable[[], int],
        per_interval: int,
        total: int,
        *,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.intervals_done = intervals_done
        self.per_interval = per_interval
        self.total = total
        self.rank = rank
        self.world = world

    def __iter__(self) -> Iterator[int]:
        start = self.intervals_done() * self.per_interval
        return iter(range(start + self.rank, min(start + self.per_interval, self.total), self.world))
