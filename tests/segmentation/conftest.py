"""Fields, weight files and runs for an engine whose answer is known without a network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from safetensors.numpy import save_file
from threshold_engine import ThresholdEngine

from steelquant.networks.weights import WeightsMetadata, read_metadata
from steelquant.segmentation import SegmentationRun, pipeline, segment


@pytest.fixture
def engine() -> ThresholdEngine:
    return ThresholdEngine()


@pytest.fixture
def make_engine() -> Callable[..., ThresholdEngine]:
    return ThresholdEngine


@pytest.fixture(scope="session")
def texture() -> Callable[[int, int], NDArray[np.uint8]]:
    """Random fields with structure of several sizes, the same for the same size."""

    def make(height: int, width: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng(height * 10_007 + width)
        coarse = rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), np.uint8)
        large = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        return np.clip(large + rng.integers(-20, 21, large.shape), 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weight file whose header is right; its tensors are not needed where the engine is known."""
    path = tmp_path / "weights" / "mobilenetv2.safetensors"
    path.parent.mkdir()
    header = {"steelquant": WeightsMetadata("mobilenetv2").to_json()}
    save_file({"unused": np.zeros(1, np.float32)}, path, metadata=header)
    return path


@pytest.fixture
def threshold_run(
    engine: ThresholdEngine, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SegmentationRun]:
    """``segment`` with the threshold engine in place of a network."""

    def load(path: Path, *_: object) -> tuple[ThresholdEngine, WeightsMetadata]:
        return engine, read_metadata(path)

    monkeypatch.setattr(pipeline, "load_engine", load)
    return partial(segment, weights=weights)


@pytest.fixture
def micrographs(tmp_path: Path, texture: Callable[[int, int], NDArray[np.uint8]]) -> Path:
    """Three small calibrated fields, their names in natural but not in alphabetical order."""
    folder = tmp_path / "micrographs"
    folder.mkdir()
    for place, size in ((2, (120, 150)), (10, (260, 300)), (9, (40, 30))):
        tifffile.imwrite(
            folder / f"field_{place}.tif",
            texture(*size),
            photometric="rgb",
            resolution=(20_000, 20_000),
            resolutionunit="CENTIMETER",
        )
    return folder
