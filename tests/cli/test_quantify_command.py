"""``steelquant quantify`` as users and scripts call it: files, table, exit codes, start-up."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.micrograph.masks import write_mask, write_probability

sys.path.insert(0, str(Path(__file__).parents[1] / "stereology"))
from segmented_folder import write_segmented

FILES = {
    "report.xlsx",
    "report.json",
    "report.specimens.csv",
    "report.fields.csv",
    "report.features.csv",
    "report.distributions.csv",
    "report.grain_size.csv",
    "report.grains.csv",
    "report.sizes.csv",
    "report.shapes.csv",
    "report.spheres.csv",
    "report.orientation.csv",
    "report.banding.csv",
    "report.comparison.csv",
    "report.limits.csv",
    "report.provenance.csv",
}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder to work in, with masks of two specimens in segmented/."""
    rng = np.random.default_rng(0)
    for specimen, fraction in (("C15", 0.2), ("C45", 0.5)):
        for number in (1, 2, 3):
            mask = np.kron(rng.random((24, 30)) < fraction, np.ones((5, 5))).astype(np.uint8)
            write_mask(tmp_path / "segmented" / f"{specimen}_{number}.tif", mask, pixel_size_um=0.5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, ["quantify", *arguments])


def test_without_arguments_it_measures_segmented_into_report(workplace):
    result = run()

    assert result.exit_code == 0, result.output
    assert {path.name for path in workplace.iterdir() if path.is_file()} == FILES
    assert "6 fields measured" in result.stdout
    assert "report.xlsx" in result.stdout


def test_the_table_shows_each_specimen_with_its_interval(workplace):
    result = run("--specimen", "{}_*")

    lines = [line for line in result.stdout.splitlines() if line.strip().startswith("C") and ":" not in line]
    assert [line.split()[0] for line in lines] == ["C15", "C45"]
    assert all("±" in line and " 3 " in line for line in lines)


def test_options_reach_the_report(workplace):
    (workplace / "limits.csv").write_text(
        "specimen,quantity,minimum,maximum\nC15,pearlite,0,60\nC45,pearlite,0,1\n"
    )

    result = run(
        "segmented", "--output", "out/lot.xlsx", "--pixel-size", "0.25", "--specimen", r"^(C\d+)",
        "--limits", "limits.csv", "--smallest-feature", "30", "--workers", "1",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    content = json.loads((workplace / "out" / "lot.json").read_text(encoding="utf-8"))
    assert content["parameters"]["pixel size (µm/px)"] == 0.25
    assert content["parameters"]["smallest feature (px)"] == 30
    assert [specimen["verdict"] for specimen in content["specimens"]] == ["pass", "fail"]
    assert "pass" in result.stdout
    assert "fail" in result.stdout


def test_single_masks_and_folders_can_be_given_together(workplace):
    write_mask(workplace / "other" / "x.tif", np.eye(30, dtype=np.uint8), pixel_size_um=0.5)

    result = run("segmented/C15_1.tif", "other")

    assert result.exit_code == 0
    assert "2 fields measured" in result.stdout


def test_a_bad_mask_gives_one_line_and_exit_code_1_and_the_rest_goes_on(workplace):
    (workplace / "segmented" / "torn.tif").write_bytes(b"II*\0torn")

    result = run()

    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "torn.tif" in errors[0]
    assert "6 fields measured; 1 mask failed" in result.stdout
    assert (workplace / "report.xlsx").exists()


def test_only_bad_masks_write_no_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.tif").write_bytes(b"")

    result = run("bad.tif")

    assert result.exit_code == 1
    assert "bad.tif" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tif"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "segmented"),
        (["nowhere"], "nowhere"),
        (["."], "no masks found"),
        ([".", "--output", "report.html"], ".xlsx"),
    ],
)
def test_a_wrong_command_is_one_line_and_exit_code_2(tmp_path, monkeypatch, arguments, problem):
    monkeypatch.chdir(tmp_path)

    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--limits", "--specimen"])
def test_a_missing_table_is_one_line_that_names_it(workplace, option):
    result = run(option, "missing.csv")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: missing.csv: cannot be read")


