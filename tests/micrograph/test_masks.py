from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from steelquant.errors import FileError
from steelquant.micrograph.field import STEEL_CLASSES, PhaseClass
from steelquant.micrograph.masks import read_mask, read_probability, write_mask, write_probability

Labels = NDArray[np.uint8]
THREE = (*STEEL_CLASSES, PhaseClass(2, "bainite & <co>", (213, 94, 0)))


@pytest.mark.parametrize("size", [0.25, 0.2252, 1 / 3, 12.5, None])
def test_what_is_written_is_read(tmp_path: Path, labels: Labels, size: float | None) -> None:
    path = tmp_path / "a.tif"
    write_mask(path, labels, pixel_size_um=size)
    mask = read_mask(path)
    np.testing.assert_array_equal(mask.labels, labels)
    assert mask.calibration.pixel_size_um == size
    assert mask.calibration.warnings == ()
    assert mask.classes == STEEL_CLASSES


def test_other_programs_see_labels_colours_and_scale(tmp_path: Path, labels: Labels) -> None:
    write_mask(tmp_path / "a.tif", labels, pixel_size_um=0.2252)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        page = tiff.pages.first
        np.testing.assert_array_equal(tiff.asarray(), labels)
        assert page.photometric.name == "PALETTE"
        assert page.compression.name == "ADOBE_DEFLATE"
        assert page.dtype == np.uint8
        numerator, denominator = page.tags[282].value
        assert page.tags[282].value == page.tags[283].value
        assert page.tags[296].value == 3  # centimetre: Fiji and QuPath turn it into µm
        assert 10_000 / (numerator / denominator) == pytest.approx(0.2252, rel=1e-7)
        assert tiff.is_ome
        ome = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        assert ome["PhysicalSizeX"] == ome["PhysicalSizeY"] == 0.2252
        assert "PhysicalSizeXUnit" not in ome  # µm is OME's default
        assert (ome["SizeX"], ome["SizeY"]) == (83, 61)
    with Image.open(tmp_path / "a.tif") as image:
        drawn = np.asarray(image.convert("RGB"))
    for item in STEEL_CLASSES:
        assert (drawn[labels == item.label] == item.colour).all()
    assert (drawn[labels == 255] == 128).all()


