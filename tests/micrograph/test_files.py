from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from steelquant.errors import FileError
from steelquant.micrograph.field import Calibration
from steelquant.micrograph.files import atomic_write, sha256_of, write_bytes, write_json
from steelquant.micrograph.unfinished import TEMPORARY_PREFIX


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(TEMPORARY_PREFIX)]


def test_a_file_appears_whole_with_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deeper" / "result.bin"
    with atomic_write(target) as temporary:
        temporary.write_bytes(b"whole")
        assert not target.exists()
        assert temporary.suffix == ".bin"
    assert target.read_bytes() == b"whole"
    assert not leftovers(target.parent)


def test_a_failure_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:  # noqa: PT012 - the block is tested
        temporary.write_bytes(b"half of the n")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert not leftovers(tmp_path)


def test_an_interruption_leaves_no_half_file(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    with pytest.raises(KeyboardInterrupt), atomic_write(target) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with (  # noqa: PT012 - the block is tested
        pytest.raises(FileError, match="disk is full") as caught,
        atomic_write(tmp_path / "a.bin") as temporary,
    ):
        temporary.symlink_to("/dev/full")
        with temporary.open("wb", buffering=0) as stream:
            stream.write(b"x")
    assert caught.value.path == tmp_path / "a.bin"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EIO, "input/output"), (errno.EROFS, "read-only")],
)
def test_a_failing_flush_is_told_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    target = tmp_path / "a.bin"
    write_bytes(target, b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FileError, match=words):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert not leftovers(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind here")
def test_a_folder_without_permission_is_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        with pytest.raises(FileError, match="no permission"):
            write_bytes(folder / "a.bin", b"x")
    finally:
        folder.chmod(0o700)


def test_a_folder_in_the_place_of_a_file_and_the_reverse(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileError, match="folder"):
        write_bytes(tmp_path / "taken", b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError, match="not a folder"):
        write_bytes(tmp_path / "file" / "a.bin", b"x")
    assert not leftovers(tmp_path)


def test_errors_about_other_files_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.bin"):
        (tmp_path / "elsewhere" / "input.tif").read_bytes()


def test_names_of_250_bytes_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 246 + ".bin")
    write_bytes(target, b"x")
    assert target.read_bytes() == b"x"


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    with pytest.raises(FileError, match="no such file"):
        sha256_of(tmp_path / "b")


def test_json_takes_what_results_are_made_of(tmp_path: Path) -> None:
    content = {
        "z first": 1,
        "path": Path("a") / "b",
        "number": np.float32(0.5),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "array": np.arange(3),
        "undefined": math.nan,
        "infinite": np.float64(math.inf),
        "calibration": Calibration(0.25, "here", ("one",)),
        "name": "µ \U0001f52c",
    }
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    back = json.loads(text)
    assert list(back) == list(content)
    assert back["path"] == str(Path("a") / "b")
    assert (back["number"], back["count"], back["flag"], back["array"]) == (0.5, 3, True, [0, 1, 2])
    assert back["undefined"] is None
    assert back["infinite"] is None
    assert back["calibration"] == {"pixel_size_um": 0.25, "source": "here", "warnings": ["one"]}
    assert "µ \U0001f52c" in text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_json_keeps_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff.tif")
    write_json(tmp_path / "a.json", {"name": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["name"] == name
