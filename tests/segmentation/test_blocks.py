"""DeepLabV3+ in blocks is DeepLabV3+ on the whole field."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from steelquant.errors import UsageError
from steelquant.learning.samples import SAMPLES
from steelquant.learning.synthetic import synthesize_field
from steelquant.networks import build
from steelquant.networks.registry import MODELS, model_info
from steelquant.networks.weights import WeightsMetadata, find_weights
from steelquant.segmentation.blocks import BlockedDeepLab
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.tiling import Tiling, choose_tiling
from steelquant.segmentation.torch_engine import TorchEngine


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _network(name):
    torch.manual_seed(2)
    network = build(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "shape", "block"),
    [
        ("mobilenetv2", (272, 400), 64),
        ("mobilenetv2", (16, 240), 96),
        ("mobilenetv2", (160, 160), 512),
        ("resnet18", (208, 160), 96),
        ("resnet50", (112, 208), 112),
    ],
)
def test_blocks_give_the_logits_of_the_whole_field(name, shape, block):
    network = _network(name)
    image = torch.randn(1, 3, *shape)
    with torch.inference_mode():
        whole = network(image)
        in_blocks = BlockedDeepLab(network, block)(image)
    assert in_blocks.shape == whole.shape
    # Rounding only: convolutions may add up in another order for another size.
    torch.testing.assert_close(in_blocks, whole, rtol=0, atol=2e-5 * float(whole.abs().max()))


def test_a_batch_of_tiles_goes_through_in_blocks():
    network = _network("mobilenetv2")
    images = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        whole, in_blocks = network(images), BlockedDeepLab(network, 32)(images)
    torch.testing.assert_close(in_blocks, whole, rtol=0, atol=2e-5 * float(whole.abs().max()))


def test_the_processor_gets_deeplab_in_blocks_of_whole_fields(texture):
    """The field is larger than a block, so its halves would differ if they were done apart."""
    network = _network("mobilenetv2")
    engine = TorchEngine(network, WeightsMetadata("mobilenetv2"), torch.device("cpu"))
    assert isinstance(engine._network, BlockedDeepLab)
    pixels = texture(240, 576)
    labels = Predictor(engine, Tiling(3072, 640, 320, 16, 1), tell=pytest.fail).predict(pixels, None).labels
    with torch.inference_mode():
        image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float()
        logits = network((image - 127.5) / 127.5)[0]
    difference = logits[1] - logits[0]
    certain = (difference.abs() > 1e-4 * difference.abs().max()).numpy()
    assert certain.mean() > 0.99
    np.testing.assert_array_equal(labels[certain], (difference > 0).numpy()[certain])


@pytest.mark.parametrize(
    ("model", "place"),
    [
        *(("mobilenetv2", place) for place in range(len(SAMPLES))),
        *(pytest.param(name, 1, marks=pytest.mark.slow) for name in MODELS if name != "mobilenetv2"),
    ],
)
def test_tiles_of_a_mosaic_agree_with_the_whole(model, place):
    """At least 99.9 % of the labels, all of U-Net's, with the overlap that is chosen for larger fields."""
    try:
        weights = find_weights(model)
    except UsageError:
        pytest.skip("needs trained weights: an untrained network sees the border more than the steel")
    engine, metadata = load_engine(weights, "cpu")
    pixels = synthesize_field(SAMPLES[place].recipe, (8, place), 256, 1536).pixels
    stride = model_info(model).stride_px
    whole = Predictor(engine, Tiling(3072, 0, 0, stride, 1), tell=pytest.fail).predict(pixels, None)
    tiling = choose_tiling(model_info(model), "cpu", None, None, crop_px=metadata.crop_px).limited(1408)
    assert len(tiling.grid(*pixels.shape[:2])) == 2
    tiled = Predictor(engine, tiling, tell=pytest.fail).predict(pixels, None)
    assert (tiled.labels == whole.labels).mean() >= (1 if model == "unet" else 0.999)
