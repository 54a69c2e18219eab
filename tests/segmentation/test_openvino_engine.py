"""OpenVINO against PyTorch, at every network; started again without PyTorch; and what happens without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.numpy import load_file
from torch import nn

from steelquant import openvino_runtime
from steelquant.errors import FileError, UsageError
from steelquant.learning.samples import SAMPLES
from steelquant.learning.synthetic import synthesize_field
from steelquant.networks import build
from steelquant.networks.registry import MODELS
from steelquant.networks.weights import WeightsMetadata, find_weights, write_weights
from steelquant.segmentation import engine as engines
from steelquant.segmentation import openvino_engine, segment
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.openvino_engine import OpenVinoEngine
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.tiling import Tiling
from steelquant.segmentation.torch_engine import TorchEngine


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Two cores may be shared with other work; waiting for each other at every layer is slower than one."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _network(name: str) -> nn.Module:
    """Random weights, and batch norms that remember something."""
    torch.manual_seed(6)
    network = build(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def _weights(path: Path, name: str) -> Path:
    info = MODELS.get(name)
    metadata = WeightsMetadata(name, mean=info.mean, std=info.std) if info else WeightsMetadata(name)
    write_weights(path, _network(name), metadata)
    return path


@pytest.fixture(scope="module")
def mobile_weights(tmp_path_factory) -> Path:
    return _weights(tmp_path_factory.mktemp("weights") / "mobilenetv2.safetensors", "mobilenetv2")


def _labels(logits: np.ndarray) -> np.ndarray:
    return logits[:, 1] > logits[:, 0]


def _load(weights: Path, engine: str):
    return load_engine(weights, "cpu", engine, pytest.fail)[0]


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv2",
        "unet",
        "segnet",
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("resnet50", marks=pytest.mark.slow),
        pytest.param("smp:Unet:resnet18", marks=pytest.mark.slow),
    ],
)
def test_every_network_gives_pytorchs_logits(tmp_path, texture, name):
    weights = _weights(tmp_path / "w.safetensors", name)
    fast, plain = _load(weights, "auto"), _load(weights, "torch")
    assert isinstance(fast, OpenVinoEngine)
    tiles = np.stack([texture(96, 160), texture(96, 160)[::-1]])
    got, expected = fast.predict(tiles), plain.predict(tiles)
    assert got.shape == (2, 2, 96, 160)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert got.flags.writeable
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert (_labels(got) == _labels(expected)).mean() >= 0.999


def test_segnet_unpools_without_indices_to_the_same_places(texture):
    """Flat parts too, where pooling finds its largest value several times; not nearly the same, the same."""
    from steelquant.segmentation.openvino_export import _traceable

    network = _network("segnet")
    tiles = texture(96, 160)[None]
    tiles[:, 10:90, 20:140] = 131
    image = (torch.from_numpy(tiles).permute(0, 3, 1, 2).float() - 127.5) / 60
    with torch.inference_mode():
        expected, got = network(image), _traceable(network)(image)
    assert expected.std() > 0
    assert torch.equal(got, expected)


def test_masks_of_synthetic_fields_agree():
    try:
        weights = find_weights("mobilenetv2")
    except UsageError:
        pytest.skip("needs trained weights: an untrained network is unsure everywhere")
    fast, plain = _load(weights, "openvino"), _load(weights, "torch")
    for place, sample in enumerate(SAMPLES):
        pixels = synthesize_field(sample.recipe, (9, place), 256, 320).pixels[None]
        mask = _labels(plain.predict(pixels))
        assert 0 < mask.mean() < 1
        assert (_labels(fast.predict(pixels)) == mask).mean() >= 0.999


def test_runs_and_numbers_of_threads_agree(mobile_weights, texture, monkeypatch):
    tiles = texture(224, 256)[None]
    first = _load(mobile_weights, "openvino").predict(tiles)
    again = _load(mobile_weights, "openvino").predict(tiles)
    np.testing.assert_array_equal(again, first)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    by_two = _load(mobile_weights, "openvino").predict(tiles)
    assert (_labels(by_two) == _labels(first)).mean() >= 0.9999


def test_tiles_of_several_sizes_in_turn(mobile_weights, texture):
    """A network is compiled for one size at a time; what came before must not show."""
    engine, plain = _load(mobile_weights, "openvino"), _load(mobile_weights, "torch")
    for size in ((64, 96), (128, 32), (64, 96)):
        tiles = texture(*size)[None]
        expected = plain.predict(tiles)
        got = engine.predict(tiles)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    kept = got.copy()
    engine.predict(255 - tiles)
    np.testing.assert_array_equal(got, kept)


SECOND_START = """
import sys
from steelquant.cli import app
try: app(["segment", sys.argv[1], "--weights", sys.argv[2], "--output", sys.argv[3], "--device", "cpu"])
except SystemExit as leaving: assert not leaving.code, leaving.code
heavy = ("torch", "openvino_telemetry", "segmentation_models_pytorch", "lightning")
print([name for name in heavy if sys.modules.get(name)], file=sys.stderr)
"""


def test_the_second_start_imports_no_pytorch(mobile_weights, micrographs, tmp_path):
    """And writes the same masks; a damaged export is made anew, with PyTorch."""
    cache = tmp_path / "cache"

    def start(output: str) -> tuple[str, dict[str, bytes]]:
        words = [str(micrographs), str(mobile_weights), str(tmp_path / output)]
        done = subprocess.run(
            [sys.executable, "-c", SECOND_START, *words],
            env={**os.environ, "STEELQUANT_CACHE": str(cache)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr, {p.name: p.read_bytes() for p in (tmp_path / output).glob("*.tif")}

    told, masks = start("first")
    assert "'torch'" in told
    assert len(told.splitlines()) == 1  # converting prints nothing
    assert start("second") == ("[]\n", masks)
    (path,) = cache.iterdir()
    content, exported = path.read_bytes(), load_file(path)
    path.write_bytes(content[:-1000] + bytes(1000))
    told, again = start("third")
    assert "'torch'" in told
    assert again == masks
    made_anew = load_file(path)
    assert made_anew.keys() == exported.keys()
    assert all(np.array_equal(made_anew[key], exported[key]) for key in exported)


UNTIL_FIRST_TILE = """
import os, sys, time
from pathlib import Path
from steelquant.segmentation.openvino_engine import OpenVinoEngine
def first(engine, tiles):
    engine._prepare(tiles.shape[1:3])
    print(time.process_time(), "torch" in sys.modules, tiles.shape, flush=True)
    os._exit(0)
