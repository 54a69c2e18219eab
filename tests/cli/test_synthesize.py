"""``steelquant synthesize`` through the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.learning.synthetic import Recipe, synthesize_field
from steelquant.micrograph.masks import read_mask
from steelquant.micrograph.reading import read_micrograph


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["synthesize", *map(str, words)])
    return result.exit_code, result.output


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_files_of_a_small_set(tmp_path: Path) -> None:
    code, output = run(
        "--count", 2, "--size", "96x80", "--seed", 7, "--workers", 1, "--output", tmp_path / "set"
    )

    assert code == 0, output
    assert sorted(content(tmp_path / "set")) == [
        "contact-sheet.jpg",
        "grains/field_00000.tif", "grains/field_00001.tif",
        "images/field_00000.tif", "images/field_00001.tif",
        "masks/field_00000.tif", "masks/field_00001.tif",
        "recipe.yaml",
    ]  # fmt: skip
    truth = synthesize_field(Recipe(), (7, 1), 80, 96)
    micrograph = read_micrograph(tmp_path / "set" / "images" / "field_00001.tif")
    mask = read_mask(tmp_path / "set" / "masks" / "field_00001.tif")
    grains = tifffile.imread(tmp_path / "set" / "grains" / "field_00001.tif")
    assert (micrograph.pixels == truth.pixels).all()
    assert (mask.labels == truth.labels).all()
    assert (grains == truth.grains).all()
    assert grains.dtype == np.uint16
    for calibration in (micrograph.calibration, mask.calibration):
        assert calibration.pixel_size_um == pytest.approx(truth.pixel_size_um, rel=1e-4)
        assert calibration.warnings == ()


def test_workers_do_not_change_the_set(tmp_path: Path) -> None:
    words = ("--count", 3, "--size", "80x64", "--seed", 2)
    assert run(*words, "--workers", 1, "--output", tmp_path / "one")[0] == 0
    assert run(*words, "--workers", 2, "--output", tmp_path / "two")[0] == 0

    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_set_is_resumed_and_enlarged(tmp_path: Path) -> None:
    words = ("--size", "80x64", "--workers", 1, "--output", tmp_path / "set")
    run("--count", 1, *words)
    first = tmp_path / "set" / "images" / "field_00000.tif"
    before = first.stat().st_mtime_ns

    code, output = run("--count", 3, *words)

    assert code == 0
    assert "2 fields" in output
    assert "1 were already there" in output
    assert first.stat().st_mtime_ns == before
    assert len(list((tmp_path / "set" / "images").iterdir())) == 3


def test_a_recipe_and_a_contact_sheet_elsewhere(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "{pure_ferrite: 1, mounted_edge: 0, eyepiece: 0, info_bar: 0, scale_bar: 0, letter: 0, wide_crack: 0}"
    )

    words = ("--count", 1, "--size", "128x96", "--workers", 1, "--output", tmp_path / "set")
    code, _ = run(*words, "--recipe", recipe, "--contact-sheet", tmp_path / "sheet.jpg")

    assert code == 0
    assert (read_mask(tmp_path / "set" / "masks" / "field_00000.tif").labels == 0).all()
    assert cv2.imread(str(tmp_path / "sheet.jpg")) is not None
    assert not (tmp_path / "set" / "contact-sheet.jpg").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--count", 0), "--count"),
        (("--count", 1, "--size", "big"), "--size"),
        (("--count", 1, "--size", "10x10"), "--size"),
        (("--count", 1, "--seed", -1), "--seed"),
        (("--count", 1, "--workers", 0), "--workers"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, words: tuple[str | int, ...], told: str) -> None:
    code, output = run(*words, "--output", tmp_path / "set")

    assert code == 2
    assert told in output
    assert "Traceback" not in output
    assert not (tmp_path / "set").exists()


def test_other_content_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"sea")

    code, output = run("--count", 1, "--size", "80x64", "--output", tmp_path)

    assert code == 2
    assert "not empty" in output
    assert list(tmp_path.iterdir()) == [tmp_path / "holiday.jpg"]


def test_a_set_of_another_seed_is_not_mixed(tmp_path: Path) -> None:
    words = ("--count", 1, "--size", "80x64", "--workers", 1, "--output", tmp_path / "set")
    run(*words)

    code, output = run(*words, "--seed", 1)

    assert code == 2
    assert "another recipe, seed, size or version" in output
