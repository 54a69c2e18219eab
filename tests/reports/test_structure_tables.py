"""Sheets and tables of grains, sizes, shapes and bands, read back and held against what was measured."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from PIL import Image

from steelquant.micrograph.masks import write_mask
from steelquant.stereology import quantify

sys.path.insert(0, str(Path(__file__).parents[1] / "stereology"))
from etched_fields import etched_field, write_etched


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on two specimens with grains, and its result."""
    folder = tmp_path_factory.mktemp("structure")
    fields = {f"A_{n}": etched_field(n) for n in (1, 2)}
    fields |= {f"B_{n}": etched_field(n, cell_area_px=900) for n in (3, 4)}
    masks = write_etched(folder, fields)
    result = quantify(masks, output=folder / "report.xlsx", specimen="{}_*")
    return result, folder / "report.xlsx"


@pytest.fixture(scope="module")
def workbook(report):
    return openpyxl.load_workbook(report[1])


def csv(report, name: str) -> pd.DataFrame:
    return pd.read_csv(report[1].with_suffix(f".{name}.csv"))


def test_the_sheets_of_grains_follow_the_fields(workbook):
    assert workbook.sheetnames[:6] == ["Summary", "Specimens", "Fields", "Grain size", "Grains", "Features"]


@pytest.mark.parametrize("title", ["Fields", "Grain size", "Grains", "Sizes", "Shapes", "Spheres", "Banding"])
def test_every_column_of_numbers_has_a_unit_and_a_format(workbook, title):
    sheet = workbook[title]

    for index, head in enumerate(next(sheet.iter_rows(max_row=1, values_only=True)), start=1):
        cells = [sheet.cell(row, index) for row in range(2, min(sheet.max_row, 50) + 1)]
        numbers = [cell for cell in cells if isinstance(cell.value, int | float)]
        assert not numbers or head.endswith(")"), head
        assert all(cell.number_format != "General" for cell in numbers), head


def test_each_grain_is_a_row(report):
    result, _ = report
    grains = csv(report, "grains")

    assert len(grains) == sum(field.grains.features.count for field in result.fields)
    for field in result.fields:
        rows = grains[grains["Field"] == field.source.name]
        features, labels = field.grains.features, field.grains.labels.unpack()
        assert rows["Area (µm²)"].sum() == pytest.approx(0.25 * np.count_nonzero(labels))
        assert rows["Grain (number)"].tolist() == features.label.tolist()
        at_frame = {*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]} - {0}
        assert set(rows.loc[rows["Cut by frame"] == "yes", "Grain (number)"]) == at_frame
        assert (rows["Aspect ratio (–)"] >= 1).all()
        assert rows["Roundness (–)"].between(0, 1.05).all()


def test_grain_sizes_stand_in_one_row_per_specimen(report):
    result, _ = report
    table = csv(report, "grain_size").set_index("Specimen")

    for specimen in result.specimens:
        found = specimen.estimates["Grain size G (–)"]
        row = table.loc[specimen.name]
        assert row["Grain size G (–)"] == pytest.approx(found.mean)
        assert (row["Low (–)"], row["High (–)"]) == pytest.approx((found.low, found.high))
        assert row["Boundaries clear (fields)"] == 2
    # Sections of twice the area are one number coarser.
    coarser = table.loc["A", "Grain size G Saltykov (–)"] - table.loc["B", "Grain size G Saltykov (–)"]
    assert coarser == pytest.approx(1, abs=0.25)


def test_the_summary_shows_both_tables_on_one_page(workbook):
    sheet = workbook["Summary"]
    rows = list(sheet.iter_rows(values_only=True))
    heads = [row for row in rows if row[0] == "Specimen"]

    assert len(heads) == 2
    at = heads[1].index("Grain size G (–)")
    row = next(n for n, cells in enumerate(rows) if cells is heads[1]) + 2
    assert sheet.cell(row, at + 1).number_format == "0.0"
    assert isinstance(sheet.cell(row, at + 1).value, float)
    assert heads[0].index("Remarks") == heads[1].index("Remarks")
    assert sheet.page_setup.fitToHeight == sheet.page_setup.fitToWidth == 1
    assert any(str(cells[0]).startswith("Ferrite grain size in the manner of ASTM E112") for cells in rows)


