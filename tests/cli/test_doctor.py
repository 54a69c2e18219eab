"""``steelquant doctor`` through the command line, on a tile that is done at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from steelquant import openvino_runtime
from steelquant.cli import app
from steelquant.segmentation import doctor
from steelquant.segmentation.doctor import EngineReport
from steelquant.segmentation.torch_engine import TorchEngine


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, untrained_weights: Path) -> None:
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(untrained_weights.parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(doctor, "_TILE_PX", 64)
    monkeypatch.setattr(doctor, "_MATRIX", 64)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *words])


def found(*words: str) -> dict:
    result = run("--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_json_tells_machine_engines_weights_and_cache(untrained_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("STEELQUANT_CACHE", str(tmp_path / "cache"))
    diagnosis = found()
    assert diagnosis["machine"]["cores"] >= 1
    assert diagnosis["machine"]["memory_gib"] > 0
    assert {"torch", "openvino", "python"} <= set(diagnosis["versions"])
    engines = {engine["name"]: engine for engine in diagnosis["engines"]}
    assert set(engines) == {"openvino", "torch"}
    for engine in engines.values():
        assert engine["problem"] is None
        assert engine["megapixels_per_second"] > 0
        assert engine["load_seconds"] >= 0
    assert engines["openvino"]["version"] == diagnosis["versions"]["openvino"]
    bound = diagnosis["bound_megapixels_per_second"]
    assert bound == pytest.approx(diagnosis["matrix_gflops"] / 42.8)
    weights = {model["model"]: model["weights"] for model in diagnosis["models"]}
    assert weights["mobilenetv2"] == str(untrained_weights)
    assert weights["unet"] is None
    assert diagnosis["cache"] == str(tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1  # made ready for the first real run


def test_the_list_is_for_people(untrained_weights):
    result = run()
    assert result.exit_code == 0
    for words in (
        "machine ",
        "openvino ",
        "torch ",
        "MP/s with mobilenetv2",
        str(untrained_weights),
        "faster ",
    ):
        assert words in result.stdout


def test_without_weights_the_engines_are_measured_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("STEELQUANT_CACHE", str(tmp_path / "cache"))
    result = run()
    assert result.exit_code == 0
    assert "none; steelquant train makes them" in result.stdout
    assert result.stdout.count("MP/s with mobilenetv2, ready") == 2
    assert not (tmp_path / "cache").exists()  # chance's weights are not worth keeping


def test_a_broken_engine_is_named_with_what_helps(monkeypatch):
    def broken() -> None:
        raise ImportError("libopenvino.so: wrong version\nand more")

    monkeypatch.setattr(openvino_runtime, "openvino_core", broken)
    diagnosis = found()
    by_name = {engine["name"]: engine for engine in diagnosis["engines"]}
    assert "ImportError: libopenvino.so: wrong version" in by_name["openvino"]["problem"]
    assert by_name["openvino"]["megapixels_per_second"] is None
    assert by_name["torch"]["megapixels_per_second"] > 0
    assert any("pip install --force-reinstall openvino" in sentence for sentence in diagnosis["advice"])


def test_a_machine_on_which_nothing_works_is_a_failure(monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("no instruction of this kind")

    monkeypatch.setattr(openvino_runtime, "openvino_core", broken)
    monkeypatch.setattr(TorchEngine, "predict", broken)
    result = run()
    assert result.exit_code == 1
    assert "torch on cpu cannot be used: RuntimeError: no instruction of this kind" in result.stdout


def test_damaged_weights_do_not_end_it(tmp_path, monkeypatch):
    (tmp_path / "mobilenetv2.safetensors").write_bytes(b"no weights")
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(tmp_path))
    result = run()
    assert result.exit_code == 1
    assert result.stdout.count("not a readable safetensors file") == 1
    assert result.stdout.count("MP/s with mobilenetv2, ready") == 2


def test_advice_names_idle_cores_other_programs_and_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STEELQUANT_CACHE", str(tmp_path / "file" / "cache"))
    engines = (EngineReport("openvino", "cpu", "1"),)
    advice = "\n".join(doctor._advice(8, 2.5, "cpu", ["gpu"], engines))
    assert "busy (2.5 processes a core)" in advice
    assert "OMP_NUM_THREADS=1 leaves 7 of 8 cores unused" in advice
    assert "compare with --device gpu" in advice
    assert "name another folder in STEELQUANT_CACHE" in advice
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("STEELQUANT_CACHE", str(tmp_path / "cache"))
    assert list(doctor._advice(8, 0.1, "cuda:0", [], engines)) == []


def test_a_driver_that_pytorch_cannot_use_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "may_have_torch_gpu", lambda: True)
    assert any("install PyTorch with CUDA" in line for line in doctor._advice(1, 0, "cpu", [], ()))
