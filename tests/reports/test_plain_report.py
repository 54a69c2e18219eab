"""CSV and JSON: the same names as in Excel, the same bytes each time."""

from __future__ import annotations

import csv
import json

import numpy as np
import openpyxl
import pandas as pd
import pytest

from steelquant.micrograph.masks import write_mask
from steelquant.reports import report_files
from steelquant.stereology import quantify

TABLES = (
    "specimens",
    "fields",
    "grain_size",
    "grains",
    "features",
    "distributions",
    "sizes",
    "shapes",
    "spheres",
    "orientation",
    "banding",
    "comparison",
    "limits",
    "provenance",
)


@pytest.fixture
def masks(tmp_path):
    rng = np.random.default_rng(1)
    for specimen, fraction in (("A", 0.2), ("B", 0.4)):
        for number in range(1, 4):
            mask = np.kron(rng.random((24, 30)) < fraction, np.ones((5, 5))).astype(np.uint8)
            write_mask(tmp_path / "masks" / f"{specimen}_{number}.tif", mask, pixel_size_um=0.5)
    return tmp_path / "masks"


def read_csv(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_running_again_gives_the_same_bytes(masks, tmp_path):
    for place in ("first", "second"):
        quantify(masks, output=tmp_path / place / "report.xlsx", specimen="{}_*")

    written = report_files(tmp_path / "first" / "report.xlsx")[1:]
    assert len(written) == 1 + len(TABLES)
    for path in written:
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_the_files_are_named_after_the_report(masks, tmp_path):
    quantify(masks, output=tmp_path / "lot.7.xlsx")

    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {"lot.7.xlsx", "lot.7.json", *(f"lot.7.{table}.csv" for table in TABLES)}


@pytest.mark.parametrize("table", ["specimens", "fields", "features", "distributions", "comparison"])
def test_columns_are_named_as_in_excel_and_hold_the_same_values(masks, tmp_path, table):
    quantify(masks, output=tmp_path / "report.xlsx", specimen="{}_*")
    rows = read_csv(tmp_path / f"report.{table}.csv")
    sheet = openpyxl.load_workbook(tmp_path / "report.xlsx")[table.capitalize()]
    in_excel = list(sheet.iter_rows(values_only=True))

    assert list(rows[0]) == list(in_excel[0])
    assert len(rows) == len(in_excel) - 1 > 0
    for plain, cells in zip(rows, in_excel[1:], strict=True):
        for text, value in zip(plain.values(), cells, strict=True):
            if isinstance(value, int | float):
                assert float(text) == pytest.approx(value, rel=1e-8)
            else:
                assert text == (value or "")


def test_pandas_reads_the_tables_without_options(masks, tmp_path):
    result = quantify(masks, output=tmp_path / "report.xlsx", specimen="{}_*")

    fields = pd.read_csv(tmp_path / "report.fields.csv")

    assert fields.columns[0] == "Specimen"
    by_hand = fields.groupby("Specimen")["Pearlite (%)"].mean()
    for specimen in result.specimens:
        assert by_hand[specimen.name] == pytest.approx(specimen.estimates["Pearlite (%)"].mean)


def test_json_holds_specimens_fields_and_parameters(masks, tmp_path):
    result = quantify(masks, output=tmp_path / "report.xlsx", specimen="{}_*")

    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))

    estimate = content["specimens"][0]["estimates"]["Pearlite (%)"]
    assert estimate["mean"] == result.specimens[0].estimates["Pearlite (%)"].mean
    assert estimate["n"] == 3
    assert [row["Field"] for row in content["fields"]] == [field.source.name for field in result.fields]
    assert content["provenance"][0]["Mask SHA-256"] == result.fields[0].mask_sha256
    assert content["parameters"]["connectivity"] == 8
    assert "hypoeutectoid" in content["parameters"]["carbon assumptions"]


def test_a_run_without_limits_leaves_no_old_limits_behind(masks, tmp_path):
    limits = tmp_path / "limits.csv"
    limits.write_text("specimen,quantity,minimum,maximum\n*,Pearlite (%),0,90\n")
    quantify(masks, output=tmp_path / "report.xlsx", limits=limits)
    assert len(read_csv(tmp_path / "report.limits.csv")) == 1

    quantify(masks, output=tmp_path / "report.xlsx")

    assert read_csv(tmp_path / "report.limits.csv") == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-A1", "'-A1"),
        ("-40C_1", "-40C_1"),
        ("-", "-"),
        ('a "b", c', 'a "b", c'),
    ],
)
def test_a_spreadsheet_runs_nothing_in_the_csv(masks, tmp_path, name, written):
    table = tmp_path / "specimens.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [("field", "specimen"), *((f"{s}_{n}", name) for s in "AB" for n in (1, 2, 3))]
        )

    quantify(masks, output=tmp_path / "report.xlsx", specimen=str(table))

    assert {row["Specimen"] for row in read_csv(tmp_path / "report.fields.csv")} == {written}
