from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from steelquant.errors import UsageError
from steelquant.micrograph.calibration import ScaleStatement, calibrate
from steelquant.micrograph.field import Calibration
from steelquant.micrograph.reading import page_count, read_micrograph

SCREEN = {"resolution": (72, 72), "resolutionunit": "INCH"}


@pytest.fixture
def scale(tmp_path: Path, grey: NDArray[np.uint8]) -> Any:
    """Write a TIFF with some tags and return the calibration that is read from it."""

    def write_and_read(**options: Any) -> Calibration:
        options.setdefault("photometric", "minisblack")
        tifffile.imwrite(tmp_path / "a.tif", grey, **options)
        return read_micrograph(tmp_path / "a.tif").calibration

    return write_and_read


def sis_file(path: Path, samples: NDArray[np.uint8], x_m: float, y_m: float, **options: Any) -> Path:
    """Write what Olympus Stream does: tag 33560 points to a structure that points to the general data."""
    placeholder = 0x7ABCDEF0
    tifffile.imwrite(path, samples, extratags=[(33560, "I", 1, placeholder, True)], **options)
    content = bytearray(path.read_bytes())
    at = len(content)
    content[(where := content.index(struct.pack("<I", placeholder))) : where + 4] = struct.pack("<I", at)
    exponent = -9
    general = struct.pack("<10xhdd8xd2x34s32s", exponent, x_m * 1e9, y_m * 1e9, 500.0, b"camera", b"picture")
    structure = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 1, 2, 3, 4, 100, b"name", 1)
    structure += struct.pack("<hhI", 1, 1, at + len(structure) + 8)
    path.write_bytes(bytes(content) + structure + general)
    return path


def zeiss_sem(size: str) -> tuple[int, str, int, str, bool]:
    text = f"\r\nAP_PIXEL_SIZE\r\nPixel Size = 999 nm\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {size}\r\n"
    return (34118, "s", 0, text, True)


def fei(width: float, height: float) -> tuple[int, str, int, str, bool]:
    return (34682, "s", 0, f"[Scan]\r\nPixelWidth={width}\r\nPixelHeight={height}\r\n", True)


def lsm(x_m: float, shape: tuple[int, ...]) -> tuple[int, str, int, bytes, bool]:
    record = np.zeros(1, np.dtype(tifffile.TIFF.CZ_LSMINFO))
    record["MagicNumber"], record["StructureSize"] = 67127628, record.itemsize
    record["DimensionX"], record["DimensionY"] = shape[1], shape[0]
    record["DimensionZ"] = record["DimensionChannels"] = record["DimensionTime"] = 1
    record["VoxelSizeX"] = record["VoxelSizeY"] = x_m
    data = record.tobytes()
    return (34412, "B", len(data), data, True)


def test_a_file_that_states_nothing(scale: Any) -> None:
    assert scale() == Calibration(None, "the file states no scale")


def test_olympus_with_the_72_dpi_that_olympus_writes_beside_it(
    tmp_path: Path, grey: NDArray[np.uint8]
) -> None:
    path = sis_file(tmp_path / "a.tif", grey, 0.345e-6, 0.345e-6, photometric="minisblack", **SCREEN)
    calibration = read_micrograph(path).calibration
    assert calibration.pixel_size_um == pytest.approx(0.345, rel=1e-12)
    assert calibration.source == "Olympus SIS tag 33560"
    assert calibration.warnings == ()


@pytest.mark.parametrize(("text", "expected"), [("34.5 nm", 0.0345), ("1.2 µm", 1.2), ("5100 pm", 0.0051)])
def test_zeiss_sem_takes_the_size_of_the_stored_pixel(scale: Any, text: str, expected: float) -> None:
    # Zeiss writes the tag's text in the Windows code page.
    code, _, _, value, once = zeiss_sem(text)
    data = value.encode("cp1252")
    calibration = scale(extratags=[(code, "B", len(data), data, once)])
    assert calibration.pixel_size_um == pytest.approx(expected)
    assert calibration.source == "Zeiss SEM tag 34118"


def test_fei(scale: Any) -> None:
    calibration = scale(extratags=[fei(2.5e-8, 2.5e-8)])
    assert calibration.pixel_size_um == pytest.approx(0.025)
    assert calibration.source == "FEI tag 34682"