def test_without_a_scale_none_is_stated(tmp_path: Path, labels: Labels) -> None:
    write_mask(tmp_path / "a.tif", labels, pixel_size_um=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages.first.tags[296].value == 1
        assert "PhysicalSize" not in (tiff.ome_metadata or "")
    assert read_mask(tmp_path / "a.tif").calibration.source == "the file states no scale"


def test_equal_labels_give_equal_bytes(tmp_path: Path, labels: Labels) -> None:
    for name in ("a.tif", "b.tif"):
        write_mask(tmp_path / name, labels.copy(), pixel_size_um=0.5)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_own_masks_carry_their_classes(tmp_path: Path, labels: Labels) -> None:
    labels = labels.copy()
    labels[0, 0] = 2
    write_mask(tmp_path / "a.tif", labels, pixel_size_um=None, classes=THREE)
    mask = read_mask(tmp_path / "a.tif")
    assert mask.classes == THREE
    np.testing.assert_array_equal(mask.labels, labels)


@pytest.mark.parametrize("values", [(0, 255), (255,), (0,), (1, 255)])
def test_255_of_an_own_mask_is_excluded_whatever_else_it_holds(
    tmp_path: Path, values: tuple[int, ...]
) -> None:
    labels = np.resize(np.array(values, np.uint8), (20, 21))
    write_mask(tmp_path / "a.tif", labels, pixel_size_um=None)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").labels, labels)


def test_labels_without_a_class_are_a_bug_and_not_written(tmp_path: Path, labels: Labels) -> None:
    with pytest.raises(ValueError, match="do not name"):
        write_mask(tmp_path / "a.tif", labels + 2, pixel_size_um=None)
    assert not list(tmp_path.iterdir())


def test_the_users_scale_wins(tmp_path: Path, labels: Labels) -> None:
    write_mask(tmp_path / "a.tif", labels, pixel_size_um=0.5)
    calibration = read_mask(tmp_path / "a.tif", pixel_size_um=0.7).calibration
    assert (calibration.pixel_size_um, calibration.source) == (0.7, "command line")
    assert calibration.warnings


PEARLITE = np.zeros((20, 30), np.uint8)
PEARLITE[3:9, 5:20] = 1
INVERTED_RAMP = np.arange(255, -1, -1, dtype=np.uint16)[None].repeat(3, 0) * 257


def save_png(
    path: Path, samples: NDArray[Any], mode: str | None = None, palette: list[int] | None = None
) -> None:
    image = Image.fromarray(samples)
    if palette is not None:
        image = Image.fromarray(samples, "P") if mode == "P" else image
        image.putpalette(palette)
    image.save(path)


def binary_files(folder: Path) -> list[Path]:
    """Write the same two phases as programs of all kinds would."""
    colours = np.array([item.colour for item in STEEL_CLASSES], np.uint8)
    inverted_png = [value for grey in range(255, -1, -1) for value in (grey, grey, grey)]
    voc = [0, 0, 0, 128, 0, 0, 0, 128, 0]
    rgb_of_256 = np.repeat((PEARLITE * 255)[..., None], 3, axis=2)
    Image.fromarray(PEARLITE).save(folder / "labels.png")
    Image.fromarray(PEARLITE * 255).save(folder / "binary.png")
    Image.fromarray(PEARLITE.astype(bool)).save(folder / "bits.png")
    Image.fromarray(PEARLITE * 255).save(folder / "binary.bmp")
    Image.fromarray(colours[PEARLITE]).save(folder / "colours.png")
    Image.fromarray(rgb_of_256).save(folder / "grey as rgb.png")
    Image.fromarray(np.dstack([rgb_of_256, np.full_like(PEARLITE, 255)])).save(folder / "opaque.png")
    save_png(folder / "voc.png", PEARLITE, "P", voc)
    save_png(folder / "class palette.png", 1 - PEARLITE, "P", colours[::-1].ravel().tolist())
    save_png(folder / "black and white.png", PEARLITE, "P", [0, 0, 0, 255, 255, 255])
    save_png(folder / "imagej inverted.png", PEARLITE * 255, "P", inverted_png)
    tifffile.imwrite(folder / "labels.tif", PEARLITE)
    tifffile.imwrite(folder / "binary.tif", PEARLITE * 255, compression="lzw")
    tifffile.imwrite(folder / "labels16.tif", PEARLITE.astype(np.uint16))
    tifffile.imwrite(folder / "labels float.tif", PEARLITE.astype(np.float32))
    tifffile.imwrite(folder / "bits.tif", PEARLITE.astype(bool))
    tifffile.imwrite(folder / "imagej.tif", PEARLITE * 255, imagej=True)
    description = "ImageJ=1.54f\nmin=0.0\nmax=255.0\n"
    tifffile.imwrite(
        folder / "imagej inverted.tif",
        PEARLITE * 255,
        photometric="miniswhite",
        description=description,
        metadata=None,
    )
    tifffile.imwrite(
        folder / "imagej inverted palette.tif", PEARLITE * 255, photometric="palette", colormap=INVERTED_RAMP
    )
    tifffile.imwrite(folder / "colours.tif", colours[PEARLITE], photometric="rgb")
    return sorted(folder.iterdir())


def test_masks_from_elsewhere_all_mean_the_same(tmp_path: Path) -> None:
    files = binary_files(tmp_path)
    assert len(files) == 20
    for path in files:
        np.testing.assert_array_equal(read_mask(path).labels, PEARLITE, err_msg=path.name)


def test_reading_two_values_as_phases_is_said(tmp_path: Path) -> None:
    noted = {path.name for path in binary_files(tmp_path) if read_mask(path).notes}
    binary = {"binary.png", "binary.bmp", "binary.tif", "grey as rgb.png", "opaque.png", "imagej.tif"}
    inverted = {"imagej inverted.png", "imagej inverted.tif", "imagej inverted palette.tif"}
    assert noted == binary | inverted


def test_255_beside_labels_is_excluded(tmp_path: Path) -> None:
    for present in ((0, 1, 255), (1, 255)):
        labels = np.resize(np.array(present, np.uint8), (20, 31))
        Image.fromarray(labels).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png").labels, labels)


def test_the_grey_of_excluded_pixels_is_read_in_colour(tmp_path: Path) -> None:
    colours = np.array([item.colour for item in STEEL_CLASSES], np.uint8)[PEARLITE]
    colours[-3:] = 128
    Image.fromarray(colours).save(tmp_path / "a.png")
    expected = PEARLITE.copy()
    expected[-3:] = 255
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png").labels, expected)


def test_a_class_table_of_the_user(tmp_path: Path) -> None:
    classes = (PhaseClass(0, "ferrite", (255, 255, 255)), PhaseClass(1, "pearlite", (0, 0, 0)), THREE[2])
    labels = np.resize(np.array([0, 1, 2], np.uint8), (20, 31))
    Image.fromarray(np.array([item.colour for item in classes], np.uint8)[labels]).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png", classes=classes)
    np.testing.assert_array_equal(mask.labels, labels)
    assert mask.classes == classes
    black_on_white = np.where(PEARLITE[..., None] == 1, 0, 255).astype(np.uint8).repeat(3, 2)
    Image.fromarray(black_on_white).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png", classes=classes).labels, PEARLITE)


def refuse(path: Path, words: str, **options: Any) -> None:
    with pytest.raises(FileError, match=words) as caught:
        read_mask(path, **options)
    assert "\n" not in str(caught.value)


def test_values_that_are_no_labels_are_listed(tmp_path: Path) -> None:
    Image.fromarray(np.resize(np.array([0, 85, 170, 255], np.uint8), (9, 9))).save(tmp_path / "a.png")
    refuse(tmp_path / "a.png", "unknown labels 85, 170; known are 0 ferrite, 1 pearlite, 255 excluded")
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "b.png")
    refuse(tmp_path / "b.png", "and 245 more")
    red = np.zeros((9, 9, 3), np.uint8)
    red[2:4] = (255, 0, 0)
    Image.fromarray(red).save(tmp_path / "c.png")
    refuse(
        tmp_path / "c.png", "#000000, #ff0000; known are #f0e442 ferrite, #0072b2 pearlite, #808080 excluded"
    )