OpenVinoEngine.predict = first
from steelquant.cli import app
app(["segment", sys.argv[1], "--weights", sys.argv[2], "--output", sys.argv[3], "--device", "cpu"])
"""
START_LIMIT_S = 2


def test_from_the_command_to_the_first_tile_in_two_seconds(mobile_weights, tmp_path, texture):
    """A field is read, the kept export compiled for it; processor time, which others do not stretch."""
    _load(mobile_weights, "openvino")
    tifffile.imwrite(tmp_path / "field.tif", texture(1542, 2080), photometric="rgb", compression="lzw")
    words = [str(tmp_path / "field.tif"), str(mobile_weights), str(tmp_path / "out")]
    command = [sys.executable, "-c", UNTIL_FIRST_TILE, *words]
    told = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert all(line.endswith("s False (1, 1552, 2080, 3)\n".removeprefix("s")) for line in told)
    assert min(float(line.split()[0]) for line in told) < START_LIMIT_S


def test_other_weights_under_the_same_name_are_exported_anew(tmp_path, texture):
    path = _weights(tmp_path / "w.safetensors", "mobilenetv2")
    tiles = texture(64, 64)[None]
    before = _load(path, "openvino").predict(tiles)
    network = build("mobilenetv2").eval()
    write_weights(path, network, WeightsMetadata("mobilenetv2"))
    after = _load(path, "openvino").predict(tiles)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, _load(path, "torch").predict(tiles), atol=1e-4 * np.abs(after).max())


def test_without_openvino_pytorch_goes_on_and_says_so_once(mobile_weights, monkeypatch, texture):
    def broken():
        raise ImportError("libopenvino.so: cannot open shared object file\nsecond line")

    monkeypatch.setattr(openvino_runtime, "openvino_core", broken)
    told: list[str] = []
    engine, _ = load_engine(mobile_weights, "cpu", "auto", told.append)
    assert isinstance(engine, TorchEngine)
    problem = "OpenVINO cannot run mobilenetv2 (ImportError: libopenvino.so: cannot open shared object file)"
    assert told == [f"{problem}; going on with PyTorch"]
    assert engine.predict(texture(32, 32)[None]).shape == (1, 2, 32, 32)
    with pytest.raises(UsageError, match=r"OpenVINO cannot run mobilenetv2.*use --engine torch"):
        load_engine(mobile_weights, "cpu", "openvino", pytest.fail)


class _AsTraced(nn.Module):
    """A network that looks at the size of its input, which tracing takes for a constant."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image):
        return self.network(image) * float(image.shape[-1])


