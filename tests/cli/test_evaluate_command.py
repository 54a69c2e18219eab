"""``steelquant evaluate`` through the command line, with untrained weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image
from typer.testing import CliRunner

from steelquant.cli import app


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from steelquant.networks import build
    from steelquant.networks.weights import WeightsMetadata, write_weights

    torch.set_num_threads(1)
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "mobilenetv2.safetensors"
    write_weights(path, build("mobilenetv2"), WeightsMetadata("mobilenetv2"))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for name in "abc":
        labels = np.zeros((224, 230), np.uint8)
        y, x = random.integers(20, 100, 2)
        labels[y : y + 80, x : x + 90] = 1
        pixels = np.where(labels == 1, 50, 220) + random.normal(0, 5, labels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            tmp_path / "set" / "images" / f"{name}.png"
        )
        Image.fromarray(labels * 255).save(tmp_path / "set" / "masks" / f"{name}.png")
    return tmp_path / "set"


class Stand:
    """In the place of a network where a test is about something else: half sure, and half right."""

    name, title, weights = "unet", "U-Net", ()

    def segment(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels = (np.indices(pixels.shape[:2]).sum(axis=0) % 2).astype(np.uint8)
        return labels, np.full(labels.shape, 0.5, np.float32)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelquant.learning.evaluation_run.load_segmenters", lambda *_, **__: [Stand()])


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    return result.exit_code, result.output


def test_tables_pictures_workbook_and_record(folder: Path, weights: Path) -> None:
    output = folder / "out"
    code, text = run(folder, "--model", "mobilenetv2", "--weights", weights, "--output", output)

    assert code == 0
    assert "3 fields" in text
    assert "230×224 px" in text
    row = next(line for line in text.splitlines() if "the paper's" in line)
    assert all(value in row for value in ("0.9802", "0.9743", "0.9521", "0.9614", "0.9149"))
    assert {p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file()} == {
        *("evaluation.json", "evaluation.xlsx", "confusion.png", "reliability.png", "region-sizes.png"),
        *("worst/mobilenetv2.png", "worst/otsu.png"),
        *(f"sheets/{name}.png" for name in "abc"),
    }
    record = json.loads((output / "evaluation.json").read_text())
    model, otsu = record["methods"]
    assert record["format"] == "steelquant evaluation 1"
    assert record["data"]["fields"] == 3
    assert otsu["scores"]["mean_iou"] > 0.99
    assert model["weights"][0]["metadata"]["model"] == "mobilenetv2"
    assert model["weights"][0]["metadata"]["familiarity"] is None  # thousands of numbers, not of this run
    assert record["robustness"] is None
    assert np.sum(model["confusion"]) == 3 * 224 * 230
    assert len(model["samples"]) == 3
    for picture in output.rglob("*.png"):
        with Image.open(picture) as image:
            assert min(image.size) > 300
            assert len(np.unique(np.asarray(image))) > 10
    book = openpyxl.load_workbook(output / "evaluation.xlsx")
    assert book.sheetnames == [
        *("Models", "Classes", "Images", "Confusion", "Area fractions", "Region sizes", "Calibration"),
        *("Differences", "Provenance"),
    ]
    written = {row[0].value: row for row in book["Models"].iter_rows(min_row=4, max_row=6)}
    assert written["Otsu threshold"][3].value == pytest.approx(otsu["scores"]["mean_iou"])


@pytest.mark.usefixtures("stand_in")
def test_robustness_adds_its_table_and_pictures(folder: Path) -> None:
    for part in ("images", "masks"):
        for name in "bc":
            (folder / part / f"{name}.png").unlink()
    output = folder / "out"

    code, text = run(folder, "--model", "unet", "-o", output, "--robustness")

    assert code == 0
    assert "vignette 50 %" in text
    assert len(json.loads((output / "evaluation.json").read_text())["robustness"]["otsu"]) == 19
    assert "Robustness" in openpyxl.load_workbook(output / "evaluation.xlsx").sheetnames
    for name in ("robustness.png", "degradations.png"):
        with Image.open(output / name) as image:
            assert min(image.size) > 300


@pytest.mark.usefixtures("stand_in")
def test_crops_of_a_dataset(folder: Path) -> None:
    CliRunner().invoke(
        app, ["prepare", str(folder / "images"), str(folder / "masks"), "-o", str(folder / "data")]
    )

    words = (folder / "data", "--model", "all", "--crops")
    code, text = run(*words, "-o", folder / "out")

    assert code == 0, text
    assert "test side, split by-image, crops of 224² px" in text
    assert "1 fields, 4 crops" in text
    assert "0.9202" in text
    record = json.loads((folder / "out" / "evaluation.json").read_text())
    assert record["data"]["split"] == "by-image"
    assert record["methods"][0]["region_sizes"] == []


@pytest.mark.usefixtures("stand_in")
def test_a_broken_field_is_told_and_the_rest_is_done(folder: Path) -> None:
    (folder / "images" / "b.png").write_bytes(b"no picture")

    code, text = run(folder, "--model", "unet", "-o", folder / "out")

    assert code == 1
    assert "b.png" in text
    assert "2 fields" in text
    failures = json.loads((folder / "out" / "evaluation.json").read_text())["failures"]
    assert [Path(f["file"]).name for f in failures] == ["b.png"]


@pytest.mark.usefixtures("stand_in")
def test_pictures_of_an_earlier_evaluation_do_not_stay(folder: Path) -> None:
    words = ("--model", "unet", "-o", folder / "out")
    run(folder, *words)
    (folder / "out" / "notes.txt").write_text("mine")
    for part in ("images", "masks"):
        (folder / part / "a.png").unlink()
        (folder / part / "c.png").unlink()

    run(folder, *words)

    assert [p.name for p in (folder / "out" / "sheets").iterdir()] == ["b.png"]
    assert (folder / "out" / "notes.txt").exists()


def test_mistakes_are_one_line_and_leave_nothing(folder: Path, weights: Path) -> None:
    for words, problem in (
        ((folder / "images", "--model", "mobilenetv2"), "neither a dataset"),
        ((folder, "--model", "nonsense"), "unknown model"),
        ((folder, "--model", "unet", "--weights", weights), "not of 'unet'"),
        (
            (folder, "--model", "mobilenetv2", "--weights", weights, "--robustness", "--crops"),
            "leave --crops",
        ),
        ((folder, "--model", "mobilenetv2", "--weights", weights, "--classes", "0=a"), "at least 2"),
        ((folder, "--model", "mobilenetv2", "--weights", weights, "--scale", "0"), "--scale"),
    ):
        code, text = run(*words, "-o", folder / "out")
        assert code == 2, text
        assert problem in text
        assert text.count("\n") == 1
    assert not (folder / "out").exists()


def test_recorded_figures_stand_in_the_weight_file_and_its_tensors_stay(folder: Path, weights: Path) -> None:
    from safetensors.numpy import load_file

    from steelquant.networks.weights import read_metadata

    own = folder / "mobilenetv2.safetensors"
    own.write_bytes(weights.read_bytes())
    words = (folder, "--model", "mobilenetv2", "--weights", own, "--output", folder / "out")

    assert run(*words, "--record", "three squares")[0] == 0

    figures = read_metadata(own).metrics["three squares"]
    found = json.loads((folder / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert figures["fields"] == 3
    assert figures["mean_iou"] == found["methods"][0]["scores"]["mean_iou"]
    assert figures["otsu_mean_iou"] == found["methods"][1]["scores"]["mean_iou"]
    before, after = load_file(weights), load_file(own)
    assert before.keys() == after.keys()
    assert all((before[key] == after[key]).all() for key in before)
