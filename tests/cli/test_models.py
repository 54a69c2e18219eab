"""``steelquant models`` through the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from steelquant.cli import app

TABLE_2 = {
    "unet": 7_697_410,
    "segnet": 29_444_166,
    "resnet50": 43_980_180,
    "resnet18": 20_607_636,
    "mobilenetv2": 6_784_276,
}


@pytest.fixture
def folder(tmp_path, untrained_weights, monkeypatch):
    """Weights of one of the five, of a model beside them, and a file that is damaged."""
    from safetensors.numpy import save_file

    from steelquant.networks.weights import WeightsMetadata

    shutil.copy(untrained_weights, tmp_path / "mobilenetv2.safetensors")
    header = {"steelquant": WeightsMetadata("smp:FPN:resnet18").to_json()}
    save_file({}, tmp_path / "smp-FPN-resnet18.safetensors", metadata=header)
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(tmp_path))
    return tmp_path


def test_json_names_all_models_with_the_papers_learnables(folder):
    result = CliRunner().invoke(app, ["models", "--json"])
    assert result.exit_code == 0
    listed = {entry["model"]: entry for entry in json.loads(result.stdout)}
    assert {name: listed[name]["learnables"] for name in TABLE_2} == TABLE_2
    assert set(listed) == {*TABLE_2, "smp:FPN:resnet18"}
    mobile = listed["mobilenetv2"]
    assert mobile["weights"] == str(folder / "mobilenetv2.safetensors")
    assert mobile["metadata"]["licence"] == "MIT; encoder from elsewhere"
    assert mobile["metadata"]["metrics"]["real fields"]["accuracy"] == 0.98765
    assert listed["unet"]["weights"] is None
    assert listed["unet"]["problem"] is None


def test_the_list_says_trained_on_what_and_how_good(folder):
    output = CliRunner().invoke(app, ["models"]).stdout
    part = output[output.index("mobilenetv2") :]
    for words in (
        "6,784,276 parameters",
        "mobilenetv2.safetensors",
        "12 images, 3,456 crops of 224 px, split by-image",
        "real fields: accuracy 0.9877, fields 5, mean iou 0.9000",
        "MIT; encoder from elsewhere",
    ):
        assert words in part
    assert "steelquant train --model unet" in output


def test_a_damaged_weight_file_is_named(folder):
    (folder / "unet.safetensors").write_bytes(b"\x80\x04 not weights")
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 1
    assert "not a readable safetensors file" in result.stdout
    assert "6,784,276" in result.stdout


def test_one_file_is_not_taken_for_all_models(untrained_weights):
    result = CliRunner().invoke(app, ["models", "--json", "--weights", str(untrained_weights)])
    listed = {entry["model"]: entry["weights"] for entry in json.loads(result.stdout)}
    assert listed == {name: str(untrained_weights) if name == "mobilenetv2" else None for name in TABLE_2}


def test_weights_that_are_nowhere_are_a_mistake(tmp_path):
    result = CliRunner().invoke(app, ["models", "--weights", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_torch_stays_out(folder):
    code = (
        "import sys; from steelquant.cli import app\n"
        "try: app(['models', '--json'])\n"
        "except SystemExit as leaving: assert not leaving.code\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )
