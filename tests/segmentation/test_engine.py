"""The torch engine against the plain network, and devices that are not there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from steelquant.errors import UsageError
from steelquant.networks import build
from steelquant.networks.registry import model_info
from steelquant.networks.weights import WeightsMetadata, write_weights
from steelquant.segmentation import device
from steelquant.segmentation.device import resolve_device
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.folding import fold_batch_norms
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.tiling import Tiling, choose_tiling
from steelquant.segmentation.torch_engine import TorchEngine


@pytest.fixture(autouse=True)
def one_thread():
    """Two cores may be shared with other work; waiting for each other at every layer is slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _trained(name: str) -> nn.Module:
    """A network whose batch norms remember something."""
    torch.manual_seed(1)
    network = build(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def _norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet18", "segnet", "unet", "smp:Linknet:resnet18"])
def test_folding_leaves_no_batch_norm_and_the_same_logits(name):
    network = _trained(name)
    image = torch.randn(1, 3, 64, 96)
    folded = fold_batch_norms(network)
    assert _norms(folded) == 0
    with torch.inference_mode():
        expected, got = network(image), folded(image)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


class _SharedOutput(nn.Module):
    """A convolution whose output is also used without the batch norm: folding it would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.norm.running_mean.fill_(3)

    def forward(self, image):
        features = self.convolution(image)
        return features + self.norm(features)


def test_a_batch_norm_that_cannot_be_folded_stays():
    network = _SharedOutput().eval()
    assert fold_batch_norms(network) is network


def test_engine_normalises_and_returns_the_networks_logits(texture):
    network = _trained("mobilenetv2")
    metadata = WeightsMetadata("mobilenetv2", mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0))
    tiles = np.stack([texture(96, 128), texture(96, 128)[::-1]])
    logits = TorchEngine(network, metadata, torch.device("cpu")).predict(tiles)
    values = (tiles.astype(np.float32) - [120, 110, 100]) / [60, 50, 40]
    with torch.inference_mode():
        expected = network(torch.from_numpy(values.transpose(0, 3, 1, 2)).float()).numpy()
    assert logits.shape == (2, 2, 96, 128)
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


class _Failing(nn.Module):
    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message
        self.is_armed = False

    def forward(self, image):
        if self.is_armed:
            raise RuntimeError(self.message)
        return image[:, :2]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
            MemoryError,
        ),
        ("MPS backend out of memory (MPS allocated: 9 GB)", MemoryError),
        ("mat1 and mat2 shapes cannot be multiplied", RuntimeError),
    ],
)
def test_only_lack_of_memory_becomes_a_memory_error(message, kind):
    network = _Failing(message)
    engine = TorchEngine(network, WeightsMetadata("mobilenetv2"), torch.device("cpu"))
    network.is_armed = True
    for module in engine._network.modules():
        module.is_armed = True
    with pytest.raises(kind) as caught:
        engine.predict(np.zeros((1, 32, 32, 3), np.uint8))
    assert type(caught.value) is kind


class _Small(nn.Module):
    """A network for which only so many pixels fit into memory at once."""

    def __init__(self, most_px: int) -> None:
        super().__init__()
        self.most_px = most_px
        self.seen: list[tuple[int, ...]] = []

    def forward(self, image):
        if (px := image.shape[0] * image.shape[2] * image.shape[3]) > self.most_px:
            raise torch.cuda.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {px} bytes")
        self.seen.append(tuple(image.shape))
        return image[:, :2]


def test_memory_that_runs_out_means_smaller_batches_then_smaller_tiles(texture):
    pixels = texture(512, 1024)
    told: list[str] = []
    engine = TorchEngine(_Small(10**9), WeightsMetadata("mobilenetv2"), torch.device("cpu"))
    expected = Predictor(engine, Tiling(512, 0, 0, 16, 4), tell=pytest.fail).predict(pixels, None)
    engine = TorchEngine(_Small(2 * 256 * 256), WeightsMetadata("mobilenetv2"), torch.device("cpu"))
    predictor = Predictor(engine, Tiling(512, 0, 0, 16, 4), tell=told.append)
    prediction = predictor.predict(pixels, None)
    np.testing.assert_array_equal(prediction.labels, expected.labels)
    assert (predictor.tiling.batch, predictor.tiling.tile_px) == (1, 256)
    assert told == ["memory ran out on cpu: going on with smaller batches, tiles or the CPU"]


def test_memory_that_never_suffices_ends_in_one_error(texture):
    engine = TorchEngine(_Small(64 * 64), WeightsMetadata("mobilenetv2"), torch.device("cpu"))
    engine._network.most_px = 100  # the probe of folding has passed
    told: list[str] = []
    with pytest.raises(MemoryError, match="not even single tiles fit into memory"):
        Predictor(engine, Tiling(512, 0, 0, 16, 4), tell=told.append).predict(texture(300, 300), None)
    assert len(told) == 1


def test_from_a_gpu_the_network_goes_to_the_processor(texture):
    """There is no GPU here: an engine that believes to be on one has its network moved all the same."""
    engine = TorchEngine(_trained("mobilenetv2"), WeightsMetadata("mobilenetv2"), torch.device("cpu"))
    assert engine.on_cpu() is None
    tiles = texture(64, 96)[None]
    expected = engine.predict(tiles)
    engine._place = torch.device("cuda:0")
    moved = engine.on_cpu()
    assert moved is not None
    assert moved.device == "cpu"
    np.testing.assert_allclose(moved.predict(tiles), expected, atol=1e-5 * np.abs(expected).max())


def test_weights_from_a_file_run_as_the_network_they_came_from(tmp_path, texture):
    network = _trained("mobilenetv2")
    write_weights(tmp_path / "w.safetensors", network, WeightsMetadata("mobilenetv2"))
    engine, metadata = load_engine(tmp_path / "w.safetensors", "cpu", "torch")
    assert metadata.model == "mobilenetv2"
    tiles = texture(64, 64)[None]
    with torch.inference_mode():
        image = torch.from_numpy(tiles.transpose(0, 3, 1, 2)).float()
        expected = network((image - 127.5) / 127.5).numpy()
    # The file holds convolutions in half precision.
    np.testing.assert_allclose(engine.predict(tiles), expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["gpu:0", "gpus", "cuda:", "cuda:x", "CPU", "vulkan", ""])
def test_a_device_that_means_nothing_is_refused(name):
    with pytest.raises(UsageError, match="--device is auto, cpu, cuda"):
        resolve_device(name)


def test_devices_that_are_not_there_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(UsageError, match=f"--device {name}.*use --device cpu"):
            resolve_device(name)


def test_pytorch_is_not_asked_where_no_gpu_can_be(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked"))
    monkeypatch.setattr(device, "may_have_torch_gpu", lambda: False)
    assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize(
    ("system", "processor", "driver", "expected"),
    [
        ("linux", "x86_64", True, True),
        ("linux", "x86_64", False, False),
        ("win32", "AMD64", True, True),
        ("darwin", "arm64", False, True),
        ("darwin", "x86_64", True, False),
    ],
)
def test_a_driver_or_an_apple_processor_tells_of_a_gpu(monkeypatch, system, processor, driver, expected):
    def load(name: str) -> None:
        if not driver or not name:
            raise OSError(name)

    monkeypatch.setattr(device.sys, "platform", system)
    monkeypatch.setattr(device.platform, "machine", lambda: processor)
    monkeypatch.setattr(device.ctypes, "CDLL", load)
    monkeypatch.setattr(device, "_AMD_DRIVER", device.Path("not there"))
    assert device.may_have_torch_gpu() is expected


def test_intels_devices_go_by_openvinos_names():
    assert [resolve_device(name) for name in ("gpu", "GPU.1", "NPU")] == ["gpu", "gpu.1", "npu"]


def test_a_gpu_beyond_those_there_are_is_refused(monkeypatch):
    monkeypatch.setattr(device, "may_have_torch_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda:0"
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(UsageError, match=r"2 GPU\(s\)"):
        resolve_device("cuda:2")


def test_unet_in_tiles_equals_unet_on_the_whole_field(texture):
    """Origins on multiples of 8 and a 64-px halo: not nearly the same, the same."""
    pixels = texture(224, 336)
    engine = TorchEngine(_trained("unet"), WeightsMetadata("unet"), torch.device("cpu"))
    info = model_info("unet")
    whole = Predictor(engine, Tiling(336, 0, 0, 8, 1), tell=pytest.fail).logits(pixels)
    tiling = choose_tiling(info, "cpu", 256, None)
    grid = tiling.grid(*pixels.shape[:2])
    assert len(grid) == 2
    tiled = Predictor(engine, tiling, tell=pytest.fail).logits(pixels)
    np.testing.assert_array_equal(tiled[1] > tiled[0], whole[1] > whole[0])
    np.testing.assert_allclose(tiled, whole, atol=2e-6 * np.abs(whole).max())
