"""Train the network for boundaries: ``python -m steelquant.learning.grain_boundaries.training FILE``.

The fields are synthetic, 105 of one kind (:func:`known_field`, seeds 2000 to 2044 and 4000 to 4059) and ever
new ones of a wider kind (:func:`any_field`); a third of the masks are wrong on purpose. Every boundary is to
be found, those that the etch left out too: what the network then gives is how often a pixel that looks
like this lies on a boundary.
"""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from steelquant.learning.grain_boundaries.fields import (
    DEPTHS,
    PIXEL_SIZES_UM,
    any_field,
    known_field,
    perturbed_mask,
)
from steelquant.learning.synthetic import SyntheticField
from steelquant.stereology.boundary_network import network_input, picture_noise
from steelquant.stereology.grain_maps import grown
from steelquant.stereology.levelling import levelled, with_thin_lines

_CHANNELS = (8, 16, 32, 48)
_CROP_PX, _BATCH = 160, 4
_POOL, _STEPS_PER_FIELD = 180, 4
_Crop = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class BoundaryNetwork(nn.Module):
    """Four scales down and up again; :func:`boundary_logits` runs it without PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        full, half, quarter, eighth = _CHANNELS
        for name, into, out, stride in (
            ("a1", 3, full, 1),
            ("a2", full, full, 1),
            ("b1", full, half, 2),
            ("b2", half, half, 1),
            ("d1", half, quarter, 2),
            ("d2", quarter, quarter, 1),
            ("e1", quarter, eighth, 2),
            ("e2", eighth, eighth, 1),
            ("e3", eighth, eighth, 1),
            ("d3", quarter, quarter, 1),
            ("b3", half, half, 1),
            ("a3", full, full, 1),
        ):
            self.add_module(name, nn.Conv2d(into, out, 3, stride, 1))
        for name, into, out in (("ed", eighth, quarter), ("db", quarter, half), ("ba", half, full)):
            self.add_module(name, nn.Conv2d(into, out, 1))
        self.out = nn.Conv2d(full, 1, 1)
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, -2.0)  # few pixels lie on a boundary

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Return ``(n, 1, height, width)`` logits of an ``(n, 3, height, width)`` input."""
        full = self._through(picture, "a1", "a2")
        half = self._through(full, "b1", "b2")
        quarter = self._through(half, "d1", "d2")
        eighth = self._through(quarter, "e1", "e2", "e3")
        quarter = self._joined(quarter, eighth, "ed", "d3")
        half = self._joined(half, quarter, "db", "b3")
        full = self._joined(full, half, "ba", "a3")
        return self.out(full)

    def _through(self, x: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            x = functional.relu(self.get_submodule(name)(x))
        return x

    def _joined(self, fine: torch.Tensor, coarse: torch.Tensor, narrowed: str, then: str) -> torch.Tensor:
        more = functional.interpolate(
            self.get_submodule(narrowed)(coarse), scale_factor=2, mode="bilinear", align_corners=False
        )
        return self._through(functional.relu(fine + more), then)


def example(field: SyntheticField, ferrite: NDArray[np.bool_]) -> _Crop:
    """Return a field as the network sees it, the truth about each pixel, and where it counts."""
    searched = with_thin_lines(ferrite)
    image, core = levelled(field.pixels, searched)
    seen = network_input(image, core, picture_noise(image, core))
    grains = np.where(searched, grown(field.grains, np.ones_like(ferrite)), 0)
    return seen, _touches(grains).astype(np.float32), core.astype(np.float32)


def _touches(grains: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell of each pixel whether one of its four neighbours belongs to another grain."""
    result = np.zeros(grains.shape, bool)
    for one, other, first, second in (
        (grains[:, 1:], grains[:, :-1], result[:, 1:], result[:, :-1]),
        (grains[1:], grains[:-1], result[1:], result[:-1]),
    ):
        differ = (one != other) & (one > 0) & (other > 0)
        np.logical_or(first, differ, out=first)
        np.logical_or(second, differ, out=second)
    return result


def _crop(rng: np.random.Generator, source: _Crop) -> _Crop:
    height, width = source[2].shape
    for _ in range(4):  # some ferrite in most of them
        top, left = rng.integers(height - _CROP_PX + 1), rng.integers(width - _CROP_PX + 1)
        window = (..., slice(top, top + _CROP_PX), slice(left, left + _CROP_PX))
        if source[2][window].mean() > 0.25:
            break
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5

    def turned(part: NDArray[np.float32]) -> NDArray[np.float32]:
        result = np.rot90(part[window], turns, axes=(-2, -1))
        return np.ascontiguousarray(result[..., ::-1] if mirrored else result)

    seen, truth, counts = (turned(part) for part in source)
    return seen, truth, counts


def train(steps: int, rate: float, seed: int = 0) -> BoundaryNetwork:
    """Train for a number of steps; the learning rate rises over 5 % of them and falls along a cosine."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = BoundaryNetwork()
    optimiser = torch.optim.Adam(network.parameters(), rate)
    kinds = [(size, depth) for depth in DEPTHS.values() for size in PIXEL_SIZES_UM]
    known = [(2000 + k, *kinds[k // 3]) for k in range(45)] + [(4000 + k, *kinds[k // 4]) for k in range(60)]
    rng.shuffle(known)
    pool: list[_Crop] = []
    for step in range(steps):
        done = step / steps
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, done / 0.05 + 0.05) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
        if step % _STEPS_PER_FIELD == 0 and (known or step % (2 * _STEPS_PER_FIELD) == 0):
            field = known_field(*known.pop()) if known else any_field(step // (2 * _STEPS_PER_FIELD))
            new = example(field, perturbed_mask(rng, field))
            if len(pool) < _POOL:
                pool.append(new)
            else:
                pool[rng.integers(_POOL)] = new
        crops = [_crop(rng, pool[rng.integers(len(pool))]) for _ in range(_BATCH)]
        seen, truth, counts = (torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(seen)[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
        mean = (loss * counts).sum() / counts.sum().clamp(min=1)
        optimiser.zero_grad()
        torch.autograd.backward(mean)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0:
            logging.info("step %d of %d, cross entropy %.3f", step, steps, mean.item())
    return network


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--rate", type=float, default=4e-3)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    network = train(arguments.steps, arguments.rate)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, arguments.file)


if __name__ == "__main__":
    main()
