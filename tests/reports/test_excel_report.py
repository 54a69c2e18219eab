"""The Excel report read back: sheets, headers, formats, safety of texts, charts, pictures, long tables."""

from __future__ import annotations

import time
import zipfile
from xml.etree import ElementTree

import numpy as np
import openpyxl
import pytest

from steelquant.micrograph.masks import write_mask
from steelquant.reports.bulk import Block, clean_text, save_with_rows
from steelquant.reports.sheets import add_sheet, add_table_sheet
from steelquant.reports.table import Column, Table, text_column
from steelquant.stereology import quantify

SHEETS = ["Summary", "Specimens", "Fields", "Features", "Distributions", "Sizes", "Shapes", "Spheres"]
SHEETS += ["Orientation", "Banding", "Comparison", "Limits", "Overlays", "Parameters", "Provenance"]
TABLES = [title for title in SHEETS if title not in ("Summary", "Overlays", "Parameters", "Provenance")]


def squares(side: int, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.uint8)
    for top in range(4, shape[0], 20):
        for left in range(4, shape[1], 20):
            mask[top : top + side, left : left + side] = 1
    return mask


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on two specimens with limits, and its result."""
    folder = tmp_path_factory.mktemp("report")
    for specimen, sides in (("A", (8, 9, 10)), ("B", (12, 13, 13))):
        for number, side in enumerate(sides, start=1):
            write_mask(folder / "masks" / f"{specimen}_{number}.tif", squares(side), pixel_size_um=0.5)
    limits = folder / "limits.csv"
    limits.write_text("specimen,quantity,minimum,maximum\n*,Pearlite (%),5,45\n*,Carbon (wt%),0.3,\n")
    result = quantify(folder / "masks", output=folder / "report.xlsx", specimen="{}_*", limits=limits)
    return result, folder / "report.xlsx"


@pytest.fixture(scope="module")
def workbook(report):
    return openpyxl.load_workbook(report[1])


def header(sheet, row: int = 1) -> list[str]:
    return [cell.value for cell in sheet[row]]


def column(sheet, name: str) -> list[object]:
    index = header(sheet).index(name)
    return [row[index] for row in sheet.iter_rows(min_row=2, values_only=True)]


def texts(sheet) -> list[str]:
    return [str(v) for row in sheet.iter_rows(values_only=True) for v in row if v is not None]


def test_every_sheet_is_there_in_order(workbook):
    assert workbook.sheetnames == SHEETS


def test_fields_hold_the_measured_numbers(report, workbook):
    result, _ = report

    sheet = workbook["Fields"]

    assert column(sheet, "Field") == [field.source.name for field in result.fields]
    expected = [100 * field.phases["pearlite"].area_fraction for field in result.fields]
    assert column(sheet, "Pearlite (%)") == pytest.approx(expected)
    expected = [0.5 * field.phases["pearlite"].mean_intercept_px for field in result.fields]
    assert column(sheet, "Pearlite mean intercept (µm)") == pytest.approx(expected)


def test_features_hold_every_feature(report, workbook):
    result, _ = report

    areas = column(workbook["Features"], "Area (px)")

    assert areas == [a for f in result.fields for a in f.features["pearlite"].area_px.tolist()]


def test_specimens_hold_mean_spread_and_interval(report, workbook):
    result, _ = report
    sheet = workbook["Specimens"]

    rows = [
        dict(zip(header(sheet), row, strict=True)) for row in sheet.iter_rows(min_row=2, values_only=True)
    ]
    row = next(r for r in rows if r["Specimen"] == "B" and r["Quantity"] == "Pearlite (%)")

    estimate = result.specimens[1].estimates["Pearlite (%)"]
    assert row["n (fields)"] == 3
    assert row["Mean (unit of quantity)"] == pytest.approx(estimate.mean)
    assert row["95 % CI ± (unit of quantity)"] == pytest.approx(estimate.ci95)
    assert row["%RA (%)"] == pytest.approx(estimate.relative_accuracy_percent)


@pytest.mark.parametrize("title", TABLES)
def test_tables_are_frozen_filtered_formatted_and_set_up_for_print(workbook, title):
    sheet = workbook[title]

    assert sheet.freeze_panes in ("C2", "B2")
    first, last = sheet.auto_filter.ref.split(":")
    assert first == "A1"
    assert last == f"{openpyxl.utils.get_column_letter(sheet.max_column)}{sheet.max_row}"
    assert sheet.print_title_rows == "$1:$1"
    assert sheet.page_setup.orientation == "landscape"
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage


@pytest.mark.parametrize("title", TABLES)
def test_every_column_of_numbers_has_a_unit_and_a_format(workbook, title):
    sheet = workbook[title]

    for index, name in enumerate(header(sheet), start=1):
        cells = [sheet.cell(row, index) for row in range(2, sheet.max_row + 1)]
        numbers = [cell for cell in cells if isinstance(cell.value, int | float)]
        if numbers:
            assert name.endswith(")"), name
            assert "(" in name
            assert all(cell.number_format != "General" for cell in numbers), name


def test_the_summary_fits_one_page_with_the_verdict_on_top(report, workbook):
    result, _ = report
    sheet = workbook["Summary"]

    assert sheet.page_setup.fitToHeight == sheet.page_setup.fitToWidth == 1
    assert sheet.print_area is not None
    assert sheet["A4"].value.startswith("FAIL")  # the worst verdict of all specimens
    assert [specimen.verdict for specimen in result.specimens] == ["fail", "undecided"]
    shown = {sheet.cell(row, 1).value: sheet.cell(row, 2).value for row in (7, 8)}
    assert shown == {"A": "fail", "B": "undecided"}
    assert any("hypoeutectoid" in text for text in texts(sheet))


def test_charts_are_native_and_point_at_the_data(report):
    with zipfile.ZipFile(report[1]) as archive:
        charts = [archive.read(name).decode() for name in archive.namelist() if "charts/chart" in name]

    bars, *sizes = charts
    assert "'Fields'!$C$2:$C$7" in bars
    assert "'Fields'!$D$2:$D$7" in bars  # the error bars
    assert "errBars" in bars
    assert [chart.count("'Distributions'!") > 0 for chart in sizes] == [True, True, True, False]
    assert [chart.count("lineChart") > 0 for chart in sizes] == [False, True, True, False]  # the fits
    assert "'Orientation'!" in sizes[-1]


def test_each_field_has_its_picture(report, workbook):
    result, _ = report

    assert len(workbook["Overlays"]._images) == len(result.fields)
    with zipfile.ZipFile(report[1]) as archive:
        sizes = [info.file_size for info in archive.infolist() if "media/" in info.filename]
    assert max(sizes) < 200_000


def test_provenance_traces_every_field(report, workbook):
    result, _ = report
    written = texts(workbook["Provenance"])

    for field in result.fields:
        assert field.mask_sha256 in written
        assert str(field.source.mask_path) in written
    assert any(text.startswith("20") and text.endswith("Z") for text in written)  # UTC time
    assert {"numpy", "steelquant", "python"} <= set(written)


def test_parameters_hold_every_rule_and_definition(report, workbook):
    result, _ = report
    names = [row[0] for row in workbook["Parameters"].iter_rows(values_only=True)]

    assert {"method", "edge rule", "connectivity", "smallest feature (px)", "specimen"} <= set(names)
    assert {quantity.name for quantity in result.quantities} <= set(names)


def test_uncalibrated_fields_have_empty_lengths_and_the_reason(tmp_path):
    write_mask(tmp_path / "f.tif", squares(10), pixel_size_um=None)
    quantify(tmp_path / "f.tif", output=tmp_path / "report.xlsx")

    book = openpyxl.load_workbook(tmp_path / "report.xlsx")

    for name in (
        "Pearlite mean intercept (µm)",
        "Pearlite N_A (1/mm²)",
        "Scale (µm/px)",
        "Counted area (mm²)",
    ):
        assert column(book["Fields"], name) == [None]
    assert "no scale" in column(book["Fields"], "Scale from")[0]
    assert set(column(book["Features"], "Area (µm²)")) == {None}
    assert None not in column(book["Features"], "Area (px)")
    assert any("not calibrated" in text for text in texts(book["Summary"]))
    assert "Distributions" not in book.sheetnames


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", '=HYPERLINK("http://x")']


@pytest.mark.parametrize("name", FORMULAS)
def test_names_cannot_become_formulas(tmp_path, name):
    table = tmp_path / "specimens.csv"
    table.write_text(f'field,specimen,operator\nf1,"{name.replace(chr(34), chr(34) * 2)}","{name[:3]}"\n')
    write_mask(tmp_path / "f1.tif", squares(10), pixel_size_um=0.5)

    quantify(tmp_path / "f1.tif", output=tmp_path / "report.xlsx", specimen=str(table))

    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert all(cell.data_type != "f" for cell in cells)
    assert column(book["Fields"], "Specimen") == [name]
    with zipfile.ZipFile(tmp_path / "report.xlsx") as archive:
        sheets = [n for n in archive.namelist() if n.startswith("xl/worksheets/sheet")]
        assert all(b"<f>" not in archive.read(n) for n in sheets)


def test_control_characters_and_markup_in_names_are_harmless(tmp_path):
    table = tmp_path / "specimens.csv"
    table.write_text("field,specimen\nf1,a\x01b & <c> \x0bd\n")
    write_mask(tmp_path / "f1.tif", squares(10), pixel_size_um=0.5)

    quantify(tmp_path / "f1.tif", output=tmp_path / "report.xlsx", specimen=str(table))

    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    assert column(book["Fields"], "Specimen") == ["a\ufffdb & <c> \ufffdd"]


def test_texts_are_kept_within_what_excel_holds():
    assert clean_text("a\x00\x1f\ud800\ufffe\tb\n") == "a\ufffd\ufffd\ufffd\ufffd\tb\n"
    assert len(clean_text("x" * 40_000)) == 32_767


def test_sheet_titles_are_mended():
    book = openpyxl.Workbook()

    assert add_sheet(book, "a/b\\c:d*e?f[g]h").title == "a_b_c_d_e_f_g_h"
    assert len(add_sheet(book, "x" * 60).title) == 31
    assert add_sheet(book, "'quoted'").title == "quoted"


def test_a_hundred_thousand_rows_are_no_trouble(tmp_path):
    rows = [(f"=f{n}", n, n / 7, None) for n in range(100_000)]
    columns = (
        text_column("Name"),
        Column("Count (count)", "0"),
        Column("Size (µm)", "0.00"),
        text_column("Note"),
    )
    book = openpyxl.Workbook()
    sheet = add_table_sheet(book, Table("Features", columns, lambda: iter(rows)), len(rows))

    start = time.process_time()
    save_with_rows(book, tmp_path / "long.xlsx", {sheet.title: Block(2, rows)})
    seconds = time.process_time() - start

    assert seconds < 10  # openpyxl alone takes longer for the same cells
    back = openpyxl.load_workbook(tmp_path / "long.xlsx", read_only=True)["Features"]
    assert back.max_row == 100_001
    assert next(back.iter_rows(min_row=2, values_only=True)) == ("=f0", 0, 0, None)
    with zipfile.ZipFile(tmp_path / "long.xlsx") as archive:
        written = archive.read("xl/worksheets/sheet2.xml")
    assert written.count(b"<row ") == 100_001
    last = written[written.index(b'<row r="100001"') :]
    for part in (b"<t>=f99999</t>", b"<v>99999</v>", b"<v>14285.5714</v>"):
        assert part in last
    assert not list(tmp_path.glob("*.draft"))


def test_numbers_that_are_not_finite_leave_their_cells_empty(tmp_path):
    rows = [("a", float("nan")), ("b", float("inf")), ("c", 1.5)]
    book = openpyxl.Workbook()
    table = Table("T", (text_column("Name"), Column("Size (µm)", "0.00")), lambda: iter(rows))
    sheet = add_table_sheet(book, table, len(rows))

    save_with_rows(book, tmp_path / "t.xlsx", {sheet.title: Block(2, rows)})

    assert column(openpyxl.load_workbook(tmp_path / "t.xlsx")["T"], "Size (µm)") == [None, None, 1.5]


def test_every_part_of_the_file_is_well_formed(report):
    with zipfile.ZipFile(report[1]) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == len(set(names))
        for name in names:
            if name.endswith((".xml", ".rels")):
                ElementTree.fromstring(archive.read(name))


def test_the_report_is_written_whole_or_not_at_all(tmp_path):
    write_mask(tmp_path / "masks" / "f1.tif", squares(10), pixel_size_um=0.5)
    output = tmp_path / "report.xlsx"

    quantify(tmp_path / "masks", output=output)
    before = {path.name for path in tmp_path.iterdir()}
    quantify(tmp_path / "masks", output=output)

    assert {path.name for path in tmp_path.iterdir()} == before  # nothing temporary is left


def test_many_specimens_stay_on_the_page_and_are_all_in_the_table(tmp_path):
    for number in range(30):
        write_mask(tmp_path / "masks" / f"s{number:02}.tif", squares(8, (40, 40)), pixel_size_um=0.5)

    quantify(tmp_path / "masks", output=tmp_path / "report.xlsx", specimen="{}")

    book = openpyxl.load_workbook(tmp_path / "report.xlsx")
    assert any("10 more specimens" in text for text in texts(book["Summary"]))
    assert len(set(column(book["Specimens"], "Specimen"))) == 30
