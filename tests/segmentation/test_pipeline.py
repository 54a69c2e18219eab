"""Runs over folders: what is written, what is kept, what is never touched."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from safetensors.numpy import save_file

from steelquant.errors import FileError, UsageError
from steelquant.micrograph import files
from steelquant.micrograph.exclusion import Exclusion
from steelquant.micrograph.masks import read_mask, read_probability
from steelquant.networks.weights import read_metadata
from steelquant.segmentation import SegmentationInterrupted, pipeline, segment
from steelquant.segmentation.lock import folder_lock

NAMES = ["field_2", "field_9", "field_10"]


def _record(output):
    return json.loads((output / "segmentation.json").read_text(encoding="utf-8"))


def _bytes(output):
    return {p.name: p.read_bytes() for p in output.iterdir() if p.name != "segmentation.json"}


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_becomes_masks_overlays_and_one_record(threshold_run, micrographs, weights, tmp_path):
    seen = []
    run = threshold_run([micrographs], output=tmp_path / "out", probabilities=True, progress=seen.append)
    assert [field.name for field in run.fields] == NAMES
    assert not run.failed
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [
            "segmentation.json",
            *(n + end for n in NAMES for end in (".tif", ".overlay.png", ".probability.tif")),
        ]
    )
    record = _record(tmp_path / "out")
    assert record["format"] == "steelquant segmentation 1"
    assert record["planned"] == []
    assert record["finished_utc"] >= record["started_utc"]
    assert record["weights"]["sha256"] == _sha256(weights)
    assert record["engine"] == {
        "name": "threshold",
        "version": "1",
        "device": "cpu",
        "tile_px": 2592,
        "overlap_px": 256,
        "margin_px": 128,
        "stride_px": 16,
        "batch": 1,
    }
    assert [phase["name"] for phase in record["classes"]] == ["ferrite", "pearlite"]
    for entry, name in zip(record["fields"], NAMES, strict=True):
        source = micrographs / f"{name}.tif"
        pixels = tifffile.imread(source)
        mask = read_mask(tmp_path / "out" / entry["mask"]["path"])
        np.testing.assert_array_equal(mask.labels, pixels[..., 1] < 128)
        assert mask.calibration.pixel_size_um == pytest.approx(0.5)
        assert entry["name"] == name
        assert entry["input"] == {
            "path": str(source),
            "folder": "micrographs",
            "page": 0,
            "sha256": _sha256(source),
        }
        assert (entry["height_px"], entry["width_px"]) == pixels.shape[:2]
        assert entry["mask"]["sha256"] == mask.sha256 == _sha256(tmp_path / "out" / f"{name}.tif")
        assert entry["probability"]["sha256"] == _sha256(tmp_path / "out" / f"{name}.probability.tif")
        assert entry["area_fractions"]["pearlite"] == pytest.approx((pixels[..., 1] < 128).mean())
        assert sum(entry["area_fractions"].values()) == pytest.approx(1)
        assert cv2.imread(str(tmp_path / "out" / entry["overlay"]["path"])).shape == pixels.shape
        probability = read_probability(tmp_path / "out" / entry["probability"]["path"])
        np.testing.assert_array_equal(probability >= 128, mask.labels == 1)
    assert sorted(p.result.name for p in seen) == sorted(NAMES)
    assert [p.fields_done for p in seen] == [1, 2, 3]
    assert run.megapixels == pytest.approx((120 * 150 + 260 * 300 + 40 * 30) / 1e6)
    assert run.megapixels_per_second == pytest.approx(run.megapixels / run.seconds)


def test_the_second_run_does_nothing(threshold_run, engine, micrographs, tmp_path):
    threshold_run([micrographs], output=tmp_path / "out")
    before, calls = _bytes(tmp_path / "out"), len(engine.shapes)
    run = threshold_run([micrographs], output=tmp_path / "out")
    assert all(field.is_kept for field in run.fields)
    assert len(engine.shapes) == calls
    assert run.megapixels == 0
    assert _bytes(tmp_path / "out") == before
    assert _record(tmp_path / "out")["engine"]["name"] == "threshold"  # made the fields that are kept
    assert [entry["status"] for entry in _record(tmp_path / "out")["fields"]] == ["done"] * 3


def test_overwrite_does_all_again(threshold_run, engine, micrographs, tmp_path):
    threshold_run([micrographs], output=tmp_path / "out")
    before, calls = _bytes(tmp_path / "out"), len(engine.shapes)
    (tmp_path / "out" / "field_9.tif").write_bytes(b"spoilt")
    run = threshold_run([micrographs], output=tmp_path / "out", overwrite=True)
    assert not any(field.is_kept for field in run.fields)
    assert len(engine.shapes) == 2 * calls
    assert _bytes(tmp_path / "out") == before


def test_what_changed_is_done_again(threshold_run, micrographs, tmp_path, texture):
    out = tmp_path / "out"
    threshold_run([micrographs], output=out)
    new = 255 - texture(120, 150)
    tifffile.imwrite(micrographs / "field_2.tif", new, photometric="rgb")
    (out / "field_10.overlay.png").unlink()
    run = threshold_run([micrographs], output=out)
    assert [field.is_kept for field in run.fields] == [False, True, False]
    np.testing.assert_array_equal(read_mask(out / "field_2.tif").labels, new[..., 1] < 128)
    assert (out / "field_10.overlay.png").is_file()


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0.5},
        {"pixel_size_um": 0.25},
        {"tile": 256},
        {"overlap": 0.1},
        {"exclusion": Exclusion(crop_bottom_px=5)},
        {"probabilities": True},
    ],
)
def test_other_parameters_do_all_again(threshold_run, micrographs, tmp_path, change):
    threshold_run([micrographs], output=tmp_path / "out")
    run = threshold_run([micrographs], output=tmp_path / "out", **change)
    assert not any(field.is_kept for field in run.fields)
    assert _record(tmp_path / "out")["earlier_runs"] == []
    again = threshold_run([micrographs], output=tmp_path / "out", **change)
    assert all(field.is_kept for field in again.fields)


def test_other_weights_do_all_again(threshold_run, micrographs, weights, tmp_path):
    threshold_run([micrographs], output=tmp_path / "out")
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    run = threshold_run([micrographs], output=tmp_path / "out")
    assert not any(field.is_kept for field in run.fields)


def test_device_and_recursion_decide_no_mask(threshold_run, micrographs, tmp_path):
    threshold_run([micrographs], output=tmp_path / "out")
    run = threshold_run([micrographs], output=tmp_path / "out", device="cpu", recursive=True)
    assert all(field.is_kept for field in run.fields)


def test_fields_of_an_earlier_run_keep_its_parameters(threshold_run, micrographs, tmp_path):
    out = tmp_path / "out"
    threshold_run([micrographs / "field_2.tif"], output=out)
    threshold_run([micrographs / "field_9.tif"], output=out, scale=0.5)
    record = _record(out)
    first, second = sorted(record["fields"], key=lambda entry: entry["name"])
    assert second["run"] == record["run"] != first["run"]
    assert [run["run"] for run in record["earlier_runs"]] == [first["run"]]
    assert record["earlier_runs"][0]["parameters"]["scale"] == 1
    assert record["parameters"]["scale"] == 0.5


def test_a_stale_probability_does_not_stay_beside_a_new_mask(threshold_run, micrographs, tmp_path):
    threshold_run([micrographs], output=tmp_path / "out", probabilities=True)
    threshold_run([micrographs], output=tmp_path / "out", scale=0.5)
    assert not list((tmp_path / "out").glob("*.probability.tif"))
    assert all(entry["probability"] is None for entry in _record(tmp_path / "out")["fields"])


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("foreign", ["field_9.tif", "field_9.overlay.png"])
def test_foreign_files_are_never_touched(threshold_run, micrographs, tmp_path, foreign, overwrite):
    out = tmp_path / "out"
    out.mkdir()
    (out / foreign).write_bytes(b"mine")
    (out / "notes.txt").write_bytes(b"mine too")
    run = threshold_run([micrographs], output=out, overwrite=overwrite)
    assert [field.status for field in run.fields] == ["done", "failed", "done"]
    assert foreign in run.failed[0].error
    assert "not from this command" in run.failed[0].error
    assert (out / foreign).read_bytes() == b"mine"
    assert (out / "notes.txt").read_bytes() == b"mine too"
    assert len(list(out.glob("field_9*"))) == 1
    (out / foreign).unlink()
    assert not threshold_run([micrographs], output=out).failed


def test_a_mask_corrected_by_hand_is_kept(threshold_run, micrographs, tmp_path):
    out = tmp_path / "out"
    threshold_run([micrographs], output=out)
    (out / "field_9.tif").write_bytes(b"corrected")
    run = threshold_run([micrographs], output=out)
    assert run.fields[1].is_kept
    assert "changed after it was written" in run.fields[1].warnings[-1]
    run = threshold_run([micrographs], output=out, scale=0.5)
    assert [field.status for field in run.fields] == ["done", "failed", "done"]
    assert "--overwrite" in run.failed[0].error
    assert (out / "field_9.tif").read_bytes() == b"corrected"
    run = threshold_run([micrographs], output=out, scale=0.5, overwrite=True)
    assert not run.failed
    assert read_mask(out / "field_9.tif").labels.shape == (40, 30)


def test_another_folders_field_of_the_same_name_does_not_replace_the_first(
    threshold_run, micrographs, tmp_path, texture
):
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    tifffile.imwrite(other / "field_2.tif", texture(50, 50), photometric="rgb")
    threshold_run([micrographs], output=out)
    before = _bytes(out)
    run = threshold_run([other], output=out)
    assert "was made from" in run.failed[0].error
    assert _bytes(out) == before
    both = threshold_run([micrographs, other], output=tmp_path / "both")
    assert not both.failed
    assert len({field.name for field in both.fields}) == 4


def test_the_same_file_found_elsewhere_is_known_again(threshold_run, micrographs, tmp_path):
    threshold_run([micrographs], output=tmp_path / "out")
    moved = micrographs.rename(tmp_path / "moved")
    run = threshold_run([moved], output=tmp_path / "out")
    assert all(field.is_kept for field in run.fields)
    assert _record(tmp_path / "out")["fields"][0]["input"]["path"] == str(moved / "field_2.tif")


def test_an_unreadable_file_fails_by_name_and_the_rest_goes_on(threshold_run, micrographs, tmp_path):
    (micrographs / "field_3.tif").write_bytes(b"II*\x00 this is no picture")
    (micrographs / "field_4.png").write_bytes(b"")
    run = threshold_run([micrographs], output=tmp_path / "out")
    assert [(field.name, field.status) for field in run.fields] == [
        ("field_2", "done"),
        ("field_3", "failed"),
        ("field_4", "failed"),
        ("field_9", "done"),
        ("field_10", "done"),
    ]
    entries = {entry["name"]: entry for entry in _record(tmp_path / "out")["fields"]}
    for name in ("field_3", "field_4"):
        assert entries[name]["status"] == "failed"
        assert entries[name]["error"]
        assert "\n" not in entries[name]["error"]
        assert entries[name]["mask"] is None
        assert not list((tmp_path / "out").glob(f"{name}*"))


def test_a_field_that_can_no_longer_be_read_keeps_its_earlier_mask(threshold_run, micrographs, tmp_path):
    out = tmp_path / "out"
    threshold_run([micrographs], output=out)
    good = (micrographs / "field_9.tif").read_bytes()
    (micrographs / "field_9.tif").write_bytes(good[:100])
    before = _bytes(out)
    run = threshold_run([micrographs], output=out)
    assert [field.name for field in run.failed] == ["field_9"]
    assert _bytes(out) == before
    entry = _record(out)["fields"][1]
    assert entry["status"] == "done"
    assert entry["warnings"][-1].startswith("a later run could not do it again")
    (micrographs / "field_9.tif").write_bytes(good)
    run = threshold_run([micrographs], output=out)
    assert all(field.is_kept for field in run.fields)
    assert not any("later run" in warning for warning in run.fields[1].warnings)


def test_a_labelled_set_stands_for_its_images(threshold_run, micrographs, tmp_path):
    (tmp_path / "set" / "masks").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set" / "masks" / "field_2.png"), np.zeros((120, 150), np.uint8))
    micrographs.rename(tmp_path / "set" / "images")
    for recursive in (False, True):
        run = threshold_run(tmp_path / "set", output=tmp_path / "out", recursive=recursive)
        assert [field.name for field in run.fields] == NAMES


def test_every_page_is_a_field(threshold_run, tmp_path, texture):
    pages = np.stack([texture(60, 70), 255 - texture(60, 70)])
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="rgb")
    run = threshold_run(tmp_path / "stack.tif", output=tmp_path / "out")
    assert [(field.name, field.page) for field in run.fields] == [("stack.p01", 0), ("stack.p02", 1)]
    for field, page in zip(run.fields, pages, strict=True):
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / field.mask).labels, page[..., 1] < 128)


def test_excluded_pixels_never_count(threshold_run, tmp_path):
    pixels = np.full((100, 200, 3), 200, np.uint8)
    pixels[80:] = 10  # an info bar that would be pearlite
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    exclusion = Exclusion(crop_bottom_px=20, rectangles=((0, 0, 10, 10),))
    run = threshold_run(tmp_path / "a.png", output=tmp_path / "out", exclusion=exclusion)
    field = run.fields[0]
    assert field.excluded_px == 20 * 200 + 100
    assert field.area_fractions == {"ferrite": 1, "pearlite": 0}
    labels = read_mask(tmp_path / "out" / "a.tif").labels
    assert (labels[80:] == 255).all()
    assert (labels[:10, :10] == 255).all()
    assert np.count_nonzero(labels == 255) == field.excluded_px


@pytest.mark.parametrize(
    ("grey", "words"),
    [
        (None, ["no scale"]),
        (250, ["all ferrite"]),
        (0, ["all pearlite", "pure black"]),
        (255, ["pure white"]),
    ],
)
def test_doubtful_fields_are_named(threshold_run, tmp_path, texture, grey, words):
    pixels = texture(100, 100) if grey is None else np.full((100, 100, 3), grey, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    warnings = threshold_run(tmp_path / "a.png", output=tmp_path / "out").fields[0].warnings
    for word in words:
        assert any(word in warning for warning in warnings)


@pytest.mark.parametrize(
    ("pixel_size_um", "scale", "told"),
    [(0.4, 1, False), (0.9, 1, False), (1.2, 1, True), (1.2, 2, False), (0.04, 1, True), (0.4, 0.25, True)],
)
def test_a_scale_outside_the_trained_range_is_named(
    threshold_run, weights, tmp_path, texture, pixel_size_um, scale, told
):
    metadata = replace(read_metadata(weights), pixel_size_um=(0.05, 0.9))
    save_file({"unused": np.zeros(1, np.float32)}, weights, metadata={"steelquant": metadata.to_json()})
    cv2.imwrite(str(tmp_path / "a.png"), texture(100, 100))
    run = threshold_run(
        tmp_path / "a.png",
        output=tmp_path / "out",
        pixel_size_um=pixel_size_um,
        scale=scale,
    )
    words = f"{pixel_size_um / scale:.3g} µm/px is outside the 0.05–0.9 of the training fields"
    assert (words in run.fields[0].warnings) is told


def test_an_unsure_prediction_is_named(threshold_run, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((100, 100, 3), 120, np.uint8))
    warnings = threshold_run(tmp_path / "a.png", output=tmp_path / "out").fields[0].warnings
    assert any("unsure" in warning and "0.62" in warning for warning in warnings)


def test_good_fields_are_not_warned_of(threshold_run, tmp_path, texture):
    pixels = np.where(texture(100, 100) < 90, 40, 220).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    run = threshold_run(tmp_path / "a.tif", output=tmp_path / "out", pixel_size_um=0.4)
    assert run.fields[0].all_warnings() == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0.0}, "--scale"),
        ({"scale": float("nan")}, "--scale"),
        ({"tile": 64}, "--tile"),
        ({"tile": "large"}, "--tile is auto or a whole number"),
        ({"overlap": 0.9}, "--overlap"),
        ({"overlap": "half"}, "--overlap is auto or a number"),
        ({"pixel_size_um": -1.0}, "pixel size"),
        ({"pixel_size_um": float("inf")}, "pixel size"),
        ({"model": "vgg"}, "vgg"),
        ({"model": "unet"}, "holds weights of 'mobilenetv2', not of 'unet'"),
    ],
)
def test_wrong_options_leave_no_folder_behind(threshold_run, micrographs, tmp_path, options, words):
    with pytest.raises(UsageError, match=words):
        threshold_run([micrographs], output=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_record_of_something_else_is_left_alone(threshold_run, micrographs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "segmentation.json").write_text('{"format": "another"}')
    with pytest.raises(FileError, match="no record of this program"):
        threshold_run([micrographs], output=tmp_path / "out")
    assert (tmp_path / "out" / "segmentation.json").read_text() == '{"format": "another"}'


def test_two_runs_in_one_folder_do_not_mix(threshold_run, micrographs, tmp_path):
    (tmp_path / "out").mkdir()
    with folder_lock(tmp_path / "out"), pytest.raises(UsageError, match="another steelquant"):
        threshold_run([micrographs], output=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    assert not threshold_run([micrographs], output=tmp_path / "out").failed


@pytest.mark.parametrize("victim", ["field_9.tif", "field_9.overlay.png", "segmentation.json"])
@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_ends_the_run_and_loses_nothing(
    threshold_run, micrographs, tmp_path, monkeypatch, victim, kind
):
    out = tmp_path / "out"
    monkeypatch.setattr("steelquant.segmentation.pipeline._WORKERS", 1)
    monkeypatch.setattr("steelquant.segmentation.record._SAVE_SHARE", float("inf"))
    replace, calls = files._replace, []

    def failing(temporary, path):
        calls.append(path.name)
        if path.name == victim and (victim != "segmentation.json" or calls.count(victim) > 3):
            raise OSError(kind, os.strerror(kind), str(temporary))
        replace(temporary, path)

    monkeypatch.setattr(files, "_replace", failing)
    with pytest.raises(FileError) as caught:
        threshold_run([micrographs], output=out)
    assert "\n" not in str(caught.value)
    assert ("disk is full" if kind == errno.ENOSPC else "input/output error") in str(caught.value)
    assert not list(out.glob(".steelquant-*"))
    for entry in _record(out)["fields"]:
        assert _sha256(out / entry["mask"]["path"]) == entry["mask"]["sha256"]
    monkeypatch.setattr(files, "_replace", replace)
    assert not threshold_run([micrographs], output=out).failed
    threshold_run([micrographs], output=tmp_path / "undisturbed")
    assert _bytes(out) == _bytes(tmp_path / "undisturbed")


def test_a_mask_that_cannot_be_named_fails_alone(threshold_run, micrographs, tmp_path):
    (tmp_path / "out" / "field_9.tif").mkdir(parents=True)
    run = threshold_run([micrographs], output=tmp_path / "out")
    assert [field.status for field in run.fields] == ["done", "failed", "done"]


def test_ctrl_c_keeps_what_is_complete_and_the_next_run_goes_on(
    threshold_run, engine, micrographs, tmp_path, monkeypatch
):
    predict, calls = engine.predict, []

    def interrupted(tiles):
        calls.append(threading.current_thread())
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(tiles)

    monkeypatch.setattr(engine, "predict", interrupted)
    with pytest.raises(SegmentationInterrupted) as caught:
        threshold_run([micrographs], output=tmp_path / "out")
    run = caught.value.run
    assert [field.name for field in run.fields] == ["field_2"]
    assert run.total == 3
    assert [entry["name"] for entry in _record(tmp_path / "out")["fields"]] == ["field_2"]
    again = threshold_run([micrographs], output=tmp_path / "out")
    assert [field.is_kept for field in again.fields] == [True, False, False]


def test_the_record_is_on_disk_as_soon_as_a_field_is(
    threshold_run, engine, micrographs, tmp_path, monkeypatch
):
    """Seen from inside the run, each time before the next field is predicted."""
    predict, listed = engine.predict, []
    monkeypatch.setattr("steelquant.segmentation.pipeline._AHEAD", 1)
    monkeypatch.setattr("steelquant.segmentation.record._SAVE_SHARE", float("inf"))

    def watching(tiles):
        record = _record(tmp_path / "out")
        listed.append((len(record["fields"]), record["planned"]))
        return predict(tiles)

    monkeypatch.setattr(engine, "predict", watching)
    threshold_run([micrographs], output=tmp_path / "out")
    assert listed[0] == (0, sorted(NAMES))
    assert listed[-1][0] >= 1


def test_small_fields_of_one_size_share_calls_of_a_gpu(make_engine, weights, tmp_path, texture, monkeypatch):
    """Whatever the readers' pace, masks and record are those of one field at a time."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for place in range(20):
        size = (240, 256) if place % 7 else (300, 256)
        tifffile.imwrite(folder / f"{place}.tif", np.roll(texture(*size), place, axis=1), photometric="rgb")
    engine = make_engine("cuda:0")
    predict = engine.predict
    monkeypatch.setattr(engine, "predict", lambda tiles: time.sleep(0.02) or predict(tiles))
    monkeypatch.setattr(pipeline, "load_engine", lambda path, *_: (engine, read_metadata(path)))
    run = segment(folder, weights=weights, output=tmp_path / "out")
    assert [field.status for field in run.fields] == ["done"] * 20
    for field in run.fields:
        mask = tifffile.imread(tmp_path / "out" / field.mask)
        np.testing.assert_array_equal(mask, tifffile.imread(folder / field.mask)[..., 1] < 128)
    assert sum(shape[0] for shape in engine.shapes) == 20
    assert max(shape[0] for shape in engine.shapes) > 1
    assert json.loads((tmp_path / "out" / "segmentation.json").read_text())["engine"]["device"] == "cuda:0"


def test_thousands_of_fields_do_not_make_the_record_the_work(tmp_path):
    """The record is rewritten less often when writing it takes long: time grows as the fields do."""
    from pathlib import Path
    from time import perf_counter

    from steelquant.segmentation.folder import LocalFolder
    from steelquant.segmentation.record import Record
    from steelquant.segmentation.results import FieldResult

    record = Record(LocalFolder(tmp_path))
    header = {
        "format": "steelquant segmentation 1",
        "run": "r",
        "parameters": {},
        "weights": {},
        "versions": {},
        "engine": None,
    }
    names = [f"field_{place}" for place in range(4000)]
    record.begin(header, names)
    record.plan(names)
    start = perf_counter()
    for name in names:
        record.finish(FieldResult(name, "done", None, Path("x.tif"), 0, "r", mask_sha256="0" * 64))
    took = perf_counter() - start
    record.close("now", None)
    assert len(_record(tmp_path)["fields"]) == 4000
    assert took < 4
