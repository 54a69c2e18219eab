"""A weight file of an untrained network: small, real, the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def untrained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from steelquant.networks import build
    from steelquant.networks.weights import WeightsMetadata, write_weights

    torch.set_num_threads(1)
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "mobilenetv2.safetensors"
    metadata = WeightsMetadata(
        "mobilenetv2",
        training={"images": 12, "split": "by-image", "crops_seen": 3456},
        metrics={"real fields": {"accuracy": 0.98765, "mean_iou": 0.9, "fields": 5}},
        licence="MIT; encoder from elsewhere",
    )
    write_weights(path, build("mobilenetv2"), metadata)
    return path
