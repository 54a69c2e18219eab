"""The network for grain boundaries: the same in strips and in PyTorch, and surest on boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from etched_fields import etched_field
from safetensors.torch import load_file

from steelquant.learning.grain_boundaries.training import BoundaryNetwork, example
from steelquant.stereology import boundary_network
from steelquant.stereology.boundary_network import WEIGHTS, boundary_logits, network_input, picture_noise
from steelquant.stereology.levelling import levelled, with_thin_lines


@pytest.fixture(scope="module")
def seen():
    pixels, mask, _ = etched_field(11, (203, 290), 700)
    image, core = levelled(pixels, mask == 0)
    return image, core, picture_noise(image, core)


@pytest.mark.parametrize("turn", [np.rot90, np.fliplr, np.flipud, np.transpose])
def test_a_turned_or_mirrored_picture_gives_the_same_turned_or_mirrored(seen, turn):
    image, core, noise = (part[:202] if isinstance(part, np.ndarray) else part for part in seen)  # even sides
    straight = boundary_logits(image, core, noise)

    turned = boundary_logits(np.ascontiguousarray(turn(image)), np.ascontiguousarray(turn(core)), noise)

    for found, expected in zip(turned, straight, strict=True):
        assert np.abs(found - turn(expected)).max() <= 1 / 64  # a rounding error may fall on either side
        assert np.mean(found == turn(expected)) > 0.999


def test_strips_give_what_the_whole_gives(seen, monkeypatch):
    whole = boundary_logits(*seen)
    monkeypatch.setattr(boundary_network, "_STRIP_PX", 30_000)

    strips = boundary_logits(*seen)

    assert np.abs(strips - whole).max() <= 1 / 64  # a rounding error may fall on either side of a step
    assert np.mean(strips == whole) > 0.999


def test_pytorch_gives_the_same(seen):
    image, core, noise = seen
    network = BoundaryNetwork()
    network.load_state_dict(load_file(WEIGHTS))
    sides = []
    for side in image.shape:
        more = -side % 32 + 2 * 224
        sides.append((more // 2, more - more // 2))
    picture = np.pad(network_input(image, core, noise), ((0, 0), *sides))

    with torch.no_grad():
        whole = network(torch.from_numpy(picture[None]))[0].numpy()

    (above, _), (left, _) = sides
    expected = whole[:, above : above + image.shape[0], left : left + image.shape[1]]
    assert np.abs(boundary_logits(image, core, noise) - expected).max() < 0.02


@pytest.mark.parametrize("sigma", [0.01, 0.04])
def test_noise_is_measured_beside_boundaries(sigma):
    rng = np.random.default_rng(3)
    image = (1 + rng.normal(0, sigma, (300, 300))).astype(np.float32)
    image[::20] -= 0.4

    assert picture_noise(image, np.ones(image.shape, bool)) == pytest.approx(sigma, rel=0.35)


def test_boundaries_are_likely_and_the_inside_of_grains_is_not():
    pixels, mask, grains = etched_field(12, (300, 400), 900)
    _, truth, core = example(_Field(pixels, grains), mask == 0)
    image, inside = levelled(pixels, mask == 0)

    likely = 1 / (1 + np.exp(-boundary_logits(image, inside, picture_noise(image, inside))))

    for found, true in zip(likely, truth, strict=True):
        assert found[(true > 0) & (core > 0)].mean() > 0.7
        assert found[(true == 0) & (core > 0)].mean() < 0.1


class _Field:
    def __init__(self, pixels, grains):
        self.pixels, self.grains = pixels, grains


def test_lines_too_thin_to_be_a_phase_are_looked_at():
    ferrite = np.ones((60, 80), bool)
    ferrite[:, 40:44] = False  # a boundary that a threshold took out of the mask
    ferrite[:, 10:20] = False  # pearlite

    found = with_thin_lines(ferrite)

    assert found[:, 40:44].all()
    assert not found[:, 12:18].any()
