"""Fields through tiles, against what each pixel must be without any."""

from __future__ import annotations

import numpy as np
import pytest

from steelquant.networks.registry import MODELS, model_info
from steelquant.segmentation import tiling as tiling_module
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.tiles import SMALLEST_TILE_PX
from steelquant.segmentation.tiling import Tiling, choose_tiling

SMALL = Tiling(tile_px=256, overlap_px=64, margin_px=16, stride_px=16, batch=1)


def _predictor(engine, tiling=SMALL, **options):
    return Predictor(engine, tiling, tell=pytest.fail, **options)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (640, 3), (257, 255), (601, 777)])
@pytest.mark.parametrize("batch", [1, 4])
def test_tiles_change_nothing_where_the_network_looks_at_one_pixel(engine, texture, shape, batch):
    pixels = texture(*shape)
    tiling = Tiling(256, 64, 16, 16, batch)
    prediction = _predictor(engine, tiling).predict(pixels, None, probabilities=True)
    logit = (128 - pixels[..., 1].astype(float)) / 16
    np.testing.assert_array_equal(prediction.labels, logit > 0)
    expected = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(prediction.probability, expected * 255, atol=0.51)
    assert prediction.confidence == pytest.approx(
        np.maximum(expected, 1 - expected)[::4, ::4].mean(), abs=0.02
    )
    assert max(shape[0] for shape in engine.shapes) <= batch


def test_a_probability_of_128_or_more_is_what_was_labelled_pearlite(engine):
    pixels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    prediction = _predictor(engine).predict(pixels, None, probabilities=True)
    np.testing.assert_array_equal(prediction.probability >= 128, prediction.labels == 1)


def test_what_lies_beside_padding_has_no_say(texture):
    """An engine that is wrong within 16 px of every tile's border, except at the field's own border."""
    pixels = texture(700, 500)

    class WrongAtBorders:
        name, device, features = "wrong", "cpu", None

        def predict(self, tiles):
            logits = np.zeros((1, 2, *tiles.shape[1:3]), np.float32)
            logits[:, 1] = 128 - tiles[..., 1].astype(np.float32)
            right = logits.copy()
            logits[:, 1] = 1e6
            logits[..., 16:-16, 16:-16] = right[..., 16:-16, 16:-16]
            return logits

        def on_cpu(self):
            return None

    labels = _predictor(WrongAtBorders()).predict(pixels, None).labels
    inner = np.s_[16:-24, 16:-28]  # the field's border and its padding to whole strides
    np.testing.assert_array_equal(labels[inner], pixels[inner][..., 1] < 128)


def test_excluded_pixels_are_labelled_255_and_do_not_make_the_network_unsure(engine):
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:, 200:] = 128  # here the engine says one half
    excluded = np.zeros((300, 400), bool)
    excluded[:, 200:] = True
    prediction = _predictor(engine).predict(pixels, excluded)
    assert (prediction.labels[:, :200] == 1).all()
    assert (prediction.labels[:, 200:] == 255).all()
    assert prediction.confidence > 0.999
    assert _predictor(engine).predict(pixels, ~excluded).confidence == pytest.approx(0.5)
    assert _predictor(engine).predict(pixels, np.ones((300, 400), bool)).confidence is None


def test_three_classes_take_the_largest_logit(texture):
    pixels = texture(300, 500)

    class Channels:
        name, device, features = "channels", "cpu", None

        def predict(self, tiles):
            return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2).astype(np.float32) / 32)

        def on_cpu(self):
            return None

    prediction = _predictor(Channels()).predict(pixels, None, probabilities=True)
    logits = pixels.astype(float) / 32
    np.testing.assert_array_equal(prediction.labels, logits.argmax(axis=2))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(prediction.probability, softmax[..., 1] * 255, atol=0.51)


@pytest.mark.parametrize("scale", [0.5, 2.0, 1.37])
def test_scale_is_what_the_network_sees_not_the_size_of_the_mask(engine, scale):
    pixels = np.full((400, 600, 3), 200, np.uint8)
    pixels[100:300, 160:440] = 40
    prediction = _predictor(engine, scale=scale).predict(pixels, None, probabilities=True)
    assert prediction.labels.shape == prediction.probability.shape == (400, 600)
    assert (prediction.labels != (pixels[..., 0] < 128)).mean() < 0.005
    seen = sum(np.prod(shape[1:3]) for shape in engine.shapes)
    assert seen >= 400 * 600 * scale**2


def test_scale_of_a_single_pixel(engine):
    assert _predictor(engine, scale=0.05).predict(np.zeros((1, 1, 3), np.uint8), None).labels.shape == (1, 1)


def test_memory_that_runs_out_makes_batches_then_tiles_smaller_and_says_so_once(make_engine, texture):
    pixels = texture(900, 1000)
    engine = make_engine("cuda:0", most_px=300 * 300)
    told = []
    predictor = Predictor(engine, Tiling(512, 64, 16, 16, 8), tell=told.append)
    labels = predictor.predict(pixels, None).labels
    np.testing.assert_array_equal(labels, pixels[..., 1] < 128)
    assert len(told) == 1
    assert "cuda:0" in told[0]
    assert predictor.tiling.batch == 1
    assert predictor.tiling.tile_px == 256
    assert predictor.engine is engine
    calls = len(engine.shapes)
    predictor.predict(pixels, None)
    assert all(np.prod(shape[:3]) <= 300 * 300 for shape in engine.shapes[calls:])


