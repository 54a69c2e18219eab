"""Training with its data loading against the network alone on tensors in memory, both measured in this run.

``pytest -m benchmark tests/benchmarks/test_data_loading.py`` writes ``benchmarks/data_loading.json``.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from steelquant.learning.prepare import prepare
from steelquant.learning.protocol import protocol_for
from steelquant.learning.synthetic import Recipe, synthesize_field
from steelquant.micrograph.masks import write_mask
from steelquant.networks.weights import read_metadata

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "data_loading.json"
BATCH, ROUNDS = 8, 3
INTERVAL = 100
"""The protocol's iterations between validations: the one after each is slower by up to a second."""


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two LZW fields of 2080×1542 px, as a microscope writes them."""
    folder = tmp_path_factory.mktemp("labelled")
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for number in range(2):
        field = synthesize_field(Recipe(), (7, number), 1542, 2080)
        tifffile.imwrite(
            folder / "images" / f"{number}.tif", field.pixels, photometric="rgb", compression="lzw"
        )
        write_mask(folder / "masks" / f"{number}.tif", field.labels, pixel_size_um=None)
    return folder


def alone(network: torch.nn.Module, task: object, iterations: int, precision: str) -> float:
    """Crops a second of the same iterations, in the same precision, on tensors that are there already."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    random = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 256, (BATCH, 3, 224, 224), generator=random, dtype=torch.uint8)
    labels = torch.randint(0, 2, (BATCH, 224, 224), generator=random)
    start = time.perf_counter()
    for number in range(iterations):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = task.training_step((crops, labels), number)["loss"]  # type: ignore[attr-defined]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return iterations * BATCH / (time.perf_counter() - start)


@pytest.mark.benchmark
def test_loading_does_not_starve_the_network(labelled: Path, tmp_path: Path) -> None:
    from steelquant.learning.module import SegmentationTask
    from steelquant.learning.training import train
    from steelquant.networks import build
    from steelquant.networks.registry import model_info

    dataset = prepare(labelled / "images", labelled / "masks", tmp_path / "data", split="random").dataset
    crops = len(dataset.crops["training"])
    protocol = replace(
        protocol_for("best", model_info("mobilenetv2"), batch=BATCH, epochs=2.0 * INTERVAL * BATCH / crops),
        validate_every=INTERVAL,
        validation_crops=1,
    )
    info = model_info("mobilenetv2")
    network = build("mobilenetv2").train()
    task = SegmentationTask(
        network,
        protocol,
        classes=2,
        mean=info.mean,
        std=info.std,
        class_weights=None,
        iterations=2 * INTERVAL,
        seed=0,
    )
    rates: dict[str, list[float]] = {"network alone": [], "training": []}
    for round_ in range(ROUNDS):
        run = train(dataset, "mobilenetv2", protocol, output=tmp_path / str(round_), device="cpu", quiet=True)
        rates["training"].append(run.rows[-1].images_per_second)  # the loaders have started by then
        precision = read_metadata(run.weights).training["precision"]
        if round_ == 0:
            alone(network, task, 2, precision)  # warms the libraries
        rates["network alone"].append(alone(network, task, INTERVAL, precision))

    medians = {name: statistics.median(values) for name, values in rates.items()}
    result = {
        "what": f"mobilenetv2, {precision}, batches of {BATCH} crops of 224 px, protocol best, augmented",
        "crops_per_second": rates,
        "medians": medians,
        "ratio": medians["training"] / medians["network alone"],
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "versions": {
            name: version(name) for name in ("torch", "lightning", "numpy", "opencv-python-headless")
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    assert np.isfinite(result["ratio"])
    assert result["ratio"] >= 0.9, result
