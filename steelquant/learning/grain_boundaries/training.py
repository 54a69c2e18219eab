"""Train the network for boundaries: ``python -m steelquant.learning.grain_boundaries.training FILE``.

The fields are synthetic and ever new ones, two of three of a wide kind with dirt (:func:`any_field`), the
third of the kinds that the verdict is judged on (:func:`known_field`); a third of the masks are wrong on
purpose. Every boundary is to be found, those that the etch left out too: what the network then gives is
how often a pixel that looks like this lies on a boundary.

The weights that are shipped were trained in three steps: 10,000 iterations of 4 crops of 192² without the
coarsest scale and with the first of the two outputs; 7,500 of 3 crops of 256² with both
(``--start … --seed 1 --rate 2e-3``), on fields of which the etch had left out 5 to 75 % of the boundaries;
12,000 more as it stands here (``--steps 12000 --start … --seed 2 --rate 2.5e-3``), half of whose fields are
etched evenly. They took 35, 38 and 50 minutes of one core.
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
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from steelquant.learning.grain_boundaries.fields import (
    DEPTHS,
    ETCHES,
    PIXEL_SIZES_UM,
    any_field,
    known_field,
    perturbed_mask,
)
from steelquant.learning.synthetic import SyntheticField
from steelquant.stereology.boundary_network import CHANNELS, SEEN_FROM, network_input, picture_noise
from steelquant.stereology.grain_maps import grown
from steelquant.stereology.levelling import levelled, with_thin_lines
from steelquant.stereology.positions import SYMMETRIES

_CROP_PX, _BATCH = 256, 3
_POOL, _STEPS_PER_FIELD = 320, 6
_FIRST_SEED, _ONE_OF, _SEEDS_APART = 100_000, 3, 100_000
"""Every third field is of one of the kinds that the verdict is set and judged on, with seeds of its own."""
_Crop = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def _acted(weight: torch.Tensor, mirrored: bool, quarters: int) -> torch.Tensor:
    """Mirror a kernel, or not, and turn it by quarters."""
    return torch.rot90(weight.flip(-1) if mirrored else weight, quarters, (-2, -1))


class _FromPicture(nn.Module):
    """Convolution of a picture with each kernel in all eight positions, by a stride of 2."""

    def __init__(self, into: int, out: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, into, side, side) * math.sqrt(2 / (into * side**2)))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernels = torch.stack([_acted(self.weight, *each) for each in SYMMETRIES], 1).flatten(0, 1)
        bias = self.bias.repeat_interleave(len(SYMMETRIES))
        return functional.conv2d(x, kernels.contiguous(), bias, 2, (self.weight.shape[-1] - 2) // 2)


class _Turned(nn.Module):
    """Convolution from eight positions to eight positions."""

    def __init__(self, into: int, out: int, side: int) -> None:
        super().__init__()
        count = len(SYMMETRIES)
        deviation = math.sqrt(2 / (into * count * side**2))
        self.weight = nn.Parameter(torch.randn(out, into, count, side, side) * deviation)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positions = [_acted(self.weight[:, :, SEEN_FROM[k]], *each) for k, each in enumerate(SYMMETRIES)]
        kernels = torch.stack(positions, 1).flatten(2, 3).flatten(0, 1)
        bias = self.bias.repeat_interleave(len(SYMMETRIES))
        return functional.conv2d(x, kernels.contiguous(), bias, 1, self.weight.shape[-1] // 2)


class _ToPicture(nn.Module):
    """Convolution to one channel that all eight positions share."""

    def __init__(self, into: int, side: int) -> None:
        super().__init__()
        deviation = math.sqrt(1 / (into * len(SYMMETRIES) * side**2))
        self.weight = nn.Parameter(torch.randn(into, side, side) * deviation)
        self.bias = nn.Parameter(torch.full((1,), -2.0))  # few pixels lie on a boundary

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernels = torch.stack([_acted(self.weight, *each) for each in SYMMETRIES], 1).flatten(0, 1)
        return functional.conv2d(x, kernels[None].contiguous(), self.bias, 1, self.weight.shape[-1] // 2)


class BoundaryNetwork(nn.Module):
    """Five scales down and up again; :func:`boundary_logits` runs it without PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = CHANNELS
        self.a1 = _FromPicture(3, half, 6)
        for name, into, out, side in (
            ("a2", half, half, 3),
            ("b1", half, quarter, 3),
            ("b2", quarter, quarter, 3),
            ("d1", quarter, eighth, 3),
            ("d2", eighth, eighth, 3),
            ("e1", eighth, sixteenth, 3),
            ("e2", sixteenth, sixteenth, 3),
            ("e3", sixteenth, sixteenth, 3),
            ("f1", sixteenth, sixteenth, 3),
            ("f2", sixteenth, sixteenth, 3),
            ("fe", sixteenth, sixteenth, 1),
            ("ed", sixteenth, eighth, 1),
            ("d3", eighth, eighth, 3),
            ("db", eighth, quarter, 1),
            ("b3", quarter, quarter, 3),
            ("ba", quarter, half, 1),
            ("a3", half, half, 3),
        ):
            self.add_module(name, _Turned(into, out, side))
        self.line, self.near = _ToPicture(half, 3), _ToPicture(half, 3)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Return ``(n, 2, height, width)`` logits of an ``(n, 3, height, width)`` input."""
        half = self._through(picture, "a1", "a2")
        quarter = self._through(functional.avg_pool2d(half, 2), "b1", "b2")
        eighth = self._through(functional.avg_pool2d(quarter, 2), "d1", "d2")
        sixteenth = self._through(functional.avg_pool2d(eighth, 2), "e1", "e2", "e3")
        coarsest = self._through(functional.avg_pool2d(sixteenth, 2), "f1", "f2")
        sixteenth = self._joined(sixteenth, coarsest, "fe")
        eighth = self._joined(eighth, sixteenth, "ed", "d3")
        quarter = self._joined(quarter, eighth, "db", "b3")
        half = self._joined(half, quarter, "ba", "a3")
        picture = _doubled(half)
        return torch.cat((self.line(picture), self.near(picture)), 1)

    def _through(self, x: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            x = functional.relu(self.get_submodule(name)(x))
        return x

    def _joined(self, fine: torch.Tensor, coarse: torch.Tensor, narrowed: str, *then: str) -> torch.Tensor:
        more = _doubled(self.get_submodule(narrowed)(coarse))
        return self._through(functional.relu(fine + more), *then)


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def example(field: SyntheticField, ferrite: NDArray[np.bool_]) -> _Crop:
    """Return a field as the network sees it, the truth about each pixel, and where it counts."""
    searched = with_thin_lines(ferrite)
    image, core = levelled(field.pixels, searched)
    seen = network_input(image, core, picture_noise(image, core))
    grains = np.where(searched, grown(field.grains, np.ones_like(ferrite)), 0)
    touches = _touches(grains).astype(np.uint8)
    truth = np.stack((touches, cv2.dilate(touches, np.ones((3, 3), np.uint8)))).astype(np.float32)
    return seen, truth, core.astype(np.float32)


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
    seen, truth, counts = (np.ascontiguousarray(part[window]) for part in source)
    return seen, truth, counts


def train(network: BoundaryNetwork, steps: int, rate: float, seed: int) -> None:
    """Train for a number of steps; the learning rate rises over 5 % of them and falls along a cosine."""
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    kinds = [
        (size, depth, left_out)
        for left_out in ETCHES.values()
        for depth in DEPTHS.values()
        for size in PIXEL_SIZES_UM
    ]
    pool: list[_Crop] = []
    total = 0.0
    for step in range(steps):
        done = step / steps
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, done / 0.05 + 0.05) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
        if step % _STEPS_PER_FIELD == 0:
            count = step // _STEPS_PER_FIELD + seed * _SEEDS_APART
            of_a_kind = count % _ONE_OF == 0
            field = (
                known_field(_FIRST_SEED + count, *kinds[count // _ONE_OF % len(kinds)])
                if of_a_kind
                else any_field(count)
            )
            new = example(field, perturbed_mask(rng, field))
            if len(pool) < _POOL:
                pool.append(new)
            else:
                pool[rng.integers(_POOL)] = new
        crops = [_crop(rng, pool[rng.integers(len(pool))]) for _ in range(_BATCH)]
        seen, truth, counts = (torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))
        seen = seen.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(seen)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
        mean = (loss * counts[:, None]).sum() / counts.sum().clamp(min=1)
        optimiser.zero_grad()
        torch.autograd.backward(mean)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        total += mean.item()
        if step % 100 == 0:
            logging.info("step %d of %d, cross entropy %.4f", step, steps, total / min(step + 1, 100))
            total = 0.0


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=16_000)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    network = BoundaryNetwork()
    if arguments.start is not None:
        network.load_state_dict(load_file(arguments.start))
    train(network, arguments.steps, arguments.rate, arguments.seed)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, arguments.file)


if __name__ == "__main__":
    main()