def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "full.png")
    refuse(tmp_path / "full.png", "all pearlite or all excluded")
    Image.fromarray(PEARLITE * 255).save(tmp_path / "binary.png")
    refuse(tmp_path / "binary.png", "more than two classes", classes=THREE)
    save_png(tmp_path / "flipped.png", PEARLITE, "P", [255, 255, 255, 0, 0, 0])
    refuse(tmp_path / "flipped.png", "draws its values 0, 1 as grey 255, 0")
    save_png(tmp_path / "white.png", np.zeros_like(PEARLITE), "P", [255, 255, 255, 0, 0, 0])
    refuse(tmp_path / "white.png", "draws its values 0 as grey 255")
    tifffile.imwrite(tmp_path / "white is zero.tif", PEARLITE * 255, photometric="miniswhite", metadata=None)
    refuse(tmp_path / "white is zero.tif", "white as zero")
    Image.fromarray(np.dstack([PEARLITE * 255] * 3 + [PEARLITE * 255])).save(tmp_path / "clear.png")
    refuse(tmp_path / "clear.png", "transparent")


def test_what_cannot_be_a_mask_is_refused(tmp_path: Path, rgb: Labels, grey: Labels) -> None:
    Image.fromarray(PEARLITE * 255).save(tmp_path / "a.jpg")
    refuse(tmp_path / "a.jpg", "with loss")
    tifffile.imwrite(tmp_path / "half.tif", PEARLITE + np.float32(0.5))
    refuse(tmp_path / "half.tif", "no whole numbers")
    tifffile.imwrite(tmp_path / "nan.tif", np.where(PEARLITE == 1, np.nan, 0).astype("f4"))
    refuse(tmp_path / "nan.tif", "no whole numbers")
    tifffile.imwrite(tmp_path / "negative.tif", -PEARLITE.astype(np.int16))
    refuse(tmp_path / "negative.tif", "unknown labels -1")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([PEARLITE] * 2), photometric="minisblack")
    refuse(tmp_path / "stack.tif", "several pages")
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "cmyk.tif")
    refuse(tmp_path / "cmyk.tif", "CMYK")
    write_probability(tmp_path / "a.probability.tif", grey, pixel_size_um=None)
    refuse(tmp_path / "a.probability.tif", "probability")


def test_probabilities(tmp_path: Path, grey: Labels) -> None:
    path = tmp_path / "a.probability.tif"
    write_probability(path, grey, pixel_size_um=0.25)
    np.testing.assert_array_equal(read_probability(path), grey)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.photometric.name == "MINISBLACK"
        assert tiff.pages.first.tags[282].value == (40_000, 1)
        np.testing.assert_array_equal(tiff.asarray(), grey)
    tifffile.imwrite(tmp_path / "b.tif", grey)
    with pytest.raises(FileError, match="no probability picture"):
        read_probability(tmp_path / "b.tif")


DATA = Path(__file__).resolve().parents[3] / "shared/data/lom_ferrite_pearlite/masks"


@pytest.mark.skipif(not DATA.exists(), reason="the real masks are not here")
def test_real_hand_drawn_masks() -> None:
    for path in sorted(DATA.iterdir()):
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_mask(path).labels, np.asarray(image))
