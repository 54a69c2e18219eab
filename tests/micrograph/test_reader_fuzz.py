"""Damaged files of every flavour: one clear line each, soon, and without eating the memory."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from steelquant.errors import FileError, UsageError
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.masks import read_mask, read_probability, write_mask, write_probability
from steelquant.micrograph.reading import page_count, read_micrograph

SECONDS = 10
GIBIBYTES = 2


def seeds(folder: Path) -> list[bytes]:
    """Write a small file of every flavour that is read."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (24, 37), np.uint8)
    grey[:12] = 90
    rgb = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    found = []

    def tiff(samples: Any, **options: Any) -> None:
        stream = io.BytesIO()
        tifffile.imwrite(stream, samples, **options)
        found.append(stream.getvalue())

    for compression in (None, "lzw", "zlib", "packbits", "jpeg", "jpeg2000", "zstd", "lzma"):
        tiff(rgb, photometric="rgb", compression=compression, rowsperstrip=9)
    tiff(rgb, photometric="rgb", compression="jpeg", tile=(16, 16))
    tiff(rgb, photometric="ycbcr", compression="jpeg", subsampling=(2, 2))
    tiff(rgb, photometric="rgb", compression="zlib", tile=(16, 16), predictor=True, bigtiff=True)
    tiff(np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate", byteorder=">")
    tiff(grey.astype(np.uint16) * 16, photometric="minisblack", resolution=(40_000, 40_000), resolutionunit=3)
    tiff(grey.astype(np.float32), photometric="minisblack")
    tiff(grey > 100, photometric="miniswhite")
    tiff(grey, photometric="palette", colormap=rng.integers(0, 65536, (3, 256), np.uint16))
    tiff(np.stack([grey] * 3), imagej=True, metadata={"axes": "ZYX", "unit": "um"}, resolution=(4, 4))
    tiff(
        np.stack([grey] * 3),
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CYX", "PhysicalSizeX": 0.3},
    )
    tiff(grey, extratags=[(34682, "s", 0, "[Scan]\r\nPixelWidth=1e-7\r\n", True)])
    tiff(grey, extratags=[(34118, "s", 0, "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 9 nm\r\n", True)])
    for mode in ("RGB", "L", "P", "1", "LA", "RGBA", "I;16"):
        stream = io.BytesIO()
        image = (
            Image.fromarray(grey.astype(np.uint16) * 9)
            if mode == "I;16"
            else Image.fromarray(rgb).convert(mode)
        )
        image.save(stream, "PNG", dpi=(96, 96))
        found.append(stream.getvalue())
    exif = Image.Exif()
    exif[0x0112], exif[282], exif[283] = 6, 300.0, 300.0
    for kind, options in (("JPEG", {}), ("JPEG", {"progressive": True, "exif": exif}), ("BMP", {})):
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, kind, **options)
        found.append(stream.getvalue())
    for mode in ("L", "P", "1"):
        stream = io.BytesIO()
        Image.fromarray(rgb).convert(mode).save(stream, "BMP")
        found.append(stream.getvalue())
    write_mask(folder / "seed.tif", (grey > 100).astype(np.uint8), pixel_size_um=0.25)
    found.append((folder / "seed.tif").read_bytes())
    write_probability(folder / "seed.tif", grey, pixel_size_um=0.25)
    found.append((folder / "seed.tif").read_bytes())
    return found


@st.composite
def mutations(draw: st.DrawFn) -> tuple[int, list[tuple[str, float, bytes]]]:
    """Choose a seed and up to six changes, many of them in the first bytes."""
    seed = draw(st.integers(0, 1000))
    place = st.one_of(st.floats(0, 0.15), st.floats(0, 1))
    telling = st.sampled_from(
        [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"\xff\x7f", b"\0", b"\xff", b"\x01"]
    )
    change = st.tuples(
        st.sampled_from(["overwrite", "overwrite", "overwrite", "insert", "delete", "cut"]),
        place,
        st.one_of(st.binary(min_size=1, max_size=4), telling),
    )
    return seed, draw(st.lists(change, min_size=1, max_size=6))


def mutate(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    result = bytearray(content)
    for kind, place, data in changes:
        at = int(place * len(result))
        if kind == "overwrite":
            result[at : at + len(data)] = data
        elif kind == "insert":
            result[at:at] = data
        elif kind == "delete":
            del result[at : at + len(data)]
        else:
            del result[max(at, 8) :]
    return bytes(result)


def peak_gibibytes() -> float:
    """Return the largest resident size that this process has had."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def read_in_every_way(path: Path) -> None:
    """Use the file in every role; only the user's own kinds of error may come out."""
    uses: tuple[Callable[[], object], ...] = (
        lambda: [read_micrograph(path, page=page) for page in range(min(page_count(path), 4))],
        lambda: read_mask(path),
        lambda: read_probability(path),
        lambda: Exclusion(mask=path).apply((24, 37)),
    )
    for use in uses:
        told = ""
        try:
            use()
        except FileError as error:
            told = error.problem
        except UsageError as error:
            told = str(error)
        assert "\n" not in told
        assert len(told) < 400


def check(path: Path, files: list[bytes], case: tuple[int, list[tuple[str, float, bytes]]]) -> None:
    seed, changes = case
    path.write_bytes(mutate(files[seed % len(files)], changes))
    before, start = peak_gibibytes(), time.process_time()
    read_in_every_way(path)
    assert time.process_time() - start < SECONDS
    assert peak_gibibytes() - before < GIBIBYTES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return seeds(tmp_path_factory.mktemp("seeds"))


COMMON = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def test_the_seeds_themselves_are_read(tmp_path: Path, files: list[bytes]) -> None:
    assert len(files) == 35
    for number, content in enumerate(files[:-2]):
        (tmp_path / "a").write_bytes(content)
        assert read_micrograph(tmp_path / "a").pixels.shape[2] == 3, number


@settings(max_examples=150, **COMMON)
@given(case=mutations())
def test_damaged_files_give_one_clear_line(tmp_path: Path, files: list[bytes], case: Any) -> None:
    check(tmp_path / "a.tif", files, case)


@pytest.mark.slow
@settings(max_examples=2000, **COMMON)
@given(case=mutations())
def test_2000_damaged_files_give_one_clear_line(tmp_path: Path, files: list[bytes], case: Any) -> None:
    check(tmp_path / "a.tif", files, case)
