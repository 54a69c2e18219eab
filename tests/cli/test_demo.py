"""``steelquant demo`` through the command line, with an untrained network."""

from __future__ import annotations

from functools import partial

import numpy as np
import openpyxl
import pytest
import tifffile
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.learning import samples
from steelquant.learning.synthetic import synthesize_field
from steelquant.micrograph.reading import read_micrograph

NAMES = [
    "1_low_carbon",
    "2_medium_carbon",
    "3_high_pearlite",
    "4_banded",
    "5_uneven_light",
    "6_widmanstatten",
]


@pytest.fixture
def run(tmp_path, untrained_weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(untrained_weights))
    return lambda *words: CliRunner().invoke(app, ["demo", *map(str, words)])


@pytest.fixture
def small(monkeypatch):
    """The samples at a tenth of their size."""
    drawing = partial(samples.write_samples, width_px=240, height_px=180)
    monkeypatch.setattr(samples, "write_samples", drawing)


def _check(folder, size):
    assert [p.stem for p in sorted((folder / "samples").iterdir())] == NAMES
    for name in NAMES:
        with tifffile.TiffFile(folder / "samples" / f"{name}.tif") as file:
            assert file.pages[0].shape == (*size, 3)
        micrograph = read_micrograph(folder / "samples" / f"{name}.tif")
        assert micrograph.calibration.pixel_size_um == pytest.approx(0.2)
        assert micrograph.calibration.warnings == ()
        assert tifffile.imread(folder / "segmented" / f"{name}.tif").shape == size
        assert (folder / "segmented" / f"{name}.overlay.png").is_file()
    sheets = openpyxl.load_workbook(folder / "report.xlsx", read_only=True).sheetnames
    assert {"Summary", "Fields", "Features", "Parameters", "Provenance"} <= set(sheets)


def test_samples_masks_and_report_and_where_to_look(run, small, tmp_path):
    result = run("--output", "here")
    assert result.exit_code == 0, result.output
    _check(tmp_path / "here", (180, 240))
    for name in NAMES:
        assert name in result.stdout
    for place in ("samples", "segmented", "report.xlsx"):
        assert str((tmp_path / "here" / place).relative_to(tmp_path)) in result.stdout


def test_given_again_it_keeps_samples_and_masks(run, small, tmp_path):
    assert run().exit_code == 0
    kept = [*(tmp_path / "samples").iterdir(), *(tmp_path / "segmented").glob("*.tif")]
    times = {path: path.stat().st_mtime_ns for path in kept}
    result = run()
    assert result.exit_code == 0, result.output
    assert "6 kept from an earlier run" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == times


def test_without_weights_nothing_is_drawn(run, small, tmp_path, monkeypatch):
    monkeypatch.delenv("STEELQUANT_WEIGHTS")
    monkeypatch.setattr("steelquant.networks.weights.SEARCH_FOLDERS", (tmp_path / "none",))
    result = run()
    assert result.exit_code == 2
    assert "no trained weights" in result.stderr
    assert not (tmp_path / "samples").exists()


def test_the_samples_are_what_their_names_say():
    """The share of pearlite is the one asked for; light falls to the right only where it says so."""
    for place, (sample, pearlite) in enumerate(
        zip(samples.SAMPLES, (0.12, 0.4, 0.8, 0.35, 0.55, 0.7), strict=True)
    ):
        field = synthesize_field(sample.recipe, (samples._SEED, place), 300, 400)
        assert (field.labels == 1).mean() == pytest.approx(pearlite, abs=0.02)
        assert not (field.labels == 255).any()
        assert field.pixel_size_um == pytest.approx(0.2)
    assert [sample.name for sample in samples.SAMPLES if sample.is_unevenly_lit] == ["5_uneven_light"]
    flat = np.full((100, 200, 3), 200, np.uint8)
    shaded = samples._shade(flat).mean(axis=(0, 2))
    assert (np.diff(shaded) <= 0).all()
    assert shaded[-1] < 0.7 * shaded[0]


@pytest.mark.slow
def test_the_demo_at_full_size(run, tmp_path):
    result = run()
    assert result.exit_code == 0, result.output
    _check(tmp_path, (1542, 2080))
