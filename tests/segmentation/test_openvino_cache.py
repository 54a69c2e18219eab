"""Exported networks on disk: found again, and never used when damaged, foreign or outdated."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from steelquant.segmentation import engine_cache
from steelquant.segmentation.engine_cache import ExportedNetwork, cache_folder, find_export, keep_export

ORIGIN = {"weights": "12ab", "openvino": "2026.1"}
NETWORK = ExportedNetwork(b"<net/>", bytes(range(256)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEELQUANT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_kept_is_found(folder: Path) -> None:
    assert find_export(ORIGIN) is None
    keep_export(ORIGIN, NETWORK)
    assert find_export(dict(reversed(ORIGIN.items()))) == NETWORK
    assert only_file(folder).read_bytes()[8:9] == b"{"  # safetensors, no pickle


@pytest.mark.parametrize("key", ORIGIN)
def test_another_origin_finds_nothing(key: str) -> None:
    keep_export(ORIGIN, NETWORK)
    assert find_export({**ORIGIN, key: "other"}) is None


def test_every_damaged_byte_is_noticed(folder: Path) -> None:
    keep_export(ORIGIN, NETWORK)
    path = only_file(folder)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert find_export(ORIGIN) in (None, NETWORK)
    place = whole.index(NETWORK.constants)
    path.write_bytes(whole[: place + 9] + b"\0" + whole[place + 10 :])
    assert find_export(ORIGIN) is None
    for length in (0, 5, 40, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert find_export(ORIGIN) is None
    keep_export(ORIGIN, NETWORK)
    assert find_export(ORIGIN) == NETWORK


def test_a_file_under_another_ones_name_is_not_trusted(folder: Path) -> None:
    keep_export(ORIGIN, NETWORK)
    name = only_file(folder).name
    keep_export({**ORIGIN, "weights": "34cd"}, ExportedNetwork(b"<other/>", b""))
    (other,) = (path for path in folder.iterdir() if path.name != name)
    other.replace(folder / name)
    assert find_export(ORIGIN) is None


def test_a_file_without_our_header_is_not_used(folder: Path) -> None:
    keep_export(ORIGIN, NETWORK)
    path = only_file(folder)
    save_file(load_file(path), path)
    assert find_export(ORIGIN) is None
    save_file({"weight": np.zeros(2)}, path, metadata={"origin": "[]"})
    assert find_export(ORIGIN) is None


def test_the_longest_unused_files_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cache, "_KEPT", 2)
    origins = [{**ORIGIN, "weights": str(number)} for number in range(3)]
    for age, origin in enumerate(origins[:2]):
        keep_export(origin, NETWORK)
        for path in folder.iterdir():
            os.utime(path, (1000 + age, 1000 + age))
    assert find_export(origins[0])  # used now, so the second is the older
    keep_export(origins[2], NETWORK)
    assert [find_export(origin) is not None for origin in origins] == [True, False, True]


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path) -> None:
    folder.write_text("a file")
    keep_export(ORIGIN, NETWORK)
    assert find_export(ORIGIN) is None
    assert folder.read_text() == "a file"


@pytest.mark.parametrize(
    ("system", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "base/steelquant"),
        ("win32", "LOCALAPPDATA", "base/steelquant/Cache"),
        ("darwin", "HOME", "base/Library/Caches/steelquant"),
    ],
)
def test_the_folder_is_the_systems_own(
    monkeypatch: pytest.MonkeyPatch, system: str, variable: str, expected: str
) -> None:
    monkeypatch.delenv("STEELQUANT_CACHE")
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv(variable, "base")
    assert cache_folder() == Path(expected)
