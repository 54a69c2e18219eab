"""A folder of everything that goes wrong in real folders: each named in one line, the rest done."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from steelquant.cli import app
from steelquant.micrograph.masks import read_mask
from steelquant.networks.weights import read_metadata
from steelquant.segmentation import pipeline

POSIX = sys.platform != "win32"

NAMES = [
    "plain",
    "two  spaces and ümlaut",
    "emoji 🔬 日本",
    "semi;colon, comma & ampersand",
    "ends with dot.",
    *(
        [
            "quote \" and ' and `",
            "new\nline",
            "tab\there",
            "back\\slash",
            "con",
            "nul.x",
            "a:b",
            " lead",
            "-dash",
        ]
        * POSIX
    ),
    "x" * 240,
]


def _bomb(path: Path) -> None:
    """A PNG that declares 100,000 × 100,000 px and holds nothing of them."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def _make(folder: Path, texture: Callable[[int, int], np.ndarray]) -> dict[str, bool]:
    """Fill a folder; return of each file name whether it can be segmented."""
    good = texture(70, 90)
    able: dict[str, bool] = {}

    def put(name: str, *, works: bool, content: bytes | None = None, **options: object) -> Path:
        path = folder / name
        able[name] = works
        if content is not None:
            path.write_bytes(content)
        elif options:
            tifffile.imwrite(path, **options)  # type: ignore[arg-type]
        return path

    for name in NAMES:
        put(f"{name}.tif", works=True, data=good, photometric="rgb")
    whole = put("whole.tif", works=True, data=good, photometric="rgb").read_bytes()
    put("empty.tif", works=False, content=b"")
    put("cut.tif", works=False, content=whole[: len(whole) // 2])
    put("text.tif", works=False, content=b"not a picture at all\n" * 50)
    ok, jpeg = cv2.imencode(".jpg", good)
    assert ok
    put("really_a_jpeg.tif", works=True, content=jpeg.tobytes())
    put("really_a_tiff.png", works=True, content=whole)
    grey = good[..., 1].astype(np.float32)
    holed = grey.copy()
    holed[3:9, 4:20] = np.nan
    put("nan.tif", works=False, data=holed, photometric="minisblack")
    put("infinite.tif", works=False, data=np.where(grey > 200, np.inf, grey), photometric="minisblack")
    put("all_nan.tif", works=False, data=np.full((40, 40), np.nan, np.float32), photometric="minisblack")
    put("negative.tif", works=False, data=(grey - 128).astype(np.int16), photometric="minisblack")
    put("negative_float.tif", works=False, data=-grey, photometric="minisblack")
    put("one_pixel.tif", works=True, data=np.full((1, 1), 90, np.uint8), photometric="minisblack")
    put(
        "one_row.tif",
        works=True,
        data=np.tile(grey[:1].astype(np.uint8), 1112)[:, :100_000],
        photometric="minisblack",
    )
    put(
        "one_column.tif",
        works=True,
        data=np.tile(grey[:, :1].astype(np.uint8), (1500, 1))[:100_000],
        photometric="minisblack",
    )
    for value in (0, 128, 255):
        put(f"all_{value}.tif", works=True, data=np.full((60, 60), value, np.uint8), photometric="minisblack")
    put("complex.tif", works=False, data=grey.astype(np.complex64), photometric="minisblack")
    able["bomb.png"] = False
    _bomb(folder / "bomb.png")
    able["directory.tif"] = False
    (folder / "directory.tif").mkdir()
    if POSIX:
        able["dangling.tif"] = able["loop.tif"] = False
        (folder / "dangling.tif").symlink_to(folder / "gone.tif")
        (folder / "loop.tif").symlink_to(folder / "loop.tif")
    if POSIX and os.geteuid() != 0:
        put("forbidden.tif", works=False, data=good, photometric="rgb").chmod(0)
    return able


@pytest.fixture
def command(
    engine: object, weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Any]:
    monkeypatch.setattr(pipeline, "load_engine", lambda path, *_: (engine, read_metadata(path)))
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Any:
        result = CliRunner().invoke(app, [*map(str, words)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run


def test_everything_that_stands_in_real_folders(
    command: Callable[..., Any], weights: Path, tmp_path: Path, texture: Callable[[int, int], np.ndarray]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    able = _make(folder, texture)
    result = command("segment", folder, "--weights", weights, "--json")
    assert result.exit_code == 1
    told = {Path(f["input"]["path"]).name: f for f in json.loads(result.stdout)["fields"]}
    assert {name: told[name]["status"] == "done" for name in able} == able
    assert set(told) == set(able)
    for name, entry in told.items():
        if entry["status"] == "failed":
            assert entry["error"], name
            assert "\n" not in entry["error"], name
            assert len(entry["error"]) < 300, name
        else:
            mask = tmp_path / "segmented" / entry["mask"]["path"]
            assert read_mask(mask).labels.shape == (entry["height_px"], entry["width_px"])
            assert mask.name.isprintable()
            assert not set('<>:"/\\|?*') & set(mask.name)
            assert len(mask.name.encode()) <= 230
    assert len({f["mask"]["path"].casefold() for f in told.values() if f["mask"]}) == sum(able.values())
    assert any("all ferrite" in w or "all pearlite" in w for w in told["all_128.tif"]["warnings"])
    measured = command("quantify", "segmented", "--html", "r.html", "--rois", "rois", "--no-grains")
    assert measured.exit_code == 0
    again = command("segment", folder, "--weights", weights, "--json")
    kept = [f["kept"] for f in json.loads(again.stdout)["fields"]]
    assert sum(kept) == sum(able.values())


def test_masks_that_do_not_fit_fail_by_name(command: Callable[..., Any], tmp_path: Path) -> None:
    good = np.zeros((60, 80), np.uint8)
    good[20:40, 20:60] = 1
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks):
        folder.mkdir()
    for name in ("fits", "other_size", "unknown_label", "rgb", "empty", "float"):
        Image.fromarray(np.repeat(good[..., None] * 90 + 50, 3, axis=2)).save(images / f"{name}.png")
    Image.fromarray(good).save(masks / "fits.png")
    Image.fromarray(good[:50]).save(masks / "other_size.png")
    Image.fromarray(good * 7).save(masks / "unknown_label.png")
    Image.fromarray(np.repeat(good[..., None] * 33, 3, axis=2) + np.uint8([5, 0, 9])).save(masks / "rgb.png")
    (masks / "empty.png").write_bytes(b"")
    tifffile.imwrite(masks / "float.tif", good * 0.5, photometric="minisblack")
    result = command("quantify", masks, "--images", images, "--no-grains", "--json")
    assert result.exit_code == 1
    for name in ("unknown_label", "rgb", "empty", "float"):
        assert name in result.stderr
    for words in (
        ["evaluate", tmp_path, "--model", "mobilenetv2"],
        ["prepare", images, masks, "--output", "set"],
    ):
        refused = command(*words)
        assert refused.exit_code in (1, 2)
    assert not (tmp_path / "set").exists()