def test_a_mask_changed_by_hand_is_told(workplace):
    folder = workplace / "segmented"
    entry = {
        "name": "C15_1",
        "status": "done",
        "input": {"path": "/data/C15/C15_1.tif", "page": 0, "sha256": "a" * 64},
        "width_px": 150,
        "height_px": 120,
        "calibration": {"pixel_size_um": 0.5, "source": "OME", "warnings": []},
        "mask": {"path": "C15_1.tif", "sha256": "b" * 64},
    }
    record = {"fields": [entry], "weights": {"model": "unet", "sha256": "c" * 64}}
    (folder / "segmentation.json").write_text(json.dumps(record))

    result = run("segmented/C15_1.tif")

    assert result.exit_code == 0
    assert "corrected by hand" in " ".join(result.stdout.split())


def test_json_is_one_document_with_the_estimates(workplace):
    result = run("--json", "--specimen", "{}_*")

    content = json.loads(result.stdout)
    assert {file.rsplit("/", 1)[-1] for file in content["files"]} == FILES
    assert [specimen["Specimen"] for specimen in content["specimens"]] == ["C15", "C45"]
    assert content["specimens"][0]["estimates"]["Pearlite (%)"]["n"] == 3
    assert content["failures"] == []


def test_it_needs_neither_torch_nor_the_segmentation_room(workplace):
    code = (
        "import sys; from steelquant.cli import app\n"
        "try:\n    app(['quantify', '--workers', '1'])\n"
        "except SystemExit as done:\n    assert done.code == 0, done.code\n"
        "libraries = ('torch', 'torchvision', 'lightning', 'pandas', 'matplotlib', 'skimage')\n"
        "rooms = ('steelquant.segmentation', 'steelquant.networks', 'steelquant.learning')\n"
        "heavy = [m for m in sys.modules if m.split('.')[0] in libraries or m.startswith(rooms)]\n"
        "assert not heavy, heavy\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert (workplace / "report.xlsx").exists()


def test_a_table_gives_each_field_its_scale_and_is_named_in_the_report(workplace):
    (workplace / "scales.csv").write_text("path,pixel_size_um\nC15_*,0.25\nC45_1,0.8\n")

    result = run("--pixel-size", "scales.csv", "--no-grains")

    assert result.exit_code == 0, result.output
    content = json.loads((workplace / "report.json").read_text(encoding="utf-8"))
    rows = {row["Field"]: row for row in content["provenance"]}
    assert {name: row["Scale (µm/px)"] for name, row in rows.items()} == {
        "C15_1": 0.25, "C15_2": 0.25, "C15_3": 0.25, "C45_1": 0.8, "C45_2": 0.5, "C45_3": 0.5,
    }  # fmt: skip
    assert rows["C15_1"]["Scale from"] == "scales.csv, line 2 (C15_*)"
    assert "scales.csv, line 2 (C15_*) gives 0.25 µm/px but" in rows["C15_1"]["Scale conflicts"]
    assert content["parameters"]["pixel size (µm/px)"] == "scales.csv"
    assert "no row of scales.csv fits" in " ".join(result.stdout.split())


def test_every_report_says_where_the_scale_comes_from(workplace):
    (workplace / "scales.csv").write_text("path,pixel_size_um\nC15_*,0.25\n")

    result = run("--pixel-size", "scales.csv", "--no-grains", "--html", "report.html")

    assert result.exit_code == 0, result.output
    stated, tagged = "scales.csv, line 2 (C15_*)", "OME PhysicalSizeX"
    content = json.loads((workplace / "report.json").read_text(encoding="utf-8"))
    sheet = pd.read_excel(workplace / "report.xlsx", sheet_name="Provenance", header=None)
    found = {
        "JSON": [row["Scale from"] for row in content["provenance"]],
        "CSV": list(pd.read_csv(workplace / "report.provenance.csv")["Scale from"]),
        "Excel": [cell for cell in sheet.to_numpy().ravel() if cell in (stated, tagged)],
    }
    assert {name: sorted(cells) for name, cells in found.items()} == dict.fromkeys(
        found, sorted(3 * [stated] + 3 * [tagged])
    )
    page = html.unescape((workplace / "report.html").read_text(encoding="utf-8"))
    assert page.count(stated) >= 3
    assert page.count(tagged) >= 3


def test_rows_of_a_table_that_contradict_each_other_fail_their_field_alone(workplace):
    (workplace / "scales.csv").write_text("path,pixel_size_um\nC15_*,0.25\nC15_1,0.8\n")

    result = run("--pixel-size", "scales.csv", "--no-grains")

    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1
    assert "C15_1.tif: fits lines 2" in " ".join(result.stderr.split())
    assert "5 fields measured; 1 mask failed" in result.stdout


@pytest.mark.parametrize(("given", "code"), [("missing.csv", 1), ("wide", 2), ("-1", 2)])
def test_a_pixel_size_that_makes_no_sense_is_one_line(workplace, given, code):
    result = run("--pixel-size", given)

    assert result.exit_code == code
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not (workplace / "report.xlsx").exists()


def test_the_fraction_at_other_thresholds_is_told_where_probabilities_lie_beside_the_masks(workplace):
    # 255·0.4 = 102, 127.5 and 153: of the 100 columns 61, 50 and 40 lie above.
    grey = np.tile(np.r_[np.full(39, 90), np.full(11, 110), np.full(10, 140), np.full(40, 200)], (80, 1))
    labels = (grey > 127).astype(np.uint8)
    write_segmented(workplace / "seen", {"a": labels, "b": labels}, probabilities=True)
    for name in ("a", "b"):
        path = workplace / "seen" / f"{name}.probability.tif"
        write_probability(path, grey.astype(np.uint8), pixel_size_um=0.5)

    result = run("seen", "--no-grains")

    assert result.exit_code == 0, result.output
    content = json.loads((workplace / "report.json").read_text(encoding="utf-8"))
    for row in content["fields"]:
        assert row["Pearlite (%)"] == 50
        assert [row[f"Pearlite at probability {limit} (%)"] for limit in (0.4, 0.5, 0.6)] == [61, 50, 40]
    told = "pearlite 40.00 to 61.00 % at probability thresholds 0.6 to 0.4"
    assert told in " ".join(result.stdout.split())
    assert told in content["specimens"][0]["remarks"]


def test_two_halves_agree_with_the_whole(workplace):
    rng = np.random.default_rng(11)
    rows, columns = np.mgrid[:480, :900]
    whole = np.zeros(rows.shape, dtype=np.uint8)
    for y in range(20, 480, 40):
        for x in range(20, 900, 36):
            cy, cx, radius = y + rng.uniform(-6, 6), x + rng.uniform(-5, 5), rng.uniform(5, 11)
            whole |= ((rows - cy) ** 2 + (columns - cx) ** 2 <= radius**2).astype(np.uint8)
    for name, part in (("whole", whole), ("half_1", whole[:, :450]), ("half_2", whole[:, 450:])):
        write_mask(workplace / "parts" / f"{name}.tif", part, pixel_size_um=0.5)

    result = run("parts", "--no-grains", "--specimen", "^([a-z]+)")

    assert result.exit_code == 0, result.output
    content = json.loads((workplace / "report.json").read_text(encoding="utf-8"))
    found = {
        specimen["Specimen"]: {name: value["mean"] for name, value in specimen["estimates"].items()}
        for specimen in content["specimens"]
    }
    # Areas add up to the last pixel; counts but for what the cut itself meets.
    for name in ("Pearlite (%)", "Ferrite (%)", "Carbon (wt%)"):
        assert found["half"][name] == pytest.approx(found["whole"][name], rel=1e-8), name
    for name in (
        "N_A (1/mm²)",
        "N_L (1/mm)",
        "mean intercept (µm)",
        "mean free path (µm)",
        "mean area (µm²)",
    ):
        assert found["half"][f"Pearlite {name}"] == pytest.approx(
            found["whole"][f"Pearlite {name}"], rel=0.01
        )
    assert found["half"]["Pearlite mean diameter (µm)"] == pytest.approx(
        found["whole"]["Pearlite mean diameter (µm)"], rel=0.02
    )