def test_shares_of_a_distribution_add_up(report):
    table = csv(report, "distributions")

    assert set(table["Kind"]) == {"pearlite features", "ferrite grains"}
    for _, rows in table.groupby(["Specimen", "Kind"]):
        assert rows[["Number (%)", "Area (%)"]].sum().tolist() == pytest.approx([100, 100])
        assert rows["To diameter (µm)"].tolist()[:-1] == pytest.approx(
            rows["From diameter (µm)"].tolist()[1:]
        )
    grains = csv(report, "grains")
    whole = grains[(grains["Cut by frame"] == "no") & (grains["Specimen"] == "A")]
    rows = table[(table["Kind"] == "ferrite grains") & (table["Specimen"] == "A")]
    edges = [*rows["From diameter (µm)"], rows["To diameter (µm)"].iloc[-1]]
    assert (
        rows["Features (count)"].tolist()
        == np.histogram(whole["Equivalent diameter (µm)"], edges)[0].tolist()
    )
    assert rows["Lognormal number (%)"].sum() == pytest.approx(100, abs=5)


def test_specimens_share_their_classes(report):
    table = csv(report, "distributions")

    for _, rows in table.groupby("Kind"):
        classes = [group["Class (µm)"].tolist() for _, group in rows.groupby("Specimen")]
        assert classes[0] == classes[1]


def test_features_of_known_size_shape_and_direction(tmp_path):
    mask = np.zeros((200, 260), dtype=np.uint8)
    rng = np.random.default_rng(2)
    for top in range(12, 180, 20):
        for left in range(12, 230, 40):
            shift = int(rng.integers(0, 4))
            mask[top + shift : top + shift + 6, left : left + 24] = 1
    write_mask(tmp_path / "f.tif", mask, pixel_size_um=0.5)

    (specimen,) = quantify(tmp_path / "f.tif", output=None).specimens

    (found,) = specimen.populations
    diameter = np.sqrt(4 * 6 * 24 / np.pi) * 0.5
    assert found.kind == "pearlite features"
    assert found.sizes.by_number.mean_um == pytest.approx(diameter)
    assert found.sizes.by_area.d50_um == pytest.approx(diameter)
    assert found.aspect_ratio == pytest.approx(24 / 6, rel=0.05)
    assert found.solidity == 1
    assert found.rose.mean_deg % 180 == pytest.approx(0, abs=1e-6)
    assert found.rose.resultant == pytest.approx(1)
    (field,) = specimen.fields
    assert field.textures["pearlite"].neighbours.arrangement == "regular"
    assert field.axis.certain
    assert field.axis.angle_deg % 180 == pytest.approx(0, abs=1)


def test_spheres_of_saltykov_are_as_many_as_the_table_says(report):
    result, _ = report
    table = csv(report, "spheres")

    for specimen in result.specimens:
        for population in specimen.populations:
            rows = table[(table["Specimen"] == specimen.name) & (table["Kind"] == population.kind)]
            assert rows["N_V (1/mm³)"].sum() == pytest.approx(population.spheres.number_per_mm3)
            assert rows["Number (%)"].sum() == pytest.approx(100)


def test_sectors_of_the_rose_add_up(report):
    for _, rows in csv(report, "orientation").groupby(["Specimen", "Kind"]):
        assert len(rows) == 18
        assert rows["Area (%)"].sum() == pytest.approx(100)


def test_boundaries_are_drawn_into_the_pictures(report):
    with zipfile.ZipFile(report[1]) as archive:
        pictures = [archive.read(name) for name in archive.namelist() if "media/" in name]

    assert len(pictures) == 4
    for picture in pictures:
        red, green, _ = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int).transpose(
            2, 0, 1
        )
        assert np.mean(red - green > 50) > 0.02  # magenta, which neither phase is


def test_numbers_below_nothing_keep_their_sign(workbook):
    formats = {cell.number_format for cell in workbook["Specimens"][2] if isinstance(cell.value, float)}

    assert any("[<0]-" in text for text in formats)