def test_zeiss_lsm(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.lsm") as writer:
        writer.write(grey, photometric="minisblack", extratags=[lsm(0.42e-6, grey.shape)])
        writer.write(grey[::8, ::8], photometric="minisblack", subfiletype=1)
        writer.write(grey[::-1], photometric="minisblack")
        writer.write(grey[::-8, ::8], photometric="minisblack", subfiletype=1)
    assert page_count(tmp_path / "a.lsm") == 2
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.lsm", page=1).pixels[..., 0], grey[::-1])
    calibration = read_micrograph(tmp_path / "a.lsm").calibration
    assert calibration.pixel_size_um == pytest.approx(0.42)
    assert calibration.source == "Zeiss LSM tag 34412"


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [(0.25, None, 0.25), (250, "nm", 0.25), (0.00025, "mm", 0.25), (2500, "Å", 0.25), (0.25, "µm", 0.25)],
)
def test_ome_units(scale: Any, size: float, unit: str | None, expected: float) -> None:
    units = {} if unit is None else {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    calibration = scale(ome=True, metadata={"PhysicalSizeX": size, "PhysicalSizeY": size, **units})
    assert calibration.pixel_size_um == pytest.approx(expected)
    assert calibration.source == "OME PhysicalSizeX"


@pytest.mark.parametrize("unit", ["pixel", "reference frame"])
def test_ome_units_that_are_no_lengths(scale: Any, unit: str) -> None:
    metadata = {
        "PhysicalSizeX": 1.0,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": 1.0,
        "PhysicalSizeYUnit": unit,
    }
    assert scale(ome=True, metadata=metadata).pixel_size_um is None


def test_ome_xml_that_would_fill_the_memory_is_not_parsed(scale: Any) -> None:
    lol = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    xml = (
        f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY l0 "lol">{lol}]>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="83" SizeY="61" SizeC="1" SizeZ="1" '
        'SizeT="1" PhysicalSizeX="0.5"><Channel ID="Channel:0:0" Name="&l11;"/>'
        "<TiffData/></Pixels></Image></OME>"
    )
    assert scale(description=xml, metadata=None).pixel_size_um is None


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [("um", 4, 0.25), ("micron", 4, 0.25), ("\\u00B5m", 4, 0.25), ("nm", 0.02, 0.05), ("mm", 2000, 0.5)],
)
def test_imagej_units(scale: Any, unit: str, per_unit: float, expected: float) -> None:
    calibration = scale(imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    assert calibration.pixel_size_um == pytest.approx(expected, rel=1e-6)
    assert calibration.source == "ImageJ unit and XResolution"
    assert calibration.warnings == ()


def test_imagej_without_a_unit_of_length(scale: Any) -> None:
    assert scale(imagej=True, resolution=(4, 4), metadata={"unit": "pixel"}).pixel_size_um is None
    assert scale(imagej=True, metadata={"unit": "inch"}, **SCREEN).pixel_size_um is None


@pytest.mark.parametrize(("unit", "um"), [("CENTIMETER", 10_000), ("INCH", 25_400)])
def test_baseline_resolution(scale: Any, unit: str, um: float) -> None:
    density = um * 10_000, 2252  # as two whole numbers, which every tifffile writes as they are
    calibration = scale(resolution=(density, density), resolutionunit=unit)
    assert calibration.pixel_size_um == pytest.approx(0.2252, rel=1e-6)
    assert calibration.source == "TIFF XResolution"


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 200, 600, 1200])
@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER"])
def test_screen_and_print_densities_are_no_scale(scale: Any, dpi: int, unit: str) -> None:
    density = dpi if unit == "INCH" else dpi / 2.54
    calibration = scale(resolution=(density, density), resolutionunit=unit)
    assert calibration.pixel_size_um is None
    assert f"{dpi} dpi" in calibration.source
    assert calibration.warnings == ()


@pytest.mark.parametrize("unit", ["NONE", "INCH", "CENTIMETER"])
def test_one_pixel_per_unit_is_no_scale(scale: Any, unit: str) -> None:
    calibration = scale(resolution=(1, 1), resolutionunit=unit)
    assert calibration.pixel_size_um is None
    assert calibration.warnings == ()


