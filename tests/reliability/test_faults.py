"""A disk that is full, or fails once, at any call that writes: one line, nothing lost, no half file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from steelquant.networks.weights import WeightsMetadata

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls fail, where there is a compiler for it."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("layer") / "faults.so"
    options = ("-O2", "-Wall", "-Werror", "-shared", "-fPIC")
    command = [compiler, *options, "-o", library, HERE / "faults.c", "-ldl"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return library


def _survive(kind: str, step: int, layer: Path, folder: Path) -> int:
    weights = folder / "mobilenetv2.safetensors"
    header = {"steelquant": WeightsMetadata("mobilenetv2").to_json()}
    save_file({"unused": np.zeros(1, np.float32)}, weights, metadata=header)
    work = folder / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, HERE / "under_faults.py", kind, work, weights, str(step)],
        env={**os.environ, "LD_PRELOAD": str(layer)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    found = re.search(r"^(\d+) faults survived", done.stdout, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize(("kind", "step"), [("segment", 17), ("quantify", 61)])
def test_some_writing_calls_that_fail(kind: str, step: int, layer: Path, tmp_path: Path) -> None:
    assert _survive(kind, step, layer, tmp_path) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["segment", "quantify"])
def test_every_writing_call_fails_once(kind: str, layer: Path, tmp_path: Path) -> None:
    assert _survive(kind, 1, layer, tmp_path) >= 100
