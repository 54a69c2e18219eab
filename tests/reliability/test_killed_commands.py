"""SIGKILL at any moment of the other commands: every file is whole or absent, and the next run makes it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from segmented_folder import squares, write_segmented
from whole_files import is_whole

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


def _start(place: Path, words: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "steelquant", *words]
    return subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _seen(place: Path) -> dict[str, Path]:
    """List the files that a user sees; unfinished ones are hidden."""
    files = (path for path in place.rglob("*") if path.is_file())
    return {
        path.relative_to(place).as_posix(): path
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(place).parts)
    }


def _survive(
    kills: int,
    folder: Path,
    prepare: Callable[[Path], list[str]],
    again: list[str],
    same: Callable[[str], bool],
) -> None:
    """Kill a command at random moments, look at its files, let it end, and compare what tells no time."""
    whole = folder / "whole"
    whole.mkdir()
    words = prepare(whole)
    before = set(_seen(whole))
    start = time.monotonic()
    process = _start(whole, words)
    assert process.wait(300) == 0, process.stderr
    length = time.monotonic() - start
    expected = _seen(whole)
    assert set(expected) - before
    place = folder / "killed"
    place.mkdir()
    words = prepare(place)
    chance = random.Random(length)
    for kill in range(kills):
        process = _start(place, words if kill == 0 else words + again)
        time.sleep(chance.uniform(0.3, 1) * length)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for name, path in _seen(place).items():
            assert name in expected, name
            assert is_whole(path), name
    last = _start(place, words + again)
    _, told = last.communicate(timeout=300)
    assert last.returncode == 0, told.decode()
    assert set(_seen(place)) == set(expected)
    for name, path in expected.items():
        if same(name):
            assert (place / name).read_bytes() == path.read_bytes(), name


def _labelled(place: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        mask = squares(0.1 + number / 20, (64, 96), 16)
        grey = np.clip(np.where(mask, 60, 200) + rng.normal(0, 8, mask.shape), 0, 255).astype(np.uint8)
        for part, data in (("images", np.repeat(grey[..., None], 3, axis=2)), ("masks", mask)):
            (place / "set" / part).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(place / "set" / part / f"{number}.tif", data)


def _quantify(place: Path) -> list[str]:
    write_segmented(place / "masks", {f"f{n}": squares(0.1 + n / 20) for n in range(6)})
    return ["quantify", "masks", "--output", "out/r.xlsx", "--html", "out/r.html", "--rois", "out/rois"]


def _synthesize(place: Path) -> list[str]:
    return ["synthesize", "--count", "6", "--size", "96x96", "--seed", "3", "--output", "out"]


def _prepare(place: Path) -> list[str]:
    _labelled(place)
    return ["prepare", "set/images", "set/masks", "--output", "out", "--crop", "32", "--export"]


def _evaluate(place: Path) -> list[str]:
    _labelled(place)
    return ["evaluate", "set", "--model", "mobilenetv2", "--output", "out"]


CASES: dict[str, tuple[Callable[[Path], list[str]], list[str], Callable[[str], bool]]] = {
    "quantify": (_quantify, [], lambda name: name.endswith((".csv", "r.json", ".geojson", ".zip"))),
    "synthesize": (_synthesize, [], lambda name: name.endswith(".tif")),
    "prepare": (_prepare, ["--overwrite"], lambda name: True),
    "evaluate": (_evaluate, [], lambda name: name.endswith(".csv")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_ten_kills_leave_whole_files(name: str, tmp_path: Path) -> None:
    prepare, again, same = CASES[name]
    _survive(10, tmp_path, prepare, again, same)


def test_a_killed_quantify_leaves_whole_files(tmp_path: Path) -> None:
    prepare, again, same = CASES["quantify"]
    _survive(2, tmp_path, prepare, again, same)
