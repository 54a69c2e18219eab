"""Pairs, class tables, manifests and the decoded store."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from steelquant.errors import FileError, UsageError
from steelquant.learning.class_table import find_table, parse_table
from steelquant.learning.dataset import Crop, read_dataset
from steelquant.learning.labelled import find_pairs, labelled_folder, read_labelled
from steelquant.learning.pixel_store import decode_to_store
from steelquant.learning.prepare import prepare
from steelquant.micrograph.field import EXCLUDED


def make_set(root: Path, count: int = 3, size: tuple[int, int] = (70, 100), masks: str = "masks") -> Path:
    """Random fields and masks in several formats."""
    random = np.random.default_rng(count)
    (root / "images").mkdir(parents=True)
    (root / masks).mkdir()
    for number in range(count):
        pixels = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        labels = random.integers(0, 2, size).astype(np.uint8)
        tifffile.imwrite(root / "images" / f"field{number}.tif", pixels, photometric="rgb")
        Image.fromarray(labels * 255).save(root / masks / f"field{number}.png")
    return root


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return make_set(tmp_path / "set")


def test_pairs_are_found_by_name_whatever_the_ending(labelled: Path) -> None:
    pairs = labelled_folder(labelled)

    assert [(i.name, m.name) for i, m in pairs] == [(f"field{n}.tif", f"field{n}.png") for n in range(3)]


def test_a_folder_called_labels_serves_as_masks(tmp_path: Path) -> None:
    assert len(labelled_folder(make_set(tmp_path / "set", masks="labels"))) == 3


def test_all_files_without_a_partner_are_named(labelled: Path) -> None:
    (labelled / "masks" / "field1.png").rename(labelled / "masks" / "other.png")

    with pytest.raises(UsageError, match=r"field1\.tif has no mask, other\.png has no image"):
        labelled_folder(labelled)


def test_two_images_of_one_name_are_refused(labelled: Path) -> None:
    Image.new("RGB", (100, 70)).save(labelled / "images" / "field0.png")

    with pytest.raises(UsageError, match="share a name"):
        labelled_folder(labelled)


def test_missing_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a dataset"):
        labelled_folder(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        find_pairs(tmp_path / "a", tmp_path / "b")


def test_a_mask_of_another_size_names_both_sizes(labelled: Path) -> None:
    Image.new("L", (50, 35)).save(labelled / "masks" / "field0.png")

    with pytest.raises(FileError, match=r"field0\.png: is 50×35 px, but its image field0\.tif is 100×70"):
        read_labelled(labelled / "images" / "field0.tif", labelled / "masks" / "field0.png")


def four_class_mask(path: Path) -> np.ndarray:
    labels = np.random.default_rng(0).integers(0, 4, (70, 100)).astype(np.uint8)
    Image.fromarray(labels * np.uint8(85)).save(path)
    return labels


def test_four_classes_need_a_table_and_255_is_then_a_class(labelled: Path) -> None:
    image, mask = labelled / "images" / "field0.tif", labelled / "masks" / "field0.png"
    labels = four_class_mask(mask)

    with pytest.raises(FileError, match="state other classes with --classes"):
        read_labelled(image, mask)
    table = find_table("0=network,85=matrix,170=spheroidite,255=widmanstaetten", ())
    pair, _, read = read_labelled(image, mask, table)

    np.testing.assert_array_equal(read, labels)
    assert [c.name for c in pair.classes] == ["network", "matrix", "spheroidite", "widmanstaetten"]
    assert len({c.colour for c in pair.classes}) == 4


def test_a_table_beside_the_masks_is_taken_and_may_ignore_values(labelled: Path) -> None:
    labels = four_class_mask(labelled / "masks" / "field0.png")
    (labelled / "classes.yaml").write_text(
        "classes:\n- {value: 85, name: a, colour: [1, 2, 3]}\n- {value: 170, name: b}\nignored: [0, 255]\n"
    )

    table = find_table(None, (labelled / "masks", labelled))
    assert table is not None
    read = table.labels_of(labelled / "masks" / "field0.png")

    np.testing.assert_array_equal(read, np.array([EXCLUDED, 0, 1, EXCLUDED], np.uint8)[labels])
    assert table.classes[0].colour == (1, 2, 3)


def test_a_table_of_colours(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 0], [255, 0, 0]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    content = {
        "classes": [{"value": [255, 0, 0], "name": "red"}, {"value": [0, 255, 0], "name": "green"}],
        "ignored": [[0, 0, 0]],
    }
    (tmp_path / "t.json").write_text(json.dumps(content))

    table = find_table(tmp_path / "t.json", ())

    assert table is not None
    assert table.labels_of(tmp_path / "m.png").tolist() == [[0, 1], [EXCLUDED, 0]]
    assert parse_table(table.to_json()) == table


def test_values_outside_the_table_are_told(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 7]], np.uint8)).save(tmp_path / "m.png")
    table = find_table("0=a,1=b", ())
    assert table is not None

    with pytest.raises(FileError, match="1 pixels hold values that the class table does not name, such as 7"):
        table.labels_of(tmp_path / "m.png")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0=a", "at least 2"),
        ("0=a,0=b", "twice"),
        ("0=a,1=a", "twice"),
        ("x=a,1=b", "is not VALUE=NAME"),
        ("missing.yaml", "there is no file"),
    ],
)
def test_a_stated_table_that_means_nothing_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        find_table(text, ())


@pytest.mark.parametrize(
    "text",
    ["", "classes: 3", "classes: [{value: 0}]", "classes: [{name: a, value: 0}, {name: b, value: [1]}]"],
)
def test_a_damaged_table_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.yml").write_text(text)

    with pytest.raises(FileError, match=r"classes\.yml: is no class table"):
        find_table(None, (tmp_path,))


@pytest.mark.parametrize("classes", [None, "0=a,85=b,170=c,255=d"])
def test_a_dataset_survives_the_disk(labelled: Path, tmp_path: Path, classes: str | None) -> None:
    if classes:
        for mask in (labelled / "masks").iterdir():
            four_class_mask(mask)
    written = prepare(
        labelled / "images", labelled / "masks", tmp_path / "data", crop_px=32, classes=classes
    ).dataset

    read = read_dataset(tmp_path / "data")

    assert read == written
    assert read_dataset(tmp_path / "data" / "dataset.json") == written
    manifest = json.loads((tmp_path / "data" / "dataset.json").read_text())
    assert manifest["format"] == "steelquant dataset 1"
    assert manifest["images"][0]["image"] == "../set/images/field0.tif"


def test_the_hash_follows_the_content_and_not_the_place(labelled: Path, tmp_path: Path) -> None:
    shutil.copytree(labelled, tmp_path / "copy")
    here = prepare(labelled / "images", labelled / "masks", tmp_path / "a", crop_px=32).dataset
    there = prepare(tmp_path / "copy/images", tmp_path / "copy/masks", tmp_path / "b", crop_px=32).dataset
    other = prepare(labelled / "images", labelled / "masks", tmp_path / "c", crop_px=32, seed=1).dataset

    assert here.sha256 == there.sha256 != other.sha256


def test_a_damaged_manifest_is_told(labelled: Path, tmp_path: Path) -> None:
    prepare(labelled / "images", labelled / "masks", tmp_path / "data", crop_px=32)
    manifest = tmp_path / "data" / "dataset.json"
    good = json.loads(manifest.read_text())

    with pytest.raises(UsageError, match="is no dataset"):
        read_dataset(tmp_path)
    outside = {**good, "crops": {**good["crops"], "test": [[0, 60, 0, 0]]}}
    for bad in ({**good, "format": "x"}, {**good, "crops": {}}, outside, []):
        manifest.write_text(json.dumps(bad))
        with pytest.raises(FileError, match=r"dataset\.json: cannot be understood"):
            read_dataset(tmp_path / "data")


def test_the_store_holds_what_the_files_hold_and_is_made_once(labelled: Path, tmp_path: Path) -> None:
    dataset = prepare(labelled / "images", labelled / "masks", tmp_path / "data", crop_px=32).dataset

    store = decode_to_store(dataset.images, tmp_path / "cache")
    made = store.path.stat().st_mtime_ns
    again = decode_to_store(dataset.images, tmp_path / "cache")

    for number in range(3):
        pixels = tifffile.imread(labelled / "images" / f"field{number}.tif")
        labels = np.asarray(Image.open(labelled / "masks" / f"field{number}.png")) // 255
        np.testing.assert_array_equal(store.image(number), pixels)
        np.testing.assert_array_equal(again.labels(number), labels)
    assert again.path.stat().st_mtime_ns == made
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [store.path.name]


def test_a_crop_is_turned_anticlockwise_with_its_labels(labelled: Path, tmp_path: Path) -> None:
    dataset = prepare(labelled / "images", labelled / "masks", tmp_path / "data", crop_px=32).dataset
    store = decode_to_store(dataset.images, tmp_path / "cache")

    pixels, labels = store.crop(Crop(1, 32, 64, 1), 32)

    # A quarter turn anticlockwise puts the upper right corner into the upper left one.
    np.testing.assert_array_equal(pixels[0], store.image(1)[32:64, 95])
    np.testing.assert_array_equal(labels[:, 0], store.labels(1)[32, 64:96][::-1])
    assert pixels.flags.c_contiguous


def test_another_process_maps_the_store_by_its_path(labelled: Path, tmp_path: Path) -> None:
    dataset = prepare(labelled / "images", labelled / "masks", tmp_path / "data", crop_px=32).dataset
    store = decode_to_store(dataset.images, tmp_path / "cache")
    store.image(0)
    pickled = pickle.dumps(store)
    code = "import pickle, sys; print(int(pickle.load(sys.stdin.buffer).image(2).sum()))"

    told = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True)

    assert len(pickled) < 2000
    assert int(told.stdout) == int(store.image(2).sum())


def test_a_file_changed_since_prepare_is_named(labelled: Path, tmp_path: Path) -> None:
    dataset = prepare(labelled / "images", labelled / "masks", tmp_path / "data", crop_px=32).dataset
    Image.fromarray(np.zeros((70, 100), np.uint8)).save(labelled / "masks" / "field2.png")

    with pytest.raises(FileError, match=r"field2\.png: has changed since the dataset was prepared"):
        decode_to_store(dataset.images, tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())


def test_transparent_pixels_of_an_image_do_not_count(labelled: Path) -> None:
    image, mask = labelled / "images" / "field0.tif", labelled / "masks" / "field0.png"
    pixels = np.full((70, 100, 4), 255, np.uint8)
    pixels[:10, :, 3] = 0
    image.unlink()
    Image.fromarray(pixels).save(image.with_suffix(".png"))

    _, _, labels = read_labelled(image.with_suffix(".png"), mask)

    assert (labels[:10] == EXCLUDED).all()
    assert (labels[10:] != EXCLUDED).all()
