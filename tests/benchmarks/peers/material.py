"""What every contender gets: seeded fields on disk, and weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from steelquant.errors import UsageError
from steelquant.learning.samples import SAMPLES
from steelquant.learning.synthetic.field import synthesize_field
from steelquant.networks import build
from steelquant.networks.registry import MODELS
from steelquant.networks.upsample import BilinearUpsample4, bilinear_kernel
from steelquant.networks.weights import WeightsMetadata, find_weights, read_weights, write_weights
from steelquant.segmentation.folding import replace_module
from steelquant.segmentation.reach import limit_reach

HEIGHT_PX, WIDTH_PX = 1542, 2080
FIELD_MP = HEIGHT_PX * WIDTH_PX / 1e6
_SEED = 7
_COUNTED_PX = 448


def write_fields(folder: Path, count: int) -> list[Path]:
    """Write synthetic fields, LZW and raw in turns; the same at every run."""
    folder.mkdir(parents=True)
    paths = []
    for place in range(count):
        recipe = SAMPLES[place % len(SAMPLES)].recipe
        pixels = synthesize_field(recipe, (_SEED, place), HEIGHT_PX, WIDTH_PX).pixels
        packing = {"compression": "lzw", "rowsperstrip": 16} if place % 2 == 0 else {}
        path = folder / f"field_{place:02}.tif"
        tifffile.imwrite(path, pixels, photometric="rgb", **packing)
        paths.append(path)
    return paths


def weights_of(model: str, fields: list[Path], folder: Path) -> tuple[Path, bool]:
    """Return a model's trained weights, or random ones from a seed, and whether they are trained."""
    try:
        return find_weights(model), True
    except UsageError:
        path = folder / f"{model}.safetensors"
        info = MODELS[model]
        metadata = WeightsMetadata(model, mean=info.mean, std=info.std)
        write_weights(path, _settled(model, fields[0], metadata), metadata)
        return path, False


def published(path: Path) -> nn.Module:
    """Return the network as the paper has it: its ×4 upsamplers dense transposed convolutions."""
    network, _ = read_weights(path)
    for name, module in list(network.named_modules()):
        if isinstance(module, BilinearUpsample4):
            channels = network.scorer.out_channels if name.endswith("2") else 256
            replace_module(network, name, _dense_upsampler(channels))
    return network.eval()


def own(path: Path) -> nn.Module:
    """Return the network as steelquant runs it, before batch norms are folded."""
    network, metadata = read_weights(path)
    limit_reach(network, metadata.crop_px)
    return network.eval()


def work_gflop_per_mp(network: nn.Module) -> float:
    """Count multiplications and additions of convolutions, in 10⁹ a megapixel."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, _COUNTED_PX, _COUNTED_PX))
    return counter.get_total_flops() / 1e3 / _COUNTED_PX**2


def _dense_upsampler(channels: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(channels, channels, 8, stride=4, padding=2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = bilinear_kernel()
        assert layer.bias is not None
        layer.bias.zero_()
    return layer


def _settled(model: str, field: Path, metadata: WeightsMetadata) -> nn.Module:
    """Return a random network whose batch norms know a field and which finds two phases in it.

    Without that its numbers would run out of float32's normal range, and its time would not be that of a
    trained one.
    """
    torch.manual_seed(_SEED)
    network = build(model)
    pixels = tifffile.imread(field)[: 2 * 224, : 2 * 224].astype(np.float32)
    values = torch.from_numpy((pixels - metadata.mean) / metadata.std).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # one pass, and its running figures are those of the input
        network.train()
        network(values)
        network.eval()
        logits = network(values)[0]
        last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
        if model != "segnet" and last.bias is not None:  # SegNet ends in a rectified batch norm
            last.bias[1] -= (logits[1] - logits[0]).median()
    return network
