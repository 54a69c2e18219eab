from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.exclusion import Exclusion, parse_rectangle
from steelquant.micrograph.masks import write_mask


def test_nothing_excluded_is_none() -> None:
    assert Exclusion().apply((10, 20)) is None


def test_strip_rectangles_and_mask_add_up(tmp_path: Path) -> None:
    marked = np.zeros((10, 20), np.uint8)
    marked[0, 0] = 3
    Image.fromarray(marked).save(tmp_path / "m.png")
    exclusion = Exclusion(
        crop_bottom_px=2, mask=tmp_path / "m.png", rectangles=((5, 1, 3, 2), (18, 4, 99, 1))
    )
    expected = np.zeros((10, 20), bool)
    expected[8:] = True
    expected[1:3, 5:8] = True
    expected[4, 18:] = True
    expected[0, 0] = True
    np.testing.assert_array_equal(exclusion.apply((10, 20, 3)), expected)


def test_masks_of_all_kinds_exclude_what_is_not_black(tmp_path: Path) -> None:
    expected = np.zeros((10, 20), bool)
    expected[2:5, 7:9] = True
    grey = expected.astype(np.uint8) * 255
    colour = np.zeros((10, 20, 3), np.uint8)
    colour[expected] = (0, 0, 9)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(expected).save(tmp_path / "bits.png")
    Image.fromarray(colour).save(tmp_path / "colour.png")
    palette = Image.fromarray(np.where(expected, 2, 5).astype(np.uint8))
    palette.putpalette([9, 9, 9] * 2 + [0, 0, 9] + [9, 9, 9] * 2 + [0, 0, 0])
    palette.save(tmp_path / "palette.png")
    tifffile.imwrite(tmp_path / "float.tif", expected.astype("f4"))
    for name in ("grey.png", "bits.png", "colour.png", "palette.png", "float.tif"):
        np.testing.assert_array_equal(Exclusion(mask=tmp_path / name).apply((10, 20)), expected, err_msg=name)


def test_a_changed_mask_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    marked = np.zeros((10, 20), np.uint8)
    marked[0] = 1
    Image.fromarray(marked).save(path)
    first = Exclusion(mask=path).apply((10, 20))
    Image.fromarray(marked[::-1]).save(path)
    os.utime(path, ns=(1, 1))
    second = Exclusion(mask=path).apply((10, 20))
    assert first is not None
    np.testing.assert_array_equal(second, first[::-1])


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(FileError, match=r"m\.png: .*20x10 px but the field 30x10 px"):
        Exclusion(mask=tmp_path / "m.png").apply((10, 30))


def test_a_phase_mask_is_no_exclusion_mask(tmp_path: Path) -> None:
    write_mask(tmp_path / "m.tif", np.ones((10, 20), np.uint8), pixel_size_um=None)
    with pytest.raises(FileError, match="phase mask"):
        Exclusion(mask=tmp_path / "m.tif").apply((10, 20))


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"m\.png.*no such file"):
        Exclusion(mask=tmp_path / "m.png").apply((10, 20))


@pytest.mark.parametrize(
    "exclusion",
    [
        Exclusion(crop_bottom_px=10),
        Exclusion(rectangles=((20, 0, 5, 5),)),
        Exclusion(rectangles=((0, 0, 20, 10),)),
    ],
)
def test_what_leaves_nothing_or_misses_the_field_is_refused(exclusion: Exclusion) -> None:
    with pytest.raises(UsageError):
        exclusion.apply((10, 20))


def test_impossible_exclusions_are_wrong_commands() -> None:
    with pytest.raises(UsageError):
        Exclusion(crop_bottom_px=-1)
    for rectangle in ((-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 5, -5)):
        with pytest.raises(UsageError):
            Exclusion(rectangles=(rectangle,))


def test_rectangles_in_words() -> None:
    assert parse_rectangle("1, 2,30,40") == (1, 2, 30, 40)
    for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "-1,2,3,4", "1,2,0,4"):
        with pytest.raises(UsageError):
            parse_rectangle(text)
