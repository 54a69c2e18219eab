"""``steelquant prepare`` through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from steelquant.cli import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in "abcd":
        Image.fromarray(random.integers(0, 256, (448, 230, 3)).astype(np.uint8)).save(
            tmp_path / "images" / f"{name}.png"
        )
        labels = random.integers(0, 2, (448, 230)).astype(np.uint8)
        Image.fromarray(labels * 255).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["prepare", *map(str, words)])
    return result.exit_code, result.output


def test_a_dataset_and_its_table(folder: Path) -> None:
    code, output = run(folder / "images", folder / "masks", "--output", folder / "data")

    manifest = json.loads((folder / "data" / "dataset.json").read_text())
    assert code == 0
    assert manifest["split"] == "by-image"
    assert manifest["crop_px"] == 224
    assert [len(manifest["crops"][side]) for side in ("training", "validation", "test")] == [16, 8, 8]
    assert "by-image" in output
    assert "0 ferrite, 1 pearlite" in output
    assert not (folder / "data" / "crops").exists()


def test_the_random_split_is_called_optimistic_and_export_writes_crops(folder: Path) -> None:
    code, output = run(
        folder / "images", folder / "masks", "-o", folder / "data", "--split", "random", "--export"
    )

    assert code == 0
    assert "optimistic" in output
    for side, count in (("training", 23), ("validation", 6), ("test", 3)):
        assert len(list((folder / "data" / "crops" / side / "images").iterdir())) == count
        assert len(list((folder / "data" / "crops" / side / "masks").iterdir())) == count


def test_mistakes_are_one_line_with_the_right_exit_code(folder: Path) -> None:
    (folder / "masks" / "d.png").unlink()
    code, output = run(folder / "images", folder / "masks", "-o", folder / "data")
    assert code == 2
    assert "d.png has no mask" in output
    assert output.count("\n") == 1

    Image.new("L", (3, 3)).save(folder / "masks" / "d.png")
    code, output = run(folder / "images", folder / "masks", "-o", folder / "data")
    assert code == 1
    assert "is 3×3 px" in output

    code, output = run(folder / "images", folder / "masks", "-o", folder / "data", "--fractions", "70,30")
    assert code == 2
    assert "--fractions" in output
    assert not (folder / "data").exists()
