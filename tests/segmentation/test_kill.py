"""Runs that die: SIGKILL at any moment and a disk that is really full."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tifffile

from steelquant.errors import FileError

IMAGES = 40
RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from threshold_engine import ThresholdEngine
from steelquant.networks.weights import read_metadata
from steelquant.segmentation import pipeline, segment

class Slow(ThresholdEngine):
    def predict(self, tiles):
        time.sleep(float(sys.argv[5]))
        return super().predict(tiles)

pipeline.load_engine = lambda path, *_: (Slow(), read_metadata(path))
print("ready", flush=True)
run = segment(sys.argv[2], output=sys.argv[3], weights=sys.argv[4], probabilities=True)
sys.exit(len(run.failed))
"""


@pytest.fixture(scope="module")
def forty_images(tmp_path_factory, texture) -> Path:
    folder = tmp_path_factory.mktemp("forty")
    for place in range(IMAGES):
        tifffile.imwrite(folder / f"field_{place}.tif", texture(60 + place, 90), photometric="rgb")
    return folder


def _start(images: Path, output: Path, weights: Path, pause_s: float = 0.005) -> subprocess.Popen[str]:
    """Start a run and wait until it has imported what it needs."""
    process = _launch(images, output, weights, pause_s)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _launch(images: Path, output: Path, weights: Path, pause_s: float) -> subprocess.Popen[str]:
    words = (Path(__file__).parent, images, output, weights, pause_s)
    command = [sys.executable, "-c", RUN, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _files(output: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in output.iterdir() if p.name != "segmentation.json"}


def _survive(moments: int, images: Path, weights: Path, folder: Path) -> None:
    """Kill one run again and again at random moments, let it end, and compare every byte."""
    undisturbed = _start(images, folder / "undisturbed", weights)
    start = time.monotonic()
    assert undisturbed.wait(120) == 0
    length = time.monotonic() - start
    expected = _files(folder / "undisturbed")
    assert len(expected) == 3 * IMAGES
    chance = random.Random(20)
    kills = 0
    for round_ in range(-(-moments // 4)):
        output = folder / f"killed_{round_}"
        for _ in range(min(4, moments - kills)):
            process = _start(images, output, weights)
            time.sleep(chance.uniform(0, length / 3))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            if (output / "segmentation.json").exists():
                record = json.loads((output / "segmentation.json").read_text(encoding="utf-8"))
                for entry in record["fields"]:
                    for file in (entry["mask"]["path"], entry["overlay"]["path"]):
                        assert (output / file).read_bytes() == expected[file]
        last = _start(images, output, weights)
        assert last.wait(120) == 0, last.stderr.read()
        assert _files(output) == expected
        record = json.loads((output / "segmentation.json").read_text(encoding="utf-8"))
        assert len(record["fields"]) == IMAGES
        assert record["planned"] == []
        shutil.rmtree(output)
    assert kills == moments


needs_sigkill = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@needs_sigkill
def test_a_killed_run_goes_on_and_loses_no_byte(forty_images, weights, tmp_path):
    _survive(3, forty_images, weights, tmp_path)


@needs_sigkill
@pytest.mark.slow
def test_fifty_kills_lose_no_byte(forty_images, weights, tmp_path):
    _survive(50, forty_images, weights, tmp_path)


@needs_sigkill
def test_ctrl_c_from_a_terminal_ends_within_a_second(forty_images, weights, tmp_path):
    # Slow enough that the run is under way when the signal comes, also on a busy machine.
    process = _start(forty_images, tmp_path / "out", weights, pause_s=0.1)
    deadline = time.monotonic() + 30
    while not list((tmp_path / "out").glob("*.overlay.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    # Within a second where nobody else needs the processor; in proportion where others do.
    others = os.getloadavg()[0] / 3 if hasattr(os, "getloadavg") else 1
    assert time.monotonic() - start < max(1, others)
    assert process.returncode != 0
    record = json.loads((tmp_path / "out" / "segmentation.json").read_text(encoding="utf-8"))
    assert record["finished_utc"]
    assert 1 <= len(record["fields"]) < IMAGES
    assert not list((tmp_path / "out").glob(".steelquant-*"))


def test_two_processes_in_one_folder_do_no_harm(forty_images, weights, tmp_path):
    started = [_launch(forty_images, tmp_path / "out", weights, 0.1) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(map(bool, codes)) == [False, True], told
    assert "another steelquant writes into this folder" in told[codes.index(max(codes))]
    assert _start(forty_images, tmp_path / "alone", weights).wait(120) == 0
    assert _files(tmp_path / "out") == _files(tmp_path / "alone")


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 150 kB, where this user may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or mount is None or os.geteuid() != 0:
        pytest.skip("only root can make a small disk")
    command = [mount, "-t", "tmpfs", "-o", "size=150k", "tmpfs", place]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be made here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full(threshold_run, forty_images, tmp_path, tiny_disk):
    with pytest.raises(FileError, match="the disk is full"):
        threshold_run(forty_images, output=tiny_disk / "out")
    record = json.loads((tiny_disk / "out" / "segmentation.json").read_text(encoding="utf-8"))
    assert 1 <= len(record["fields"]) < IMAGES
    threshold_run(forty_images, output=tmp_path / "elsewhere")
    for entry in record["fields"]:
        for file in (entry["mask"]["path"], entry["overlay"]["path"]):
            assert (tiny_disk / "out" / file).read_bytes() == (tmp_path / "elsewhere" / file).read_bytes()
    assert not list((tiny_disk / "out").glob(".steelquant-*"))
