"""``steelquant quantify`` with micrographs at hand: grain size, banding, lamellae, and why one is missing."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image
from roifile import ImagejRoi
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.masks import write_mask

sys.path.insert(0, str(Path(__file__).parents[1] / "stereology"))
from etched_fields import etched_field, write_etched

from steelquant.stereology.intercepts import heyn

NUMBERS = [f"Grain size G{how} (–)" for how in ("", " circles", " Jeffries", " Saltykov", " whole grains")]

GRAIN_FILES = (".grains.geojson", ".grains.zip")


@pytest.fixture(scope="module")
def drawn():
    return {f"f{number}": etched_field(number) for number in range(2)}


@pytest.fixture
def place(tmp_path, monkeypatch, drawn):
    """A folder to work in: micrographs in ``lot 7``, their masks in ``segmented``."""
    write_etched(tmp_path, drawn)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, ["quantify", "--workers", "1", *arguments])


def measured(*arguments: str) -> dict:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return json.loads(Path("report.json").read_text(encoding="utf-8"))


def table(name: str) -> list[dict[str, str]]:
    with Path(f"report.{name}.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def number(row: dict[str, str], name: str) -> float | None:
    return float(row[name]) if row[name] else None


def test_grain_size_is_that_of_the_drawn_grains(place, drawn):
    content = measured()

    estimates = content["specimens"][0]["estimates"]
    truth = np.mean([heyn(grains, 0.5).mean_intercept_um for _, _, grains in drawn.values()])
    assert estimates["Grain mean intercept (µm)"]["mean"] == pytest.approx(truth, rel=0.05)  # 0.15 of G
    found = estimates["Grain size G (–)"]
    assert found["n"] == 2
    assert found["low"] < found["mean"] < found["high"]
    assert {row["Grain boundaries"] for row in table("fields")} == {"clear"}
    counts = [len(np.unique(grains)) - 1 for _, _, grains in drawn.values()]
    assert len(table("grains")) == pytest.approx(sum(counts), rel=0.1)


def test_the_terminal_tells_the_grain_size_and_what_it_misses(place):
    result = run()

    assert "grain size G" in result.stdout
    assert "500 are wanted" in result.stdout

    shutil.rmtree(place / "lot 7")
    assert "no grain size: the micrograph was not found" in run().stdout


def test_twice_the_pixel_size_is_two_numbers_coarser(place):
    once = measured("--pixel-size", "0.5")
    grains = table("grains")
    twice = measured("--pixel-size", "1")

    first, second = (content["specimens"][0]["estimates"] for content in (once, twice))
    for name in NUMBERS:
        for key in ("mean", "low", "high"):
            assert first[name][key] - second[name][key] == pytest.approx(2, abs=1e-6), name
        assert first[name]["s"] == pytest.approx(second[name]["s"])
    for before, after in zip(grains, table("grains"), strict=True):
        assert float(after["Area (µm²)"]) == pytest.approx(4 * float(before["Area (µm²)"]))
    assert first["Pearlite banding Ω12 (–)"] == second["Pearlite banding Ω12 (–)"]


@pytest.mark.parametrize("turn", [np.rot90, np.fliplr, np.transpose])
def test_a_turned_or_mirrored_field_gives_the_same_numbers(place, drawn, turn):
    measured("--axis", "0")
    straight = table("fields")[0]
    pixels, mask, grains = (turn(part) for part in drawn["f0"])
    write_etched(place / "turned", {"f0": (np.ascontiguousarray(pixels), mask, grains)})
    is_upright = turn is np.fliplr
    measured("turned/segmented", "--axis", "0" if is_upright else "90")

    turned = table("fields")[0]
    assert all(straight[name] for name in NUMBERS)
    sides = () if is_upright else ("Width (px)", "Height (px)")
    assert [name for name in straight if turned[name] != straight[name]] == list(sides)


def test_the_same_masks_and_micrographs_give_the_same_bytes(place):
    run("--output", "a/report.xlsx")
    run("--output", "b/report.xlsx")

    files = sorted(path.name for path in (place / "a").iterdir() if path.suffix != ".xlsx")
    assert "report.grains.csv" in files
    for name in files:
        assert (place / "a" / name).read_bytes() == (place / "b" / name).read_bytes(), name


def test_grains_are_drawn_for_qupath_and_fiji_and_do_not_come_back_as_features(place):
    measured("--rois", "rois")

    files = sorted(path.name for path in Path("rois").iterdir())
    assert files == sorted(f"f{n}{kind}" for n in (0, 1) for kind in (".geojson", ".zip", *GRAIN_FILES))
    rows = [row for row in table("grains") if row["Field"] == "f0"]
    found = json.loads(Path("rois/f0.grains.geojson").read_text(encoding="utf-8"))["features"]
    assert [item["properties"]["name"] for item in found] == [
        f"grain {row['Grain (number)']}" for row in rows
    ]
    for item, row in zip(found, rows, strict=True):
        assert item["properties"]["objectType"] == "detection"
        assert item["properties"]["classification"]["name"] == "grain"
        sizes = item["properties"]["measurements"]
        assert sizes["Area (µm²)"] == pytest.approx(number(row, "Area (µm²)"), rel=1e-5)
        assert sizes["Equivalent diameter (µm)"] == pytest.approx(
            number(row, "Equivalent diameter (µm)"), rel=1e-5
        )
        # The outline holds the pixels that were counted.
        area = sum(abs(ring_area(ring)) * (-1) ** (place > 0) for place, ring in rings_of(item["geometry"]))
        assert area == number(row, "Area (px)")
    rois = ImagejRoi.fromfile("rois/f0.grains.zip")
    assert [roi.name for roi in rois] == [f"grain-{int(row['Grain (number)']):04d}" for row in rows]

    # All that lies in QuPath, saved together, is still the mask; the grains alone are none.
    everything = json.loads(Path("rois/f0.geojson").read_text(encoding="utf-8"))
    everything["features"] += found
    Path("all").mkdir()
    Path("all/f0.geojson").write_text(json.dumps(everything), encoding="utf-8")
    before = measured("segmented/f0.tif", "--no-grains")["fields"]
    assert measured("segmented/f0.tif", "all/f0.geojson", "--no-grains")["fields"] == before
    alone = run("rois/f0.grains.geojson", "--no-grains")
    assert alone.exit_code == 1
    assert "holds grains, which are no phases" in " ".join(alone.stderr.split())


def rings_of(geometry: dict) -> list[tuple[int, list]]:
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return [(place, ring) for polygon in polygons for place, ring in enumerate(polygon)]


def ring_area(ring: list) -> float:
    x, y = np.array(ring, dtype=float).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def test_grains_of_an_earlier_run_do_not_stay_beside_the_features_of_a_later_one(place):
    measured("--rois", "rois")
    measured("--rois", "rois", "--no-grains")

    assert sorted(path.name for path in Path("rois").iterdir()) == [
        "f0.geojson", "f0.zip", "f1.geojson", "f1.zip",
    ]  # fmt: skip


def test_every_number_can_be_traced(place):
    content = measured()

    for row in content["provenance"]:
        assert row["Micrograph SHA-256"] == sha256_of(Path(row["Micrograph"]))
        assert row["Mask SHA-256"] == sha256_of(Path(row["Mask"]))
        assert row["Weights SHA-256"] == "c" * 64
    parameters = content["parameters"]
    thresholds = [number(row, "Boundary threshold (probability)") for row in table("fields")]
    assert parameters["boundary threshold (probability)"].startswith(f"{min(thresholds):.2f}")
    for name in ("longest gap closed (px)", "smallest grain (px)", "grain size method"):
        assert parameters[name]
    assert "E112" in parameters["grain size method"]
    names = {row["Field"] for row in table("grains")}
    assert names == {row["Field"] for row in content["provenance"]}


def test_a_mask_without_its_micrograph_has_no_grain_size_and_says_why(place):
    shutil.rmtree(place / "lot 7")

    content = measured()

    found = content["specimens"][0]["estimates"]["Grain size G (–)"]
    assert (found["mean"], found["n"]) == (None, 0)
    assert "micrograph was not found" in found["note"]
    assert all("not found" in row["Grain boundaries"] for row in table("fields"))
    assert table("grains") == table("grain_size") == []
    assert content["specimens"][0]["estimates"]["Pearlite (%)"]["mean"] > 0
    page = openpyxl.load_workbook("report.xlsx")["Summary"]
    written = [str(value) for row in page.iter_rows(values_only=True) for value in row if value is not None]
    assert any("no grain size: the micrograph was not found" in text for text in written)


def test_micrographs_that_moved_are_found_by_name_and_hash(place):
    (place / "archive").mkdir()
    (place / "lot 7").rename(place / "archive" / "2026")

    content = measured("--images", "archive")

    assert content["specimens"][0]["estimates"]["Grain size G (–)"]["n"] == 2


def test_another_picture_of_the_same_name_is_not_measured_in(place, drawn):
    Image.fromarray(drawn["f1"][0]).save(place / "lot 7" / "f0.png")

    measured()

    rows = {row["Field"]: row for row in table("fields")}
    assert "SHA-256 differs" in rows["f0"]["Grain boundaries"]
    assert rows["f0"]["Grain size G (–)"] == ""
    assert rows["f1"]["Grain boundaries"] == "clear"


def test_masks_made_elsewhere_find_their_micrographs_in_the_folder_that_is_named(
    tmp_path, monkeypatch, drawn
):
    monkeypatch.chdir(tmp_path)
    pixels, mask, _ = drawn["f0"]
    write_mask(tmp_path / "masks" / "f0.tif", mask, pixel_size_um=0.5)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "f0.png")

    assert measured("masks")["specimens"][0]["grains"] is None
    assert measured("masks", "--images", ".")["specimens"][0]["grains"]["fields_counted"] == 1

    Image.fromarray(drawn["f1"][0]).save(tmp_path / "images" / "f0.bmp")
    content = measured("masks", "--images", "images")
    assert content["specimens"][0]["grains"] is None
    assert "two micrographs could be meant" in table("fields")[0]["Grain boundaries"]


def test_a_field_with_too_faint_boundaries_is_shown_but_left_out_of_the_mean(tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    write_etched(tmp_path, {"faint": etched_field(5, contrast=0.012), "f0": drawn["f0"], "f1": drawn["f1"]})

    content = measured()

    rows = {row["Field"]: row for row in table("fields")}
    assert rows["faint"]["Grain boundaries"].startswith("too faint: left out")
    assert rows["faint"]["Grain size G (–)"] != ""
    (specimen,) = content["specimens"]
    found = specimen["estimates"]["Grain size G (–)"]
    others = [number(rows[name], "Grain mean intercept (µm)") for name in ("f0", "f1")]
    assert found["n"] == 2
    assert specimen["estimates"]["Grain mean intercept (µm)"]["mean"] == pytest.approx(np.mean(others))
    assert "1 of 3 fields left out: boundaries too faint" in found["note"]
    assert any("too faint in 1 of 3 fields" in remark for remark in specimen["grains"]["remarks"])


def test_limits_can_name_the_new_quantities(place):
    (place / "limits.csv").write_text(
        "specimen,quantity,minimum,maximum\n*,Grain size G,8,12\n*,grain elongation ai,2,\n", encoding="utf-8"
    )

    measured("--limits", "limits.csv")

    verdicts = {row["Quantity"]: row["Verdict"] for row in table("limits")}
    assert verdicts == {"Grain size G (–)": "pass", "Grain elongation AI (–)": "fail"}


def test_without_a_scale_numbers_are_empty_and_ratios_are_not(tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    write_etched(tmp_path, {"f0": drawn["f0"]}, pixel_size_um=None)

    (specimen,) = measured()["specimens"]

    for name in (*NUMBERS, "Grain mean intercept (µm)", "Pearlite banding SB (µm)", "Pearlite bands SB (µm)"):
        assert specimen["estimates"][name]["mean"] is None
        assert specimen["estimates"][name]["note"] == "not calibrated: no scale in the file"
    assert specimen["estimates"]["Grains (count)"]["mean"] > 100
    assert specimen["estimates"]["Grain elongation AI (–)"]["mean"] == pytest.approx(1, abs=0.2)
    assert {row["Area (µm²)"] for row in table("grains")} == {""}


def test_grains_need_not_be_looked_for(place):
    content = measured("--no-grains")

    assert "Grain size G (–)" not in content["specimens"][0]["estimates"]
    assert content["parameters"]["grains"] == "not looked for"
    assert "Pearlite banding Ω12 (–)" in content["specimens"][0]["estimates"]


def test_a_given_threshold_replaces_the_fields_own(place):
    content = measured("--boundary-threshold", "0.65", "segmented/f0.tif")

    assert content["parameters"]["boundary threshold given (probability)"] == 0.65
    assert number(table("fields")[0], "Boundary threshold (probability)") == 0.65


@pytest.mark.parametrize(
    "arguments",
    [("--boundary-threshold", "0"), ("--boundary-threshold", "6.5"), ("--axis", "nan"), ("--images", "no")],
)
def test_options_that_make_no_sense_are_one_line(place, arguments):
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_bands_have_the_spacing_of_their_period(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((240, 320), dtype=np.uint8)
    for top in range(0, 240, 40):
        mask[top : top + 10] = 1
    write_mask(tmp_path / "masks" / "f.tif", mask, pixel_size_um=0.5)

    (row,) = measured("masks", "--axis", "0")["banding"]

    assert row["SB (µm)"] == pytest.approx(20, rel=0.1)  # the frame cuts a band of six
    assert row["λ (µm)"] == pytest.approx(0.75 * row["SB (µm)"])
    assert (row["Ω12 (–)"], row["AI (–)"], row["N_∥ (1/mm)"]) == (1, None, 0)
    assert "infinite" in row["Remark"]
    assert row["Axis from"] == "given"
    assert row["Bands SB (µm)"] == pytest.approx(20, rel=0.1)
    assert (row["Bands Ω12 (–)"], row["Bands AI (–)"], row["Bands N_∥ (1/mm)"]) == (1, None, 0)
    assert "infinite" in row["Bands"]


def test_the_axis_of_slanting_bands_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, columns = np.mgrid[:300, :400]
    across = rows * np.cos(np.radians(30)) + columns * np.sin(np.radians(30))
    write_mask(tmp_path / "masks" / "f.tif", (across % 24 < 8).astype(np.uint8), pixel_size_um=0.5)

    (row,) = measured("masks")["banding"]

    assert row["Deformation axis (°)"] == pytest.approx(30, abs=1)
    assert "certain" in row["Axis from"]
    assert row["SB (µm)"] == pytest.approx(12, rel=0.05)
    assert row["Ω12 (–)"] > 0.9
    assert row["Bands SB (µm)"] == pytest.approx(12, rel=0.05)
    assert row["Bands Ω12 (–)"] > 0.8  # smoothing mirrors the frame, where slanting bands bend
    assert row["Bands"] in ("banded or drawn out beyond chance", "unbroken bands: AI is infinite")


@pytest.mark.parametrize(("period_px", "is_resolved"), [(9, True), (3, False)])
def test_lamellae_are_measured_where_they_are_resolved(tmp_path, monkeypatch, period_px, is_resolved):
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((300, 400), dtype=np.uint8)
    mask[:, 80:] = 1
    columns = np.arange(400) / period_px
    pixels = np.where(mask == 1, 90 + 50 * np.cos(2 * np.pi * columns), 200.0)
    noise = np.random.default_rng(0).normal(0, 4, mask.shape)
    field = np.clip(pixels + noise, 0, 255).astype(np.uint8), mask, mask.astype(np.int32)
    write_etched(tmp_path, {"f": field}, pixel_size_um=0.1)

    found = measured()["specimens"][0]["estimates"]["Pearlite lamellar spacing (µm)"]

    if is_resolved:
        # A circle meets parallel lamellae every π/2 periods, and half of that is the true spacing.
        assert found["mean"] == pytest.approx(np.pi / 4 * period_px * 0.1, rel=0.05)
    else:
        assert found["mean"] is None
        assert "px" in found["note"] or "no lamellae" in found["note"]
