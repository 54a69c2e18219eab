"""Very large fields in strips, against the same fields read and segmented whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile

from steelquant.errors import FileError
from steelquant.micrograph import bands, files, mosaic, overview, pyramid
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.masks import read_mask, read_probability
from steelquant.segmentation import SegmentationInterrupted

SIZE = (1130, 900)


@pytest.fixture
def in_strips(monkeypatch):
    """Make fields of half a megapixel very large; tiles and small pictures in proportion."""
    monkeypatch.setattr(mosaic, "STREAMED_FROM_PX", 500_000)
    monkeypatch.setattr(bands, "_BAND_BYTES", 90_000)
    monkeypatch.setattr(overview, "OVERVIEW_PX", 400)
    monkeypatch.setattr(pyramid, "_SMALLEST_PX", 256)


@pytest.fixture
def field(tmp_path, texture):
    folder = tmp_path / "mosaic"
    folder.mkdir()
    tifffile.imwrite(
        folder / "field.tif",
        texture(*SIZE),
        photometric="rgb",
        tile=(128, 128),
        compression="zlib",
        resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
    )
    return folder / "field.tif"


def _entry(output):
    (entry,) = json.loads((output / "segmentation.json").read_text(encoding="utf-8"))["fields"]
    return entry


def _both(threshold_run, field, tmp_path, monkeypatch, **options):
    """Segment whole and in strips; return the folders."""
    with monkeypatch.context() as patch:
        patch.setattr(mosaic, "STREAMED_FROM_PX", 10**9)
        whole = threshold_run(field, output=tmp_path / "whole", tile=256, **options)
    strips = threshold_run(field, output=tmp_path / "strips", tile=256, **options)
    assert not whole.failed
    assert not strips.failed
    return tmp_path / "whole", tmp_path / "strips"


@pytest.mark.parametrize("options", [{}, {"probabilities": True}, {"exclusion": "mask"}])
@pytest.mark.usefixtures("in_strips")
def test_strips_give_the_masks_of_whole_fields(threshold_run, field, tmp_path, monkeypatch, options):
    if "exclusion" in options:
        path = tmp_path / "exclude.tif"
        marked = np.zeros(SIZE, np.uint8)
        cv2.circle(marked, (400, 600), 200, 255, -1)
        tifffile.imwrite(path, marked, compression="zlib", rowsperstrip=64)
        options = {"exclusion": Exclusion(30, path, ((10, 20, 300, 400),))}
    whole, strips = _both(threshold_run, field, tmp_path, monkeypatch, **options)
    np.testing.assert_array_equal(
        read_mask(strips / "field.tif").labels, read_mask(whole / "field.tif").labels
    )
    assert sorted(p.name for p in strips.iterdir()) == sorted(p.name for p in whole.iterdir())
    one, other = _entry(whole), _entry(strips)
    (note,) = [warning for warning in other["warnings"] if "very large" in warning]
    assert "its overlay reduced 3 times" in note
    other["warnings"].remove(note)
    for key in ("seconds", "mask", "probability"):
        one.pop(key), other.pop(key)
    assert other.pop("confidence") == pytest.approx(one.pop("confidence"), abs=2e-4)
    assert other.pop("area_fractions") == pytest.approx(one.pop("area_fractions"), abs=1e-12)
    assert one == other
    overlay = cv2.imread(str(strips / "field.overlay.png"))
    assert overlay.shape == (SIZE[0] // 3, SIZE[1] // 3, 3)
    with tifffile.TiffFile(strips / "field.tif") as tiff:
        assert [level.shape for level in tiff.series[0].levels] == [
            (1130, 900),
            (565, 450),
            (282, 225),
            (141, 112),
        ]
    if "probabilities" in options:
        np.testing.assert_array_equal(
            read_probability(strips / "field.probability.tif"),
            read_probability(whole / "field.probability.tif"),
        )


@pytest.mark.usefixtures("in_strips")
def test_transparent_corners_of_a_mosaic_do_not_count(threshold_run, tmp_path, texture, monkeypatch):
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:200, :300] = alpha[-333:, 700:] = 0
    path = tmp_path / "field.tif"
    tifffile.imwrite(
        path,
        np.dstack([texture(*SIZE), alpha]),
        photometric="rgb",
        extrasamples=["unassalpha"],
        tile=(64, 64),
        compression="lzw",
    )
    whole, strips = _both(
        threshold_run, path, tmp_path, monkeypatch, exclusion=Exclusion(rectangles=((0, 100, 50, 500),))
    )
    labels = read_mask(strips / "field.tif").labels
    np.testing.assert_array_equal(labels, read_mask(whole / "field.tif").labels)
    assert (labels[alpha == 0] == 255).all()
    assert _entry(strips)["excluded_px"] == _entry(whole)["excluded_px"] == np.count_nonzero(labels == 255)


@pytest.mark.parametrize("scale", [2.0, 0.5, 1.37])
@pytest.mark.usefixtures("in_strips")
def test_a_scale_holds_for_strips_too(threshold_run, engine, field, tmp_path, monkeypatch, scale):
    whole, strips = _both(threshold_run, field, tmp_path, monkeypatch, scale=scale)
    labels = [read_mask(folder / "field.tif").labels for folder in (whole, strips)]
    agreement = np.mean(labels[0] == labels[1])
    assert agreement > (0.98 if scale == 1.37 else 0.9999)
    assert not any(side % 16 for shape in engine.shapes for side in shape[1:3])


@pytest.mark.usefixtures("in_strips")
def test_memory_that_runs_out_begins_the_field_anew(threshold_run, engine, field, tmp_path):
    engine.most_px = 250 * 250
    run = threshold_run(field, output=tmp_path / "out", tile=512)
    assert not run.failed
    assert len(run.warnings) == 1
    np.testing.assert_array_equal(
        read_mask(tmp_path / "out" / "field.tif").labels, tifffile.imread(field)[..., 1] < 128
    )


@pytest.mark.usefixtures("in_strips")
def test_memory_that_does_not_suffice_at_all_fails_the_field_alone(threshold_run, engine, field, tmp_path):
    tifffile.imwrite(field.parent / "small.tif", np.zeros((9, 9), np.uint8))
    engine.most_px = 10
    run = threshold_run(field.parent, output=tmp_path / "out")
    assert [result.status for result in run.fields] == ["failed", "failed"]
    assert "memory" in run.fields[0].error
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["segmentation.json"]


@pytest.mark.usefixtures("in_strips")
def test_a_mosaic_that_is_done_is_kept_and_one_that_changed_is_not(threshold_run, engine, field, tmp_path):
    threshold_run(field, output=tmp_path / "out")
    calls = len(engine.shapes)
    (kept,) = threshold_run(field, output=tmp_path / "out").fields
    assert kept.is_kept
    assert len(engine.shapes) == calls
    tifffile.imwrite(field, 255 - tifffile.imread(field), photometric="rgb", rowsperstrip=16)
    (again,) = threshold_run(field, output=tmp_path / "out").fields
    assert not again.is_kept
    assert again.area_fractions["pearlite"] == pytest.approx(
        np.mean(tifffile.imread(field)[..., 1] < 128), abs=1e-12
    )


@pytest.mark.usefixtures("in_strips")
def test_progress_is_told_within_a_mosaic_and_ctrl_c_ends_it_there(threshold_run, field, tmp_path):
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if progress.megapixels > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(SegmentationInterrupted):
        threshold_run(field, output=tmp_path / "out", tile=256, progress=interrupt)
    assert [progress.fields_done for progress in seen] == [0] * len(seen)
    assert [progress.megapixels for progress in seen] == sorted({p.megapixels for p in seen})
    assert len(seen) > 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["segmentation.json"]
    assert not threshold_run(field, output=tmp_path / "out", tile=256).failed


@pytest.mark.usefixtures("in_strips")
def test_a_mosaic_damaged_in_the_middle_fails_alone_and_leaves_nothing(threshold_run, field, tmp_path):
    content = bytearray(field.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    (field.parent / "worse.tif").write_bytes(content)
    run = threshold_run(field.parent, output=tmp_path / "out")
    assert [result.status for result in run.fields] == ["done", "failed"]
    assert "is damaged" in run.fields[1].error
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "field.overlay.png",
        "field.tif",
        "segmentation.json",
    ]


@pytest.mark.usefixtures("in_strips")
@pytest.mark.parametrize(
    ("exclusion", "reason"),
    [
        (Exclusion(rectangles=((0, 0, 900, 1130),)), "leaves nothing"),
        (Exclusion(rectangles=((5000, 0, 1, 1),)), "lies outside"),
        (Exclusion(crop_bottom_px=1130), "leaves nothing"),
    ],
)
def test_an_exclusion_that_does_not_fit_fails_the_field(threshold_run, field, tmp_path, exclusion, reason):
    (result,) = threshold_run(field, output=tmp_path / "out", exclusion=exclusion).fields
    assert result.status == "failed"
    assert reason in result.error


@pytest.mark.usefixtures("in_strips")
def test_a_full_disk_ends_the_run(threshold_run, field, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(FileError, match="disk is full"):
        threshold_run(field, output=tmp_path / "out")


MEASURED_RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from threshold_engine import ThresholdEngine
from steelquant.segmentation import pipeline, segment

pipeline.load_engine = lambda *_: (ThresholdEngine(), None)
run = segment(sys.argv[2], output=sys.argv[3], weights=sys.argv[4])
assert not run.failed, run.failed
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(line.split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_memory_does_not_grow_with_the_height_of_a_mosaic(weights, tmp_path, texture):
    """Strips of 8000 px width; the higher mosaic has 96 MP more than the lower one."""
    pattern = texture(1000, 8000)
    strips = [imagecodecs.lzw_encode(pattern[top : top + 500].tobytes()) for top in (0, 500)]
    peaks = []
    for height in (9_000, 21_000):
        path = tmp_path / f"{height}.tif"
        tifffile.imwrite(
            path,
            iter(strips * (height // 1000)),
            shape=(height, 8000, 3),
            dtype=np.uint8,
            photometric="rgb",
            rowsperstrip=500,
            compression="lzw",
        )
        done = subprocess.run(
            [
                *(sys.executable, "-c", MEASURED_RUN, str(Path(__file__).parent)),
                *(str(path), str(tmp_path / f"out_{height}"), str(weights)),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout) / 1024)
        mask = read_mask(tmp_path / f"out_{height}" / f"{height}.tif").labels
        np.testing.assert_array_equal(mask[-1000:], pattern[..., 1] < 128)
    assert peaks[1] - peaks[0] < 60, peaks  # a whole mask more would be 96 MiB, its pixels 288
