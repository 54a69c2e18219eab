"""What a DeepLabV3+ may look at, against what its training crops could show it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from steelquant.networks import build
from steelquant.networks.registry import MODELS
from steelquant.segmentation.folding import fold_batch_norms
from steelquant.segmentation.reach import halo_px, learnt_rates, limit_reach


@pytest.mark.parametrize(
    ("crop_px", "rates"),
    [(100, ()), (224, (6,)), (383, (6,)), (384, (6, 12)), (448, (6, 12)), (576, (6, 12, 18))],
)
def test_a_rate_is_learnt_where_it_sees_inside_from_half_of_the_crop(crop_px, rates):
    assert learnt_rates(crop_px) == rates
    steps = crop_px // 16
    for rate in (6, 12, 18):
        inside = sum(place + rate < steps for place in range(steps))
        assert (rate in rates) == (inside >= steps / 2)


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet18"])
def test_what_is_left_out_only_ever_met_zeros(name):
    """288 px are 18 steps: no place in such a picture sees 18 steps away from itself."""
    torch.manual_seed(4)
    network = build(name).eval()
    limited = build(name).eval()
    limited.load_state_dict(network.state_dict())
    limit_reach(limited, 400)  # leaves rate 18 out
    assert sum(p.numel() for p in limited.parameters()) < sum(p.numel() for p in network.parameters())
    assert not any(module.training for module in limited.modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fold_batch_norms(limited).modules())
    crop, wider = torch.randn(1, 3, 288, 272), torch.randn(1, 3, 32, 320)
    with torch.inference_mode():
        expected = network(crop)
        rounding = 2e-5 * float(expected.abs().max())
        torch.testing.assert_close(limited(crop), expected, rtol=0, atol=rounding)
        assert not torch.allclose(limited(wider), network(wider), rtol=0, atol=rounding)


def test_other_networks_and_large_crops_change_nothing():
    for name, crop_px in (("unet", 224), ("mobilenetv2", 576)):
        network = build(name)
        before = [id(module) for module in network.modules()]
        limit_reach(network, crop_px)
        assert [id(module) for module in network.modules()] == before


def test_the_halo_follows_the_reach():
    assert [halo_px(MODELS["resnet50"], crop) for crop in (224, 448, 576)] == [128, 224, 320]
    assert halo_px(MODELS["unet"], 224) == MODELS["unet"].halo_px
