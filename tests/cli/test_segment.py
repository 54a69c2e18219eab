"""``steelquant segment`` through the command line, with an untrained network: exit codes and files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner, Result

from steelquant.cli import app
from steelquant.networks.weights import read_weights
from steelquant.segmentation.engine import load_engine
from steelquant.segmentation.openvino_engine import OpenVinoEngine


@pytest.fixture
def micrographs(tmp_path: Path) -> Path:
    """A calibrated TIFF, a PNG without scale, and something that is no picture's business."""
    folder = tmp_path / "micrographs"
    folder.mkdir()
    random = np.random.default_rng(5)
    for name, shape in (("field 10.tif", (100, 130, 3)), ("field 9.png", (230, 60, 3))):
        coarse = random.integers(0, 256, (shape[0] // 10, shape[1] // 10, 3), np.uint8)
        pixels = cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_CUBIC)
        if name.endswith("png"):
            cv2.imwrite(str(folder / name), pixels)
        else:
            tifffile.imwrite(
                folder / name,
                pixels,
                photometric="rgb",
                resolution=(25_000, 25_000),
                resolutionunit="CENTIMETER",
            )
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def run(tmp_path: Path, untrained_weights: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEELQUANT_WEIGHTS", str(untrained_weights))
    monkeypatch.setenv("COLUMNS", "160")

    def invoke(*words: object) -> Result:
        return CliRunner().invoke(app, ["segment", *map(str, words)])

    return invoke


def error_line(result: Result) -> str:
    """The one line that a mistake is told in."""
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert result.stdout == ""
    return lines[0]


def whole_image_labels(pixels: np.ndarray, weights: Path) -> np.ndarray:
    """What the network says when asked directly, the field reflected up to the smallest tile."""
    network, metadata = read_weights(weights)
    for module in network.aspp.modules():  # what crops of 224 px never showed it
        if isinstance(module, torch.nn.Conv2d) and module.dilation[0] in (12, 18):
            centre = module.weight.detach()[:, :, 1, 1].clone()
            module.weight.detach().zero_()
            module.weight.detach()[:, :, 1, 1] = centre
    height, width = pixels.shape[:2]
    below, right = max(224, -(-height // 16) * 16) - height, max(224, -(-width // 16) * 16) - width
    padded = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="reflect").astype(np.float32)
    image = torch.from_numpy((padded - metadata.mean) / metadata.std).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = network(image)[0, :, :height, :width]
    return (logits[1] > logits[0]).numpy().astype(np.uint8)


def test_a_folder_is_segmented_into_segmented(run, micrographs, untrained_weights, tmp_path):
    result = run("micrographs", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""  # no bar where there is no terminal
    assert sorted(p.name for p in (tmp_path / "segmented").iterdir()) == [
        "field 10.overlay.png",
        "field 10.tif",
        "field 9.overlay.png",
        "field 9.tif",
        "segmentation.json",
    ]
    for name, calibrated in (("field 9.png", False), ("field 10.tif", True)):
        pixels = cv2.imread(str(micrographs / name))[..., ::-1]
        expected = whole_image_labels(pixels, untrained_weights)
        assert 0 < expected.mean() < 1
        with tifffile.TiffFile(tmp_path / "segmented" / f"{Path(name).stem}.tif") as file:
            page = file.pages[0]
            labels = page.asarray()
            assert page.dtype == np.uint8
            assert page.photometric == tifffile.PHOTOMETRIC.PALETTE
            assert (page.tags.get("ResolutionUnit") is not None) >= calibrated
            if calibrated:
                numerator, denominator = page.tags["XResolution"].value
                assert numerator / denominator == pytest.approx(25_000)  # 0.4 µm/px in pixels per cm
        assert (labels != expected).mean() < 0.002  # batch norms folded, otherwise the same sums
        assert f"{100 * labels.mean():.1f}" in result.stdout
    assert "no scale" in result.stdout
    assert "MP/s" in result.stdout
    assert result.stdout.index("field 9") < result.stdout.index("field 10")


def test_json_is_one_document_and_nothing_else(run, micrographs):
    (micrographs / "broken.tif").write_bytes(b"II*\x00")
    result = run("micrographs", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [field["status"] for field in document["fields"]] == ["failed", "done", "done"]
    assert document["failed"] == 1
    assert document["interrupted"] is False
    assert document["megapixels"] == pytest.approx((100 * 130 + 230 * 60) / 1e6, abs=1e-3)
    assert set(document["stage_seconds"]) == {"read", "network", "blend", "write"}


def test_an_unreadable_file_is_named_and_the_rest_is_done(run, micrographs, tmp_path):
    (micrographs / "broken.tif").write_bytes(b"this is no TIFF")
    result = run("micrographs")
    assert result.exit_code == 1
    assert "broken" in result.stdout
    assert "failed" in result.stdout
    assert "Traceback" not in result.output
    assert len(list((tmp_path / "segmented").glob("*.tif"))) == 2


def test_given_again_it_keeps_what_is_done(run, micrographs, tmp_path):
    run("micrographs", "--output", "out")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("field*")}
    result = run("micrographs", "--output", "out")
    assert result.exit_code == 0
    assert "2 kept" in result.stdout
    assert {p: p.stat().st_mtime_ns for p in times} == times
    assert "2 segmented" in run("micrographs", "--output", "out", "--overwrite").stdout


def test_what_is_excluded_is_labelled_255(run, micrographs, tmp_path):
    mask = np.zeros((100, 130), np.uint8)
    mask[:, 120:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    result = run(
        micrographs / "field 10.tif",
        "--crop-bottom", 8, "--exclude", "mask.png", "--rectangle", "0,0,5,6", "--rectangle", "10,0,5,6",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    labels = tifffile.imread(tmp_path / "segmented" / "field 10.tif")
    expected = mask.astype(bool)
    expected[92:] = expected[:6, :5] = expected[:6, 10:15] = True
    np.testing.assert_array_equal(labels == 255, expected)


def test_memory_that_runs_out_is_told_once_and_every_field_is_done(run, micrographs, tmp_path, monkeypatch):
    """The engine takes no more than 224 x 224 px at once; masks are those of fields that fit."""
    assert run(micrographs, "--output", "roomy", "--overlap", "0", "--tile", "224").exit_code == 0
    tifffile.imwrite(micrographs / "wide.tif", np.full((224, 600, 3), 90, np.uint8), photometric="rgb")
    predict = OpenVinoEngine.predict

    def cramped(engine: OpenVinoEngine, tiles: np.ndarray) -> np.ndarray:
        if np.prod(tiles.shape[:3]) > 224 * 224:
            raise MemoryError("no more of it")
        return predict(engine, tiles)

    monkeypatch.setattr(OpenVinoEngine, "predict", cramped)
    result = run(micrographs, "--overlap", "0")
    assert result.exit_code == 0
    assert (result.stdout + result.stderr).count("memory ran out on cpu") == 1
    assert len(list((tmp_path / "segmented").glob("*.tif"))) == 3
    for name in ("field 10.tif", "field 9.tif"):
        roomy, cramped_mask = (tifffile.imread(tmp_path / out / name) for out in ("roomy", "segmented"))
        np.testing.assert_array_equal(roomy, cramped_mask)


def test_options_reach_the_run(run, micrographs, tmp_path):
    (micrographs / "deeper").mkdir()
    (micrographs / "field 9.png").rename(micrographs / "deeper" / "field 9.png")
    result = run(
        "micrographs", "--recursive", "--probabilities", "--scale", 2, "--tile", 256, "--overlap", 0.3,
        "--pixel-size", 0.5, "--model", "mobilenetv2", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    parameters = json.loads((tmp_path / "segmented" / "segmentation.json").read_text())["parameters"]
    assert parameters["scale"] == 2
    assert parameters["tile"] == 256
    assert parameters["overlap"] == 0.3
    for field in json.loads(result.stdout)["fields"]:
        assert field["calibration"]["pixel_size_um"] == 0.5
        probability = tifffile.imread(tmp_path / "segmented" / field["probability"]["path"])
        labels = tifffile.imread(tmp_path / "segmented" / field["mask"]["path"])
        assert probability.shape == labels.shape == (field["height_px"], field["width_px"])
        np.testing.assert_array_equal(probability >= 128, labels == 1)


def test_a_table_gives_each_field_its_scale(run, micrographs, tmp_path):
    (tmp_path / "scales.csv").write_text("path,pixel_size_um\nmicrographs/field 9,0.25\n")

    result = run("micrographs", "--pixel-size", "scales.csv", "--json")

    assert result.exit_code == 0, result.output
    scales = {field["name"]: field["calibration"] for field in json.loads(result.stdout)["fields"]}
    assert scales["field 9"]["pixel_size_um"] == 0.25
    assert scales["field 9"]["source"] == "scales.csv, line 2 (micrographs/field 9)"
    assert scales["field 10"]["pixel_size_um"] == pytest.approx(0.4)
    assert "no row of scales.csv fits; the scale is what the file states" in scales["field 10"]["warnings"]
    record = json.loads((tmp_path / "segmented" / "segmentation.json").read_text())
    assert record["parameters"]["pixel_size_um"] == "scales.csv"
    # The masks carry their scales; a changed table does its fields anew.
    assert tifffile.TiffFile(tmp_path / "segmented" / "field 9.tif").pages.first.tags[282].value
    (tmp_path / "scales.csv").write_text("path,pixel_size_um\nfield 9,0.5\nmicrographs,0.5\n")
    again = run("micrographs", "--pixel-size", "scales.csv", "--json")
    assert {f["calibration"]["pixel_size_um"] for f in json.loads(again.stdout)["fields"]} == {0.5}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["empty"], "no micrographs found"),
        (["micrographs", "--model", "alexnet"], "alexnet"),
        (["micrographs", "--model", "unet"], "not of 'unet'"),
        (["micrographs", "--weights", "none.safetensors"], "none.safetensors"),
        (["micrographs", "--pixel-size", "-1"], "pixel size"),
        (["micrographs", "--pixel-size", "nan"], "pixel size"),
        (["micrographs", "--rectangle", "1,2,3"], "x,y,w,h"),
        (["micrographs", "--exclude", "none.png"], "none.png"),
        (["micrographs", "--crop-bottom", "-3"], "crop"),
        (["micrographs", "--device", "tpu"], "--device is auto, cpu"),
        (["micrographs", "--tile", "10"], "--tile"),
        (["micrographs", "--overlap", "2"], "--overlap"),
        (["micrographs", "--scale", "0"], "--scale"),
        (["micrographs", "--output", "micrographs/notes.txt"], "a file, not a folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, micrographs, tmp_path, words, told):
    (tmp_path / "empty").mkdir()
    result = run(*words)
    assert result.exit_code == 2
    assert told in error_line(result)
    assert not (tmp_path / "segmented").exists()


def test_no_weights_is_one_line(run, micrographs, monkeypatch, tmp_path):
    monkeypatch.delenv("STEELQUANT_WEIGHTS")
    monkeypatch.setattr("steelquant.networks.weights.SEARCH_FOLDERS", (tmp_path,))
    result = run("micrographs")
    assert result.exit_code == 2
    assert "no trained weights for 'mobilenetv2'" in error_line(result)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64])
def test_damaged_weights_are_one_line(run, micrographs, tmp_path, content):
    (tmp_path / "bad.safetensors").write_bytes(content)
    result = run("micrographs", "--weights", "bad.safetensors")
    assert result.exit_code == 1
    assert "bad.safetensors" in error_line(result)


def test_ctrl_c_shows_what_is_done_and_leaves_130(run, micrographs, monkeypatch):
    predict, calls = OpenVinoEngine.predict, []

    def interrupted(self, tiles):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(self, tiles)

    monkeypatch.setattr(OpenVinoEngine, "predict", interrupted)
    result = run("micrographs")
    assert result.exit_code == 130
    assert "interrupted after 1 of 2 images" in result.stdout
    assert "field 9" in result.stdout


def test_python_does_what_the_command_does(run, micrographs, untrained_weights, tmp_path):
    import steelquant

    run("micrographs", "--output", "by_command")
    done = steelquant.segment("micrographs", output="by_python", weights=untrained_weights)
    assert [field.name for field in done.fields] == ["field 9", "field 10"]
    for path in (tmp_path / "by_command").glob("field*"):
        assert path.read_bytes() == (tmp_path / "by_python" / path.name).read_bytes()


def test_an_ensemble_with_symmetries(run, tmp_path: Path, micrographs: Path, untrained_weights: Path) -> None:
    """Both in one: the masks are those of the mean over both networks and all eight orientations."""
    from steelquant.micrograph.field import STEEL_CLASSES
    from steelquant.networks import build
    from steelquant.networks.weights import WeightsMetadata, write_weights

    folder = tmp_path / "several"
    folder.mkdir()
    (folder / "mobilenetv2.safetensors").write_bytes(untrained_weights.read_bytes())
    torch.manual_seed(3)
    write_weights(folder / "unet.safetensors", build("unet").eval(), WeightsMetadata("unet", STEEL_CLASSES))
    picture = micrographs / "field 9.png"

    result = run(picture, "--ensemble", "mobilenetv2, unet", "--tta", "--weights", folder, "--probabilities")

    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "segmented" / "segmentation.json").read_text(encoding="utf-8"))
    assert record["weights"]["model"] == "mobilenetv2+unet"
    assert len(record["weights"]["sha256"].split("+")) == 2
    assert (record["parameters"]["ensemble"], record["parameters"]["tta"]) == (["mobilenetv2", "unet"], True)
    # The field is reflected up to one tile of 240×224 px; there the mean is taken by hand.
    pixels = np.pad(read_png(picture), ((0, 10), (0, 164), (0, 0)), mode="reflect")
    total = np.zeros(pixels.shape[:2])
    for name in ("mobilenetv2", "unet"):
        engine = load_engine(folder / f"{name}.safetensors", "cpu")[0]
        for turns in range(4):
            for step in (1, -1):
                seen = np.ascontiguousarray(np.rot90(pixels, turns)[:, ::step])
                logits = engine.predict(seen[None])[0].astype(float)
                pearlite = 1 / (1 + np.exp(logits[0] - logits[1]))
                total += np.rot90(pearlite[:, ::step], -turns)
    probability = tifffile.imread(tmp_path / "segmented" / "field 9.probability.tif")
    assert np.abs(probability / 255 - (total / 16)[:230, :60]).max() < 0.01


def read_png(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--model", "unet", "--ensemble", "mobilenetv2"), "exclude each other"),
        (("--ensemble", "mobilenetv2,mobilenetv2"), "names a network twice"),
    ],
)
def test_ensembles_that_make_no_sense(run, micrographs: Path, words: tuple[str, ...], problem: str) -> None:
    result = run(micrographs, *words)
    assert result.exit_code == 2
    assert problem in error_line(result)
