"""Label and probability TIFFs written row by row, read back by others."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from steelquant.errors import FileError
from steelquant.micrograph.masks import (
    mask_pyramid,
    probability_pyramid,
    read_mask,
    read_probability,
    write_mask,
)
from steelquant.micrograph.naming import is_own_output
from steelquant.micrograph.overview import Overview
from steelquant.micrograph.reading import read_micrograph
from steelquant.micrograph.reduction import RowReducer

SHAPE = (1301, 2777)


@pytest.fixture(scope="module")
def field() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 2, (200, 400), np.uint8)
    labels = np.kron(coarse, np.ones((7, 7), np.uint8))[: SHAPE[0], : SHAPE[1]].copy()
    labels[-33:] = 255
    return labels, cv2.GaussianBlur(labels % 255 * 255, (9, 9), 0)


def write(folder: Path, labels: np.ndarray, probability: np.ndarray) -> None:
    size = labels.shape
    with (
        mask_pyramid(folder / "a.tif", *size, pixel_size_um=0.25) as mask,
        probability_pyramid(folder / "a.probability.tif", *size, pixel_size_um=0.25) as shares,
    ):
        for top in range(0, size[0], 170):
            mask.add(labels[top : top + 170])
            shares.add(probability[top : top + 170])
        assert list(folder.glob("a*")) == []
        mask.finish()
        shares.finish()


def test_they_are_read_back_like_any_other(tmp_path, field):
    labels, probability = field
    write(tmp_path, labels, probability)
    mask = read_mask(tmp_path / "a.tif")
    np.testing.assert_array_equal(mask.labels, labels)
    assert mask.calibration.pixel_size_um == 0.25
    np.testing.assert_array_equal(read_probability(tmp_path / "a.probability.tif"), probability)
    write_mask(tmp_path / "b.tif", labels, pixel_size_um=0.25)
    with tifffile.TiffFile(tmp_path / "a.tif") as ours, tifffile.TiffFile(tmp_path / "b.tif") as plain:
        for code in (270, 282, 283, 296, 305):
            assert ours.pages.first.tags.valueof(code) == plain.pages.first.tags.valueof(code)
        np.testing.assert_array_equal(ours.pages.first.colormap, plain.pages.first.colormap)
    (tmp_path / "c.tif").write_bytes((tmp_path / "a.probability.tif").read_bytes())
    assert is_own_output(tmp_path / "a.tif")
    assert is_own_output(tmp_path / "c.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.probability.tif",
        "a.tif",
        "b.tif",
        "c.tif",
    ]


def test_reduced_pictures_stand_in_subifds_as_viewers_expect(tmp_path, field):
    labels, probability = field
    write(tmp_path, labels, probability)
    for name, whole in (("a.tif", labels), ("a.probability.tif", probability)):
        with tifffile.TiffFile(tmp_path / name) as tiff:
            assert tiff.is_bigtiff
            assert len(tiff.pages) == len(tiff.series) == 1
            page = tiff.pages.first
            assert (page.tilelength, page.tilewidth, int(page.compression)) == (512, 512, 8)
            levels = tiff.series[0].levels
            assert [level.shape for level in levels] == [(1301, 2777), (650, 1388), (325, 694)]
            assert not page.is_reduced
            for before, level in itertools.pairwise(levels):
                assert level.keyframe.is_reduced
                assert level.keyframe.photometric == page.photometric
                larger, smaller = before.asarray(), level.asarray()
                blocks = larger[: 2 * level.shape[0], : 2 * level.shape[1]].reshape(
                    level.shape[0], 2, level.shape[1], 2
                )
                if whole is labels:
                    np.testing.assert_array_equal(smaller, blocks[:, 1, :, 1])
                else:
                    np.testing.assert_allclose(smaller, blocks.mean(axis=(1, 3)), atol=0.5)


def test_pillow_reads_the_tiles_too(tmp_path, field):
    from PIL import Image

    write(tmp_path, *field)
    with Image.open(tmp_path / "a.tif") as image:
        np.testing.assert_array_equal(np.asarray(image), field[0])


def test_a_small_picture_has_no_smaller_ones(tmp_path):
    with mask_pyramid(tmp_path / "a.tif", 3, 2000, pixel_size_um=None) as mask:
        mask.add(np.ones((3, 2000), np.uint8))
        mask.finish()
    with mask_pyramid(tmp_path / "b.tif", 700, 90, pixel_size_um=None) as mask:
        mask.add(np.ones((700, 90), np.uint8))
        mask.finish()
    assert read_mask(tmp_path / "a.tif").labels.all()
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert len(tiff.series[0].levels) == 1


def test_nothing_is_left_where_it_is_given_up(tmp_path):
    def give_up() -> None:
        with mask_pyramid(tmp_path / "a.tif", 3000, 2000, pixel_size_um=0.2) as mask:
            mask.add(np.zeros((600, 2000), np.uint8))
            raise RuntimeError("given up")

    with pytest.raises(RuntimeError):
        give_up()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError, match="cannot be written"):
        mask_pyramid(tmp_path / "file" / "a.tif", 30, 20, pixel_size_um=0.2)


@pytest.mark.parametrize("factor", [1, 2, 5])
@pytest.mark.parametrize("rows", [1, 4, 7, 100])
def test_rows_are_reduced_as_the_whole_is(factor, rows):
    pixels = np.random.default_rng(0).integers(0, 256, (53, 38, 3), np.uint8)
    height, width = 53 // factor, 38 // factor
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    for mean, expected in ((True, blocks.mean(axis=(1, 3))), (False, blocks[:, factor // 2, :, factor // 2])):
        reducer = RowReducer(53, 38, factor, mean=mean)
        parts = [reducer.add(pixels[top : top + rows]) for top in range(0, 53, rows)]
        np.testing.assert_allclose(np.concatenate(parts), expected, atol=0.5 + 1e-9)


@pytest.mark.parametrize("empty", [(0, 0), (40, 0), (0, 3), (70, 30), (300, 0)])
def test_an_overview_tells_of_empty_edges_as_the_reader_does(tmp_path, empty):
    pixels = np.random.default_rng(1).integers(0, 256, (300, 90, 3), np.uint8)
    pixels[: empty[0]] = (9, 0, 9)
    pixels[300 - empty[1] :] = 200
    tifffile.imwrite(tmp_path / "field.tif", pixels, photometric="rgb")
    overview = Overview(300, 90)
    for top in range(0, 300, 37):
        overview.add(pixels[top : top + 37])
    assert tuple(overview.edge_remarks()) == read_micrograph(tmp_path / "field.tif").warnings
    np.testing.assert_array_equal(overview.mean(), pixels)
    np.testing.assert_array_equal(overview.sample(), pixels)
