"""Crops and splits: the paper's numbers, and that nothing leaks across a split by image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from steelquant.errors import FileError, UsageError
from steelquant.learning.dataset import SIDES
from steelquant.learning.labelled import labelled_folder, read_labelled
from steelquant.learning.prepare import apportion, crop_origins, image_group, prepare, split_crops


def make_set(root: Path, names: list[str], size: tuple[int, int] = (64, 96)) -> Path:
    random = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for name in names:
        Image.fromarray(random.integers(0, 256, (*size, 3)).astype(np.uint8)).save(
            root / "images" / f"{name}.png"
        )
        Image.fromarray(random.integers(0, 2, size).astype(np.uint8)).save(root / "masks" / f"{name}.png")
    return root


def test_a_field_of_the_paper_gives_54_crops_from_the_upper_left_corner() -> None:
    origins = crop_origins(1542, 2080, 224)

    assert len(origins) == 54
    assert max(y for y, _ in origins) == 5 * 224
    assert max(x for _, x in origins) == 8 * 224
    assert origins[:2] == [(0, 0), (0, 224)]


def test_the_papers_34_fields_give_its_7344_crops_and_its_random_split() -> None:
    places = [crop_origins(1542, 2080, 224)] * 34

    sides = split_crops(places, [str(n) for n in range(34)], split="random", seed=0)

    assert [len(sides[side]) for side in SIDES] == [5141, 1469, 734]
    assert len(set().union(*sides.values())) == 7344
    # It is the optimistic split: practically every image stands on every side.
    assert all(len({crop.image for crop in sides[side]}) == 34 for side in SIDES)


def test_split_by_image_shares_out_the_papers_fields_without_overlap() -> None:
    places = [crop_origins(1542, 2080, 224)] * 34

    sides = split_crops(places, [str(n) for n in range(34)], split="by-image", seed=0)

    images = [{crop.image for crop in sides[side]} for side in SIDES]
    assert [len(s) for s in images] == [24, 7, 3]
    assert sum(len(sides[side]) for side in SIDES) == 7344
    assert set(Counter(c.quarter_turns for c in sides["test"]).values()) == {3 * 54}


@settings(max_examples=60, deadline=None)
@given(
    crops=st.lists(st.integers(1, 12), min_size=3, max_size=25),
    groups=st.integers(3, 8),
    seed=st.integers(0, 99),
)
def test_no_group_ever_stands_on_two_sides(crops: list[int], groups: int, seed: int) -> None:
    names = [f"g{n % groups}" for n in range(len(crops))]
    places = [[(0, 32 * n) for n in range(count)] for count in crops]

    sides = split_crops(places, names, split="by-image", seed=seed)

    found = [{names[crop.image] for crop in sides[side]} for side in SIDES]
    assert all(found)
    assert sum(map(len, found)) == len(set(names))
    assert sum(len(sides[side]) for side in SIDES) == 4 * sum(crops)


def test_the_seed_decides_the_split() -> None:
    places, groups = [crop_origins(64, 96, 32)] * 10, [str(n) for n in range(10)]
    for split in ("by-image", "random"):
        first, same, other = (split_crops(places, groups, split=split, seed=s) for s in (3, 3, 4))
        assert first == same != other


@given(total=st.integers(0, 10_000))
def test_apportion_shares_out_everything(total: int) -> None:
    counts = apportion(total, (70, 20, 10))

    assert sum(counts) == total
    assert all(abs(c - total * f / 100) < 1 for c, f in zip(counts, (70, 20, 10), strict=True))


def test_group_is_what_the_pattern_finds() -> None:
    assert image_group(Path("C45_a_03.tif"), None) == "C45_a_03"
    assert image_group(Path("C45_a_03.tif"), r"^(.+)_\d+$") == "C45_a"
    assert image_group(Path("C45_a_03.tif"), r"C\d+") == "C45"
    with pytest.raises(UsageError, match=r"finds nothing in the name of x\.tif"):
        image_group(Path("x.tif"), r"\d")
    with pytest.raises(UsageError, match="no regular expression"):
        image_group(Path("x.tif"), "(")


def test_fields_of_one_specimen_stay_together(tmp_path: Path) -> None:
    root = make_set(tmp_path / "s", [f"s{s}_{n}" for s in range(4) for n in range(3)])

    dataset = prepare(root / "images", root / "masks", tmp_path / "d", group=r"^s\d", crop_px=32).dataset

    sides = [{dataset.images[n].group for n in dataset.images_on(side)} for side in SIDES]
    assert sum(map(len, sides)) == 4
    assert set().union(*sides) == {"s0", "s1", "s2", "s3"}


def test_two_images_cannot_be_split_by_image(tmp_path: Path) -> None:
    root = make_set(tmp_path / "s", ["a", "b"])

    with pytest.raises(UsageError, match="at least 3 images"):
        prepare(root / "images", root / "masks", tmp_path / "d", crop_px=32)
    random = prepare(root / "images", root / "masks", tmp_path / "d", crop_px=32, split="random").dataset
    without_test = prepare(
        root / "images", root / "masks", tmp_path / "e", crop_px=32, fractions=(50, 50, 0)
    ).dataset
    assert [len(random.crops[side]) for side in SIDES] == [34, 9, 5]
    assert [len(without_test.crops[side]) for side in SIDES] == [24, 24, 0]


def test_crops_without_a_label_are_left_out(tmp_path: Path) -> None:
    root = make_set(tmp_path / "s", ["a", "b", "c"])
    labels = np.zeros((64, 96), np.uint8)
    labels[:32, :33] = 255
    labels[40, 40] = 1
    Image.fromarray(labels).save(root / "masks" / "a.png")

    prepared = prepare(root / "images", root / "masks", tmp_path / "d", crop_px=32)

    crops = {(c.y, c.x) for side in SIDES for c in prepared.dataset.crops[side] if c.image == 0}
    assert prepared.unlabelled_crops == 1
    assert crops == {(0, 32), (0, 64), (32, 0), (32, 32), (32, 64)}


def test_an_image_smaller_than_a_crop_is_named(tmp_path: Path) -> None:
    root = make_set(tmp_path / "s", ["a", "b", "c"])

    with pytest.raises(FileError, match=r"a\.png: 96×64 px hold no crop of 224 px"):
        prepare(root / "images", root / "masks", tmp_path / "d")


@pytest.mark.parametrize(
    "options",
    [{"split": "other"}, {"crop_px": 8}, {"fractions": (70, 20, 20)}, {"fractions": (0, 50, 50)}],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    root = make_set(tmp_path / "s", ["a", "b", "c"])

    with pytest.raises(UsageError):
        prepare(root / "images", root / "masks", tmp_path / "d", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "d").exists()


def test_another_dataset_is_not_replaced_unasked(tmp_path: Path) -> None:
    root = make_set(tmp_path / "s", ["a", "b", "c"])

    def run(seed: int, overwrite: bool = False) -> str:
        return prepare(
            root / "images", root / "masks", tmp_path / "d", crop_px=32, seed=seed, overwrite=overwrite
        ).dataset.sha256

    first = run(0)
    assert run(0) == first
    with pytest.raises(UsageError, match="already holds another dataset"):
        run(1)
    assert run(1, overwrite=True) != first


def test_exported_crops_are_labelled_folders_of_the_same_pixels(tmp_path: Path) -> None:
    root = make_set(tmp_path / "s", ["a", "b", "c"])

    dataset = prepare(root / "images", root / "masks", tmp_path / "d", crop_px=32, export=True).dataset

    for side in SIDES:
        pairs = labelled_folder(tmp_path / "d" / "crops" / side)
        assert len(pairs) == len(dataset.crops[side])
    crop = dataset.crops["test"][1]
    source = dataset.images[crop.image]
    name = f"{source.image.stem}_y{crop.y:04d}_x{crop.x:04d}_r{90 * crop.quarter_turns:03d}"
    _, pixels, labels = read_labelled(
        tmp_path / f"d/crops/test/images/{name}.png", tmp_path / f"d/crops/test/masks/{name}.tif"
    )
    _, whole, truth = read_labelled(source.image, source.mask)
    window = np.s_[crop.y : crop.y + 32, crop.x : crop.x + 32]
    np.testing.assert_array_equal(pixels, np.rot90(whole[window], crop.quarter_turns))
    np.testing.assert_array_equal(labels, np.rot90(truth[window], crop.quarter_turns))


LOM = Path(__file__).resolve().parents[3] / "shared/data/lom_ferrite_pearlite"


@pytest.mark.skipif(not LOM.is_dir(), reason="the development micrographs are not here")
def test_real_fields_of_1024_by_767_give_twelve_crops_each(tmp_path: Path) -> None:
    dataset = prepare(LOM / "images", LOM / "masks", tmp_path / "d").dataset

    assert [len(dataset.crops[side]) for side in SIDES] == [3 * 48, 48, 48]