def test_numbers_without_a_unit_are_no_scale(scale: Any) -> None:
    assert scale(resolution=(40_000, 40_000), resolutionunit="NONE").pixel_size_um is None


def test_the_more_trusted_source_wins_and_a_conflict_is_told(scale: Any) -> None:
    tags = {"extratags": [fei(2.5e-7, 2.5e-7)], "resolutionunit": "CENTIMETER"}
    agreeing = scale(**tags, resolution=(10_000 / 0.252, 10_000 / 0.252))
    assert agreeing.warnings == ()
    calibration = scale(**tags, resolution=(10_000 / 0.26, 10_000 / 0.26))
    assert calibration.pixel_size_um == pytest.approx(0.25)
    (warning,) = calibration.warnings
    assert "FEI tag 34682 gives 0.25" in warning
    assert "TIFF XResolution 0.26" in warning


def test_unequal_pixels_give_the_mean_that_keeps_areas(scale: Any) -> None:
    calibration = scale(extratags=[fei(2e-7, 8e-7)])
    assert calibration.pixel_size_um == pytest.approx(math.sqrt(0.2 * 0.8))
    assert "0.2 µm/px in x but 0.8 in y" in calibration.warnings[0]
    assert scale(extratags=[fei(2e-7, 2.01e-7)]).warnings == ()


@pytest.mark.parametrize("metres", [4.9e-9, 51e-6, 1.0])
def test_absurd_sizes_are_not_used_and_told(scale: Any, metres: float) -> None:
    calibration = scale(extratags=[fei(metres, metres)])
    assert calibration.pixel_size_um is None
    assert "outside the 0.005–50" in calibration.source
    assert "not used" in calibration.warnings[0]


def test_an_absurd_source_gives_way_to_the_next(scale: Any) -> None:
    calibration = scale(extratags=[fei(1.0, 1.0)], resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    assert calibration.pixel_size_um == pytest.approx(0.25)
    assert calibration.source == "TIFF XResolution"


def test_broken_vendor_tags_state_nothing(scale: Any) -> None:
    broken = [
        (34118, "s", 0, "AP_IMAGE_PIXEL_SIZE\r\nnonsense", True),
        (34682, "s", 0, "[Scan]\r\nPixelWidth=wide", True),
    ]
    assert scale(extratags=broken).pixel_size_um is None


def test_the_users_figure_wins_and_a_conflict_is_told() -> None:
    statement = ScaleStatement("OME PhysicalSizeX", 0.25, 0.25)
    assert calibrate([statement], 0.251) == Calibration(0.251, "command line")
    calibration = calibrate([statement], 0.3)
    assert calibration.pixel_size_um == 0.3
    assert "OME PhysicalSizeX 0.25" in calibration.warnings[0]
    assert "is it in µm" in calibrate([], 250.0).warnings[0]


@pytest.mark.parametrize("size", [0.0, -0.1, math.nan, math.inf])
def test_an_impossible_figure_of_the_user_is_a_wrong_command(size: float) -> None:
    with pytest.raises(UsageError, match="pixel size"):
        calibrate([], size)


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_other_formats_by_the_same_rule(tmp_path: Path, rgb: NDArray[np.uint8], ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    for dpi in (72, 96, 150, 300):
        Image.fromarray(rgb).save(path, dpi=(dpi, dpi))
        calibration = read_micrograph(path).calibration
        assert calibration.pixel_size_um is None
        assert f"{dpi} dpi" in calibration.source
    Image.fromarray(rgb).save(path, dpi=(50_800, 50_800))
    calibration = read_micrograph(path).calibration
    assert calibration.pixel_size_um == pytest.approx(0.5, rel=1e-4)
    assert calibration.warnings == ()


def test_resolution_in_exif(tmp_path: Path, rgb: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 20_000.0, 20_000.0, 3
    Image.fromarray(rgb).save(tmp_path / "a.jpg", exif=exif)
    calibration = read_micrograph(tmp_path / "a.jpg").calibration
    assert calibration.pixel_size_um == pytest.approx(0.5)
    assert calibration.source == "EXIF resolution"
