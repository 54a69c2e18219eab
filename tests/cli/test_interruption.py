"""Ctrl-C, as a terminal sends it to a command and its processes: over within a second, with exit code 130."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from steelquant.micrograph.unfinished import TEMPORARY_PREFIX

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals another process as POSIX does")

STUBBORN = """
import multiprocessing, signal, time
from pathlib import Path
from steelquant.cli.interruption import end_within_a_second
from steelquant.micrograph.files import atomic_write

if __name__ == "__main__":
    end_within_a_second()
    child = multiprocessing.Process(target=time.sleep, args=(60,))
    child.start()
    with atomic_write(Path("a.bin")) as temporary:
        temporary.write_bytes(b"half")
        signal.signal(signal.SIGINT, lambda *_: None)
        print(child.pid, flush=True)
        time.sleep(60)
"""


def _start(folder: Path, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _interrupt(process: subprocess.Popen[str], *, whole_group: bool = True) -> tuple[float, str, str]:
    """Interrupt a command; return how long it took to end, and what it said."""
    start = time.monotonic()
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=60)
    return time.monotonic() - start, said, told


def _wait_for(is_under_way: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not is_under_way():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _most_s() -> float:
    """One second, and in proportion more where more than three programs want the processor."""
    return max(1.0, os.getloadavg()[0] / 3)


def _hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{TEMPORARY_PREFIX}*.part*"))


def test_even_a_program_that_does_not_listen_ends(tmp_path: Path) -> None:
    process = _start(tmp_path, "-c", STUBBORN)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    took, _, told = _interrupt(process, whole_group=False)
    assert took < _most_s()
    assert process.returncode == 130
    assert told == "error: interrupted; what was finished is on disk\n"
    assert list(tmp_path.iterdir()) == []
    deadline = time.monotonic() + 5
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(child)  # its processes are gone with it


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_segment_ends_in_the_middle_of_a_field(tmp_path: Path, untrained_weights: Path) -> None:
    """Fields that take the network seconds: 12 megapixels each."""
    rng = np.random.default_rng(0)
    (tmp_path / "fields").mkdir()
    tifffile.imwrite(tmp_path / "fields/a.tif", rng.integers(0, 256, (224, 224, 3), np.uint8))
    for name in "bc":
        tifffile.imwrite(tmp_path / f"fields/{name}.tif", rng.integers(0, 256, (3000, 4000, 3), np.uint8))
    words = ("segment", "fields", "--weights", untrained_weights, "--output", "out", "--engine", "openvino")
    process = _start(tmp_path, "-m", "steelquant", *words)
    _wait_for(lambda: list(tmp_path.glob("out/a.overlay.png")), process)
    took, said, told = _interrupt(process)
    assert took < _most_s()
    assert process.returncode == 130
    if os.getloadavg()[0] < 3:  # else it may have had no time for more than the line on stderr
        assert "interrupted after 1 of 3 images; the same command goes on" in said
    assert "Traceback" not in told
    assert not _hidden(tmp_path)
    assert not list(tmp_path.glob("out/b.*"))


@pytest.mark.slow
def test_segment_ends_at_any_moment(tmp_path: Path, untrained_weights: Path) -> None:
    """``-s`` prints how long it took, and how often there was time for the summary."""
    rng = np.random.default_rng(0)
    (tmp_path / "fields").mkdir()
    for number in range(24):
        field = rng.integers(0, 256, (1542, 2080, 3), np.uint8)
        tifffile.imwrite(tmp_path / f"fields/{number:02}.tif", field)
    chance = random.Random(0)
    times_s, summaries = [], 0
    for place in range(12):
        words = ("segment", "fields", "--weights", untrained_weights, "--output", f"out{place}")
        process = _start(tmp_path, "-m", "steelquant", *words)
        _wait_for((tmp_path / f"out{place}/segmentation.json").exists, process)
        time.sleep(chance.uniform(0, 12))
        took, said, told = _interrupt(process)
        times_s.append(took)
        summaries += "the same command goes on" in said
        assert process.returncode == 130, told
        assert "Traceback" not in told
        assert not _hidden(tmp_path)
    print(
        f"\n12 moments: median {statistics.median(times_s):.2f} s, worst {max(times_s):.2f} s, "
        f"{summaries} with summary, load {os.getloadavg()[0]:.1f}"
    )
    assert max(times_s) < _most_s()


@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize("started", [1, 2, 3])  # the first one tracks resources
def test_quantify_and_its_processes_end(tmp_path: Path, started: int, whole_group: bool) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "masks").mkdir()
    for number in range(6):
        mask = rng.integers(0, 2, (1500, 1500), np.uint8)
        tifffile.imwrite(tmp_path / "masks" / f"{number}.tif", mask)
    words = ("quantify", "masks", "--pixel-size", 0.5, "--no-grains", "--workers", 2)
    process = _start(tmp_path, "-m", "steelquant", *words)
    _wait_for(lambda: _children(process.pid) >= started, process)
    took, _, told = _interrupt(process, whole_group=whole_group)
    assert took < _most_s()
    assert process.returncode == 130, told
    assert told == "error: interrupted; what was finished is on disk\n"
    assert not (tmp_path / "report.xlsx").exists()
    assert not _hidden(tmp_path)


def test_synthesize_ends_and_goes_on(tmp_path: Path) -> None:
    words = ("-m", "steelquant", "synthesize", "--count", 4, "--size", "96x96", "--output", "out")
    process = _start(tmp_path, *words, "--seed", 5)
    _wait_for(lambda: list(tmp_path.glob("out/masks/*.tif")), process)
    took, _, told = _interrupt(process)
    assert took < _most_s()
    assert process.returncode in (130, 0), told  # small fields may have been done just then
    assert "Traceback" not in told
    assert _start(tmp_path, *words, "--seed", 5).wait(120) == 0
    assert len(list(tmp_path.glob("out/images/*.tif"))) == 4
    assert not _hidden(tmp_path)


def _children(process: int) -> int:
    """Count the processes that a process started."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return len(found.stdout.split())