def test_an_export_that_computes_something_else_is_not_used(mobile_weights, monkeypatch):
    from steelquant.segmentation import openvino_export

    read = openvino_export.read_weights
    monkeypatch.setattr(
        openvino_export, "read_weights", lambda path: (_AsTraced(read(path)[0]).eval(), read(path)[1])
    )
    monkeypatch.setattr(openvino_engine, "find_export", lambda _: None)
    kept: list[object] = []
    monkeypatch.setattr(openvino_engine, "keep_export", lambda *export: kept.append(export))
    told: list[str] = []
    engine, _ = load_engine(mobile_weights, "cpu", "auto", told.append)
    assert isinstance(engine, TorchEngine)
    assert len(told) == 1
    assert "ExportError: logits that differ" in told[0]
    assert kept == []


def test_damaged_weights_are_no_reason_to_fall_back(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(FileError):
        load_engine(path, "cpu", "auto", pytest.fail)


def test_only_engines_that_run_on_the_device_are_taken(mobile_weights, monkeypatch):
    monkeypatch.setattr(engines, "resolve_device", lambda name: "cuda:0" if name == "cuda" else name)
    with pytest.raises(UsageError, match="--engine openvino does not run on cuda:0"):
        load_engine(mobile_weights, "cuda", "openvino")
    with pytest.raises(UsageError, match="--engine torch does not run on gpu"):
        load_engine(mobile_weights, "gpu", "torch")
    with pytest.raises(UsageError, match="--device npu: OpenVINO finds only cpu"):
        load_engine(mobile_weights, "npu")
    with pytest.raises(UsageError, match="--engine is auto, torch or openvino, not 'onnx'"):
        load_engine(mobile_weights, "cpu", "onnx")


TOO_MUCH = """
import resource, sys
from pathlib import Path
import numpy as np
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.tiling import Tiling
engine = load_engine(Path(sys.argv[1]), "cpu", "openvino")[0]
engine.predict(np.zeros((1, 64, 64, 3), np.uint8))
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 120_000_000,) * 2)
told = []
pixels = np.random.default_rng(1).integers(0, 256, (896, 1024, 3), np.uint8)
predictor = Predictor(engine, Tiling(1024, 256, 128, 16, 1), tell=told.append)
print(predictor.predict(pixels, None).labels.shape, predictor.tiling.tile_px, len(told))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited by Linux's rlimit")
def test_memory_that_really_runs_out_means_smaller_tiles(mobile_weights):
    """The same library, the same error: not one that was made up."""
    _load(mobile_weights, "openvino")  # so that the export is there
    done = subprocess.run(
        [sys.executable, "-c", TOO_MUCH, str(mobile_weights)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "(896, 1024) 512 1\n"


def test_other_errors_are_not_taken_for_lack_of_memory(mobile_weights):
    engine = _load(mobile_weights, "openvino")
    with pytest.raises(RuntimeError) as caught:
        engine.predict(np.zeros((1, 0, 64, 3), np.uint8))
    assert not isinstance(caught.value, MemoryError)


def test_a_run_goes_on_with_another_engine(mobile_weights, micrographs, tmp_path):
    """The engine is no parameter of a mask: what one has done the other keeps."""

    def run(name: str):
        return segment(
            micrographs, output=tmp_path / "out", weights=mobile_weights, device="cpu", engine=name
        )

    def recorded() -> dict:
        return json.loads((tmp_path / "out" / "segmentation.json").read_text())

    assert not any(field.is_kept for field in run("torch").fields)
    assert (recorded()["engine"]["name"], recorded()["parameters"]["engine"]) == ("torch", "torch")
    (tmp_path / "out" / "field_2.tif").unlink()
    assert [field.is_kept for field in run("openvino").fields] == [False, True, True]
    assert recorded()["engine"]["name"] == "openvino"
    assert recorded()["engine"]["version"].startswith("20")
    with pytest.raises(UsageError, match="--engine is auto, torch or openvino"):
        segment(micrographs, output=tmp_path / "new", weights=mobile_weights, engine="onnx")
    assert not (tmp_path / "new").exists()


def test_the_record_names_engine_and_version(mobile_weights):
    from importlib.metadata import version

    predictor = Predictor(_load(mobile_weights, "auto"), Tiling(224, 0, 0, 16, 1), tell=pytest.fail)
    described = predictor.describe()
    assert (described["name"], described["version"]) == ("openvino", version("openvino"))
    predictor = Predictor(_load(mobile_weights, "torch"), Tiling(224, 0, 0, 16, 1), tell=pytest.fail)
    described = predictor.describe()
    assert (described["name"], described["version"]) == ("torch", torch.__version__)
