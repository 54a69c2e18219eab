"""Pixel sizes from a table: which row fits which file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.scale_table import given_scale, read_pixel_sizes, read_scale_table

TABLE = """path,pixel_size_um
lot 7,0.5
scans/50x,0.2
scans\\*\\20x,0.25
*_100x.tif,0.1
single,0.3
[odd],0.7
*,1.5
"""


def table(folder: Path, text: str = TABLE):
    path = folder / "scales.csv"
    path.write_text(text, encoding="utf-8")
    return read_scale_table(path)


@pytest.mark.parametrize(
    ("file", "size", "line"),
    [
        ("lot 7/a.tif", 0.5, 2),
        ("Lot 7/deeper/a.tif", 0.5, 2),  # any case, sub-folders too
        ("scans/50x/a.tif", 0.2, 3),
        ("elsewhere/50x/a.tif", 1.5, 8),
        ("scans/heat 9/20x/a.png", 0.25, 4),
        ("b/C15_100x.tif", 0.1, 5),
        ("b/C15_100x.png", 1.5, 8),
        ("b/single.bmp", 0.3, 6),  # without its ending
        ("[odd]/a.tif", 0.7, 7),
        ("o/a.tif", 1.5, 8),  # brackets are no pattern
    ],
)
def test_rows_fit_by_folder_file_and_pattern(tmp_path, file, size, line):
    found = table(tmp_path).find(tmp_path / file)

    assert found.pixel_size_um == size
    assert found.source.startswith(f"scales.csv, line {line} (")


def test_a_row_fits_a_mask_by_its_micrograph(tmp_path):
    found = table(tmp_path).find(tmp_path / "segmented" / "a.tif", Path("/data/lot 7/a.jpg"))

    assert found.pixel_size_um == 0.5


def test_rows_that_contradict_each_other_are_refused_and_those_that_agree_are_not(tmp_path):
    scales = table(tmp_path, "path;pixel_size_um\nlot 7;0,5\n*_50x;0,2\n*_x;0,5\n")  # as Excel saves it here

    assert scales.find(tmp_path / "lot 7" / "a_x.tif").pixel_size_um == 0.5
    with pytest.raises(FileError, match=r"a_50x\.tif: fits lines 2 .*0\.5.* and 3 .*0\.2"):
        scales.find(tmp_path / "lot 7" / "a_50x.tif")


def test_a_field_that_no_row_fits_keeps_its_own_scale_and_says_so(tmp_path):
    scales = table(tmp_path, "path,pixel_size_um\nlot 7,0.5\n")

    scale, remarks = given_scale(scales, tmp_path / "lot 8" / "a.tif")

    assert scale is None
    assert remarks == ["no row of scales.csv fits; the scale is what the file states"]


def test_one_number_is_for_all_fields():
    assert given_scale(read_pixel_sizes("0.2"), Path("a.tif")) == (0.2, [])
    assert given_scale(read_pixel_sizes(None), Path("a.tif")) == (None, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("path,size\na,0.2\n", "lacks the column pixel_size_um"),
        ("path,pixel_size_um\n", "names no path"),
        ("path,pixel_size_um\na,\n", "line 2: path and pixel_size_um must both be given"),
        ("path,pixel_size_um\n,0.2\n", "line 2"),
        ("path,pixel_size_um\na,0.2\nb,wide\n", "line 3: pixel_size_um is not a number: wide"),
        ("path,pixel_size_um\na,-0.2\n", "line 2: a pixel size of -0.2 µm is impossible"),
    ],
)
def test_tables_that_make_no_sense_are_refused_by_line(tmp_path, text, problem):
    with pytest.raises(FileError, match=problem):
        table(tmp_path, text)


@pytest.mark.parametrize("text", ["wide", "0,2", "-1", "0", "nan", "scales.txt"])
def test_what_is_neither_number_nor_table_is_refused(text):
    with pytest.raises(UsageError):
        read_pixel_sizes(text)