def test_fields_of_one_size_go_through_a_gpu_together(make_engine, texture):
    """In one call, and with the labels, probabilities and exclusions that each has alone."""
    fields = [(texture(300, 400), None), (texture(300, 400)[::-1].copy(), np.zeros((300, 400), bool))]
    fields[1][1][:50] = True
    engine = make_engine("cuda:0")
    predictor = _predictor(engine, Tiling(512, 64, 16, 16, 2))
    assert predictor.fields_at_once((300, 400)) == 2 * 512**2 // (304 * 400)
    assert predictor.fields_at_once((600, 400)) == 1  # it takes several tiles
    assert _predictor(engine, Tiling(512, 64, 16, 16, 1)).fields_at_once((300, 400)) == 1
    assert _predictor(engine, Tiling(512, 64, 16, 16, 2), scale=2).fields_at_once((100, 100)) == 1
    together = predictor.predict_together(fields, probabilities=True)
    assert engine.shapes == [(2, 304, 400, 3)]
    for prediction, field in zip(together, fields, strict=True):
        alone = _predictor(make_engine()).predict(*field, probabilities=True)
        np.testing.assert_array_equal(prediction.labels, alone.labels)
        np.testing.assert_array_equal(prediction.probability, alone.probability)
        assert prediction.confidence == pytest.approx(alone.confidence)


def test_fields_that_do_not_fit_together_go_one_by_one(make_engine, texture):
    engine, told = make_engine("cuda:0", most_px=300 * 400), []
    predictor = Predictor(engine, Tiling(512, 64, 16, 16, 2), tell=told.append)
    fields = [(texture(250, 320), None), (texture(250, 320)[::-1].copy(), None)]
    for prediction, (pixels, _) in zip(predictor.predict_together(fields), fields, strict=True):
        np.testing.assert_array_equal(prediction.labels, pixels[..., 1] < 128)
    assert [len(shape) and shape[0] for shape in engine.shapes] == [2, 1, 1]
    assert len(told) == 1


def test_memory_that_runs_out_for_single_small_tiles_leads_to_the_cpu(make_engine, texture):
    pixels = texture(300, 300)
    predictor = Predictor(make_engine("cuda:0", most_px=10), Tiling(256, 64, 16, 16, 2), tell=lambda _: None)
    labels = predictor.predict(pixels, None).labels
    np.testing.assert_array_equal(labels, pixels[..., 1] < 128)
    assert predictor.engine.device == "cpu"


def test_memory_that_runs_out_on_the_cpu_too_is_an_error(make_engine, texture):
    with pytest.raises(MemoryError):
        Predictor(make_engine(most_px=10), SMALL, tell=lambda _: None).predict(texture(300, 300), None)


@pytest.mark.parametrize("name", [*MODELS, "smp:Unet:resnet18"])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_tiles_of_every_model_are_whole_strides_with_its_halo(name, device):
    info = model_info(name)
    tiling = choose_tiling(info, device, None, None)
    grid = tiling.grid(1542, 2080)
    for axis in (grid.rows, grid.columns):
        assert axis.tile_px % info.stride_px == 0
        assert not np.any(np.array(axis.origins_px) % info.stride_px)
    assert tiling.overlap_px >= 2 * tiling.margin_px


@pytest.mark.parametrize(
    ("device", "memory_gib", "tile_px", "batch"),
    [
        ("cpu", None, 2592, 1),
        ("cpu", 8, 2592, 1),
        ("cpu", 4, 2240, 1),
        ("cuda:0", None, 2592, 2),
        ("cuda:0", 24, 2592, 2),
        ("cuda:0", 8, 2592, 1),
        ("cuda:0", 0.01, SMALLEST_TILE_PX, 1),
    ],
)
def test_memory_limits_tiles_and_batches(monkeypatch, device, memory_gib, tile_px, batch):
    memory = None if memory_gib is None else round(memory_gib * 2**30)
    monkeypatch.setattr(tiling_module, "memory_bytes", lambda _: memory)
    tiling = choose_tiling(MODELS["mobilenetv2"], device, None, None)
    assert (tiling.tile_px, tiling.batch) == (tile_px, batch)
    assert choose_tiling(MODELS["mobilenetv2"], device, 640, None).tile_px == 640
    if memory is not None and tile_px > SMALLEST_TILE_PX:
        assert tile_px**2 * batch * 212 <= memory / 4


def test_tile_and_overlap_rule():
    tiling = choose_tiling(MODELS["unet"], "cpu", 320, 0.5)
    assert tiling.grid(1000, 1000).tile_shape[0] <= 320
    assert tiling.overlap_px == 160
    assert choose_tiling(MODELS["unet"], "cpu", SMALLEST_TILE_PX, 0.0).overlap_px == 0
