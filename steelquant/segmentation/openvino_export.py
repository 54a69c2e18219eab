"""A trained network as OpenVINO runs it: reach limited, batch norms folded, normalisation built in."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from steelquant.networks.features import listening
from steelquant.networks.segnet import SegNet
from steelquant.networks.weights import WeightsMetadata, read_weights
from steelquant.openvino_runtime import import_openvino
from steelquant.segmentation.engine_cache import ExportedNetwork
from steelquant.segmentation.folding import fold_batch_norms
from steelquant.segmentation.openvino_engine import OpenVinoEngine
from steelquant.segmentation.reach import limit_reach
from steelquant.segmentation.torch_engine import TorchEngine

_TRACED_PX = (64, 96)
_PROBED_PX = (96, 128)
"""Another size than the one that was traced: what only fits that one shows itself."""

_TOLERANCE = 1e-3
"""Largest change of the logits, relative to their root mean square, that still counts as rounding."""


class ExportError(Exception):
    """A network whose export gives other numbers than the network."""


def export_weights(path: Path) -> ExportedNetwork:
    """Export what a weight file holds.

    Raises
    ------
    FileError
        If the file cannot be used.
    ExportError
        If OpenVINO computes something else. OpenVINO raises other errors where it lacks an operation.
    """
    network, metadata = read_weights(path)
    limit_reach(network, metadata.crop_px)
    return export_network(network, metadata)


def export_network(network: nn.Module, metadata: WeightsMetadata) -> ExportedNetwork:
    """Export a network, which takes ``(n, height, width, 3)`` uint8 RGB then, and check it.

    Parameters
    ----------
    network
        In evaluation mode, float32, on the CPU, its reach limited.
    metadata
        Its normalisation.
    """
    openvino = import_openvino()
    folded = fold_batch_norms(network)
    example = torch.zeros(1, 3, *_TRACED_PX)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tracing: what it may miss, the probe finds
        logging.disable(logging.WARNING)
        try:
            model = openvino.convert_model(_WithFeatures(folded), example_input=example)
        finally:
            logging.disable(logging.NOTSET)
    exported = _serialised(_with_normalisation(model, metadata))
    _check(exported, TorchEngine(network, metadata, torch.device("cpu")))
    return exported


def _with_normalisation(model: object, metadata: WeightsMetadata) -> object:
    """Let a model take the bytes of a picture."""
    openvino = import_openvino()
    steps = openvino.preprocess.PrePostProcessor(model)
    entry = steps.input(0)
    entry.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    entry.model().set_layout(openvino.Layout("NCHW"))
    entry.preprocess().convert_element_type(openvino.Type.f32)
    entry.preprocess().mean(list(metadata.mean)).scale(list(metadata.std))
    return steps.build()


def _serialised(model: object) -> ExportedNetwork:
    with tempfile.TemporaryDirectory(prefix="steelquant-", ignore_cleanup_errors=True) as folder:
        graph = Path(folder) / "network.xml"
        import_openvino().save_model(model, graph, compress_to_fp16=False)
        return ExportedNetwork(graph.read_bytes(), graph.with_suffix(".bin").read_bytes())


def _check(exported: ExportedNetwork, reference: TorchEngine) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (1, *_PROBED_PX, 3), np.uint8)
    engine = OpenVinoEngine(exported, "cpu")
    pairs = {"logits": (reference.predict(tiles), engine.predict(tiles))}
    if reference.features is not None and engine.features is not None:
        pairs["features"] = reference.features, engine.features
    for name, (expected, got) in pairs.items():
        if expected.shape != got.shape:
            raise ExportError(f"{name} of shape {got.shape}, not {expected.shape}")
        change = float(np.linalg.norm(got - expected)) / max(float(np.linalg.norm(expected)), 1e-9)
        if not change <= _TOLERANCE:
            raise ExportError(f"{name} that differ by {change:.2g} of their size")


class _WithFeatures(nn.Module):
    """A network as OpenVINO can convert it, its features beside its logits where they are known."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.traced = _traceable(network)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        with listening(self.network) as heard:
            logits: Tensor = self.traced(image)
        return (logits, heard[0]) if heard else logits


def _traceable(network: nn.Module) -> nn.Module:
    """Return a network that OpenVINO can convert: unpooling by indices is the one thing it cannot."""
    return _UnpoolingByMasks(network) if isinstance(network, SegNet) else network


class _UnpoolingByMasks(nn.Module):
    """A SegNet with the same logits whose unpooling needs no indices.

    Where a window's largest value stands, a mask is 1: there the value goes back to. Of several that are
    equally large the first counts, as in PyTorch; its rank decides.
    """

    rank: Tensor

    def __init__(self, network: SegNet) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.decoder = network.decoder
        self.register_buffer("rank", torch.tensor([[4.0, 3.0], [2.0, 1.0]]))

    def forward(self, image: Tensor) -> Tensor:
        features = image
        masks: list[Tensor] = []
        for layer in self.encoder.features:
            if not isinstance(layer, nn.MaxPool2d):
                features = layer(features)
                continue
            pooled = functional.max_pool2d(features, 2)
            ranks = self.rank.repeat(pooled.shape[-2], pooled.shape[-1])
            among_largest = (features >= _doubled(pooled)).to(features.dtype) * ranks
            first = among_largest >= _doubled(functional.max_pool2d(among_largest, 2))
            masks.append(first.to(features.dtype))
            features = pooled
        for block in self.decoder:
            features = block(masks.pop() * _doubled(features))
        return features


def _doubled(planes: Tensor) -> Tensor:
    return functional.interpolate(planes, scale_factor=2.0, mode="nearest")
