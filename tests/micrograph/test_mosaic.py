"""Very large fields in bands, against the same files read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from steelquant.errors import FileError, UsageError
from steelquant.micrograph import bands, mosaic
from steelquant.micrograph.excluded_rows import ExcludedRows
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.masks import write_mask
from steelquant.micrograph.mosaic import open_mosaic
from steelquant.micrograph.reading import read_micrograph

Array = NDArray[Any]

LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "big": {"bigtiff": True},
    "big endian": {"byteorder": ">", "rowsperstrip": 11},
    "tiles": {"tile": (32, 48)},
    "lzw": {"compression": "lzw", "predictor": True, "rowsperstrip": 5},
    "one deflated strip": {"compression": "zlib"},
    "deflated tiles": {"compression": "zlib", "tile": (16, 16), "predictor": True, "byteorder": ">"},
    "packbits": {"compression": "packbits", "rowsperstrip": 3},
    "ome": {"ome": True, "tile": (16, 32), "compression": "zlib"},
}


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "STREAMED_FROM_PX", 100)
    monkeypatch.setattr(bands, "_BAND_BYTES", 2000)


def check(path: Path, *, page: int = 0) -> int:
    """Compare with the file read whole; return the number of bands."""
    whole, field = read_micrograph(path, page=page), open_mosaic(path, page)
    assert field is not None
    parts = list(field.bands())
    pixels = np.concatenate([part.pixels for part in parts])
    np.testing.assert_array_equal(pixels, whole.pixels)
    assert (field.height_px, field.width_px) == pixels.shape[:2]
    assert field.calibration == whole.calibration
    assert field.warnings == whole.warnings
    if whole.excluded is None:
        assert all(part.transparent is None for part in parts)
    else:
        np.testing.assert_array_equal(np.concatenate([part.transparent for part in parts]), whole.excluded)
    return len(parts)


@pytest.mark.parametrize("options", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("kind", ["grey", "rgb", "16 bit", "planes", "float"])
def test_bands_join_to_what_is_read_whole(
    tmp_path: Path, grey: Array, rgb: Array, options: dict[str, Any], kind: str
) -> None:
    samples = {
        "grey": grey,
        "rgb": rgb,
        "16 bit": grey.astype(np.uint16) * 13,
        "planes": np.moveaxis(rgb, -1, 0),
        "float": grey.astype(np.float32) / 250,
    }[kind]
    options = {"photometric": "rgb" if kind in ("rgb", "planes") else "minisblack", **options}
    if kind == "planes":
        options["planarconfig"] = "separate"
    if kind == "float" and "predictor" in options:
        options["predictor"] = False
    resolution = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "field.tif", samples, **options, **resolution)
    count = check(tmp_path / "field.tif")
    is_one_piece = options.get("compression") == "zlib" and "tile" not in options
    assert (count == 1) == is_one_piece


def test_jpeg_palettes_pages_and_transparency(tmp_path: Path, grey: Array, rgb: Array) -> None:
    tifffile.imwrite(tmp_path / "jpeg.tif", rgb, photometric="rgb", compression="jpeg", tile=(16, 32))
    assert check(tmp_path / "jpeg.tif") > 1
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", grey, photometric="palette", colormap=colours, rowsperstrip=8)
    assert check(tmp_path / "palette.tif") > 1
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([grey, grey[::-1]]), photometric="minisblack")
    assert check(tmp_path / "pages.tif", page=1) > 1
    tifffile.imwrite(tmp_path / "white.tif", grey, photometric="miniswhite", rowsperstrip=9)
    assert check(tmp_path / "white.tif") > 1
    tifffile.imwrite(
        tmp_path / "channels.tif", np.moveaxis(rgb, -1, 0), imagej=True, metadata={"axes": "CYX"}
    )
    assert check(tmp_path / "channels.tif") > 1
    for name, alpha in (("partly", np.where(grey > 60, 255, 0)), ("nowhere", grey * 0), ("all", grey | 1)):
        samples = np.dstack([rgb, alpha.astype(np.uint8)])
        tifffile.imwrite(
            tmp_path / f"{name}.tif", samples, photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=4
        )
        assert check(tmp_path / f"{name}.tif") > 1


def test_a_dark_16_bit_field_is_told_of_as_a_whole(tmp_path: Path) -> None:
    """Its one bright pixel, far below the first bands, decides how all are scaled."""
    samples = np.random.default_rng(0).integers(200, 2000, (400, 300), np.uint16)
    samples[395, 7] = 60_000
    tifffile.imwrite(tmp_path / "dark.tif", samples, photometric="minisblack", rowsperstrip=10)
    field = open_mosaic(tmp_path / "dark.tif")
    assert field is not None
    assert field.warnings == read_micrograph(tmp_path / "dark.tif").warnings
    assert len(field.warnings) == 2
    assert max(int(band.pixels.max()) for band in field.bands()) == 233


def test_smaller_fields_other_formats_and_turned_ones_are_read_whole(tmp_path: Path, rgb: Array) -> None:
    tifffile.imwrite(tmp_path / "small.tif", rgb[:10, :10], photometric="rgb")
    tifffile.imwrite(
        tmp_path / "turned.tif", rgb, photometric="rgb", extratags=[(274, "H", 1, 6, True)], rowsperstrip=4
    )
    cv2.imwrite(str(tmp_path / "field.png"), rgb)
    assert [open_mosaic(tmp_path / name) for name in ("small.tif", "turned.tif", "field.png")] == [None] * 3


def test_what_no_field_can_be_is_refused(tmp_path: Path, rgb: Array, labels: Array) -> None:
    write_mask(tmp_path / "mask.tif", labels, pixel_size_um=0.2)
    with pytest.raises(FileError, match="is a result of steelquant"):
        open_mosaic(tmp_path / "mask.tif")
    tifffile.imwrite(tmp_path / "cut.tif", rgb, photometric="rgb", compression="lzw", rowsperstrip=4)
    content = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[:-200])
    with pytest.raises(FileError, match="cut off"):
        open_mosaic(tmp_path / "cut.tif")
    nan = np.full((61, 83), 0.5, np.float32)
    nan[60, 80] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", nan, photometric="minisblack", rowsperstrip=4)
    with pytest.raises(FileError, match="not a number"):
        open_mosaic(tmp_path / "nan.tif")
    damaged = bytearray(content)
    damaged[len(damaged) // 2 : len(damaged) // 2 + 400] = b"\xff" * 400
    (tmp_path / "damaged.tif").write_bytes(damaged)
    with pytest.raises(FileError, match="damaged"):
        list(open_mosaic(tmp_path / "damaged.tif").bands())


@pytest.mark.parametrize("ending", ["tif", "png"])
def test_an_exclusion_by_rows_is_the_exclusion_of_the_whole(tmp_path: Path, grey: Array, ending: str) -> None:
    path = tmp_path / f"mask.{ending}"
    cv2.imwrite(str(path), np.where(grey > 200, grey, 0))
    exclusion = Exclusion(9, path, ((3, 50, 20, 30), (70, 2, 90, 5)))
    whole = exclusion.apply(grey.shape)
    rows = ExcludedRows(exclusion, *grey.shape)
    parts = [rows.read(first, min(first + 13, 61)) for first in range(0, 61, 13)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    with pytest.raises(FileError, match="83x61"):
        ExcludedRows(exclusion, 62, 83)
    with pytest.raises(UsageError, match="outside"):
        ExcludedRows(Exclusion(rectangles=((90, 0, 5, 5),)), *grey.shape)
