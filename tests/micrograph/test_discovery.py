from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.discovery import find_masks, find_micrographs
from steelquant.micrograph.masks import write_mask, write_probability
from steelquant.micrograph.overlay import write_overlay
from steelquant.micrograph.reading import read_micrograph


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(*inputs: Path, recursive: bool = False) -> list[str]:
    return [path.name for path in find_micrographs(inputs, recursive=recursive)]


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "f10.tif",
        "f2.TIF",
        "F1.png",
        "a.jpeg",
        "z.bmp",
        "notes.txt",
        "data.csv",
        ".hidden.tif",
        "._a.tif",
    )
    assert found(tmp_path) == ["a.jpeg", "F1.png", "f2.TIF", "f10.tif", "z.bmp"]


def test_sub_folders_only_on_request(tmp_path: Path) -> None:
    touch(tmp_path, "b.tif", "s10/x.tif", "s2/y.tif", ".git/z.tif")
    assert found(tmp_path) == ["b.tif"]
    assert found(tmp_path, recursive=True) == ["b.tif", "y.tif", "x.tif"]


def test_a_folder_with_pictures_only_below_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "s/x.tif", "s/y.tif")
    with pytest.raises(UsageError, match=r"2 in sub-folders; add --recursive"):
        find_micrographs([tmp_path])


def test_own_results_are_passed_over_wherever_they_lie(tmp_path: Path) -> None:
    labels = np.zeros((4, 5), np.uint8)
    write_mask(tmp_path / "a.tif", labels, pixel_size_um=None)
    write_probability(tmp_path / "b.tif", labels, pixel_size_um=0.5)
    write_overlay(tmp_path / "a.overlay.png", np.zeros((4, 5, 3), np.uint8), labels)
    write_probability(tmp_path / "a.probability.tif", labels, pixel_size_um=None)
    with pytest.raises(UsageError, match="results of steelquant"):
        find_micrographs([tmp_path])
    touch(tmp_path, "c.tif")
    assert found(tmp_path, recursive=True) == ["c.tif"]


def test_an_own_mask_named_outright_is_refused_by_name(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.tif", np.zeros((4, 5), np.uint8), pixel_size_um=None)
    assert found(tmp_path / "a.tif") == ["a.tif"]
    with pytest.raises(FileError, match="a result of steelquant"):
        read_micrograph(tmp_path / "a.tif")


def test_a_file_is_taken_whatever_its_ending_and_only_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.dat", "b.tif")
    assert found(tmp_path / "a.dat", tmp_path, tmp_path / "b.tif", tmp_path / "." / "a.dat") == [
        "a.dat",
        "b.tif",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows forbids these characters")
def test_names_with_spaces_quotes_newlines_and_emoji(tmp_path: Path) -> None:
    names = {"a b.tif", "q'\".tif", "line\nbreak.tif", "\U0001f52c.tif", os.fsdecode(b"\xff.tif")}
    touch(tmp_path, *names)
    assert set(found(tmp_path)) == names


def test_a_missing_input_is_a_wrong_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.tif: no such file"):
        find_micrographs([tmp_path / "nothing.tif"])
    with pytest.raises(UsageError, match="no micrographs found"):
        find_micrographs([tmp_path])


def test_patterns_are_expanded_for_shells_that_do_not(tmp_path: Path) -> None:
    touch(tmp_path, "f10.tif", "f9.tif", "g.tif", "[1].tif")
    assert found(tmp_path / "f*.tif") == ["f9.tif", "f10.tif"]
    assert found(tmp_path / "[1].tif") == ["[1].tif"]
    with pytest.raises(UsageError, match="no such file"):
        find_micrographs([tmp_path / "h*.tif"])


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_what_cannot_be_read_is_listed_and_fails_by_name(tmp_path: Path) -> None:
    (tmp_path / "link.tif").symlink_to(tmp_path / "gone.tif")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "empty.tif").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.tif")
    problems = {}
    for path in find_micrographs([tmp_path]):
        with pytest.raises(FileError) as caught:
            read_micrograph(path)
        problems[path.name] = caught.value.problem
    assert "not there" in problems["link.tif"]
    assert "it is a folder" in problems["folder.tif"]
    assert "0 bytes" in problems["empty.tif"]
    assert "no ordinary file" in problems["pipe.tif"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_that_lead_back_up_end(tmp_path: Path) -> None:
    touch(tmp_path, "s/x.tif")
    (tmp_path / "s" / "loop").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "s")
    assert found(tmp_path, recursive=True) == ["x.tif", "x.tif"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind here")
def test_a_folder_that_may_not_be_read_fails_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "locked/b.tif")
    (tmp_path / "locked").chmod(0o000)
    try:
        paths = find_micrographs([tmp_path], recursive=True)
        assert [path.name for path in paths] == ["a.tif", "locked"]
        with pytest.raises(FileError, match="folder"):
            read_micrograph(paths[1])
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_masks_without_overlays_and_probabilities(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "m10.tif",
        "m9.png",
        "m9.overlay.png",
        "m9.probability.tif",
        "m9.jpg",
        "segmentation.json",
        ".m.tif",
    )
    assert [path.name for path in find_masks([tmp_path])] == ["m9.png", "m10.tif"]
    assert find_masks([tmp_path / "m9.jpg"]) == [tmp_path / "m9.jpg"]


def test_no_masks_is_a_wrong_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no masks found"):
        find_masks([tmp_path])
    with pytest.raises(UsageError, match="no such file or folder"):
        find_masks([tmp_path / "segmented"])
