"""Networks in an evaluation: the same labels as ``segment`` gives, symmetries and ensembles by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from steelquant.errors import UsageError
from steelquant.learning.segmenter import NetworkSegmenter, load_segmenters
from steelquant.micrograph.field import STEEL_CLASSES, PhaseClass

FOUR = tuple(PhaseClass(n, f"class {n}", (n, n, n)) for n in range(4))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained networks with weights that give both phases."""
    folder = tmp_path_factory.mktemp("weights")
    for model in ("mobilenetv2", "resnet18"):
        write_untrained(folder / f"{model}.safetensors", model, STEEL_CLASSES)
    write_untrained(folder / "four.safetensors", "mobilenetv2", FOUR)
    return folder


def write_untrained(path: Path, model: str, classes: tuple[PhaseClass, ...]) -> None:
    import torch

    from steelquant.networks import build
    from steelquant.networks.weights import WeightsMetadata, write_weights

    torch.set_num_threads(1)
    torch.manual_seed(1)
    network = build(model, len(classes)).eval()
    last = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    assert last.bias is not None
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, 224, 224))
        last.bias -= logits.mean(dim=(0, 2, 3))
    write_weights(path, network, WeightsMetadata(model, classes))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (250, 200), interpolation=cv2.INTER_CUBIC), np.uint8)


def load(models: str, weights: Path, **options: object) -> list[NetworkSegmenter]:
    told: list[str] = []
    settings = {"classes": STEEL_CLASSES, "weights": weights, "device": "cpu", "warn": told.append, **options}
    return load_segmenters(models, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_labels_are_those_of_segment(weights: Path, pixels: np.ndarray, tmp_path: Path, scale: float) -> None:
    import steelquant

    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    run = steelquant.segment(
        tmp_path / "a.tif", output=tmp_path / "out", weights=weights, scale=scale, device="cpu"
    )

    labels, confidence = load("mobilenetv2", weights, scale=scale)[0].segment(pixels)

    expected = tifffile.imread(tmp_path / "out" / "a.tif")
    assert 0.02 < expected.mean() < 0.98
    np.testing.assert_array_equal(labels, expected)
    assert confidence.shape == labels.shape
    assert 0.5 <= confidence.min() <= confidence.max() <= 1
    assert run.fields[0].confidence == pytest.approx(float(confidence[::4, ::4].mean()), abs=1e-3)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=0)


def test_an_ensemble_is_the_mean_of_its_members_probabilities(weights: Path, pixels: np.ndarray) -> None:
    one, other, both = load("mobilenetv2,resnet18", weights, ensemble=("mobilenetv2", "resnet18"))

    labels, confidence = both.segment(pixels)

    mean = np.mean([softmax(m.predictor.logits(pixels).astype(float)) for m in (one, other)], axis=0)
    assert both.name == "ensemble"
    assert [w.metadata.model for w in both.weights] == ["mobilenetv2", "resnet18"]
    assert (labels != mean.argmax(axis=0)).mean() < 1e-4
    np.testing.assert_allclose(confidence, mean.max(axis=0), atol=1e-5)


def test_symmetries_are_averaged_and_turned_back(weights: Path, pixels: np.ndarray) -> None:
    plain, averaged = load("mobilenetv2", weights, symmetries=True)
    pixels = np.pad(pixels, ((0, 40), (0, 6), (0, 0)), mode="reflect")  # whole strides: segment pads nothing

    _, confidence = averaged.segment(pixels)
    turned_labels, turned = averaged.segment(np.ascontiguousarray(np.rot90(pixels)[:, ::-1]))

    # The mean over all eight symmetries does not know how the picture lay.
    np.testing.assert_allclose(turned, np.rot90(confidence)[:, ::-1], atol=1e-4)
    assert (turned_labels != np.rot90(averaged.segment(pixels)[0])[:, ::-1]).mean() < 1e-3
    assert np.abs(plain.segment(pixels)[1] - confidence).max() > 0.01


def test_four_classes(weights: Path, pixels: np.ndarray) -> None:
    method = load("mobilenetv2", weights / "four.safetensors", classes=FOUR)[0]

    labels, confidence = method.segment(pixels)

    assert len(np.unique(labels)) > 2
    assert confidence.min() >= 0.25
    with pytest.raises(UsageError, match="knows 4 classes"):
        load("mobilenetv2", weights / "four.safetensors")


def test_all_takes_what_is_there_and_says_what_is_not(weights: Path, tmp_path: Path) -> None:
    told: list[str] = []

    found = load("all", weights, warn=told.append)

    assert [m.name for m in found] == ["resnet18", "mobilenetv2"]
    assert [text.split()[0] for text in told] == ["unet", "segnet", "resnet50"]
    with pytest.raises(UsageError, match="no weights of any model"):
        load("all", tmp_path)


def test_weights_that_do_not_belong_are_refused(weights: Path) -> None:
    with pytest.raises(UsageError, match="holds weights of 'resnet18', not of 'unet'"):
        load("unet", weights / "resnet18.safetensors")
    with pytest.raises(UsageError, match="one file for 2 models"):
        load("unet,resnet18", weights / "resnet18.safetensors")
    with pytest.raises(UsageError, match="unknown model"):
        load("vgg", weights)
    with pytest.raises(UsageError, match="--model is empty"):
        load(",", weights)


def test_other_names_of_classes_are_mentioned(weights: Path) -> None:
    told: list[str] = []

    load("mobilenetv2", weights, classes=FOUR[:2], warn=told.append)

    assert "ferrite, pearlite" in told[0]
    assert "class 0, class 1" in told[0]
