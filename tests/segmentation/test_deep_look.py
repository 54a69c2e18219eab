"""What a network sees in a field: the same in tiles and in strips; unlike fields lie far out."""

from __future__ import annotations

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from steelquant.micrograph.field import STEEL_CLASSES
from steelquant.networks import build
from steelquant.networks.familiarity import parse_familiarity
from steelquant.networks.features import listening
from steelquant.segmentation.averaging import MeanEngine
from steelquant.segmentation.deep_look import DeepSample
from steelquant.segmentation.familiarity import doubts, learn_familiarity, learn_features
from steelquant.segmentation.look import look_at
from steelquant.segmentation.predict import Predictor
from steelquant.segmentation.tiles import fit_grid
from steelquant.segmentation.tiling import Tiling

BLOCK = 224


class ColourEngine:
    """Sees the mean colours of blocks of 224 px; labels nothing but ferrite."""

    name, version, device = "colours", "1", "cpu"

    def __init__(self, gain: float = 1) -> None:
        self.gain = gain
        self.features: np.ndarray | None = None

    def predict(self, tiles: np.ndarray) -> np.ndarray:
        n, height, width, _ = tiles.shape
        logits = np.zeros((n, 2, height, width), np.float32)
        logits[:, 0] = 5
        self.features = np.array(
            [
                [
                    [tile[y : y + BLOCK, x : x + BLOCK].mean(axis=(0, 1)) for x in range(0, width, BLOCK)]
                    for y in range(0, height, BLOCK)
                ]
                for tile in tiles * np.float32(self.gain)
            ],
            np.float32,
        )
        return logits

    def on_cpu(self):
        return None


@pytest.mark.parametrize(("name", "module", "stride"), [("unet", "bridge", 8), ("mobilenetv2", "dec_c1", 16)])
def test_means_over_blocks_of_what_the_decoder_begins_with(name: str, module: str, stride: int) -> None:
    torch.manual_seed(0)
    network = build(name).eval()
    kept: list[np.ndarray] = []
    network.get_submodule(module).register_forward_hook(lambda _m, _i, o: kept.append(o.numpy().copy()))
    image = torch.randn(1, 3, 240, 64)
    with torch.inference_mode(), listening(network) as heard:
        network(image)
    (planes,) = kept[0]
    side = BLOCK // stride
    expected = [planes[:, top : top + side].mean(axis=(1, 2)) for top in (0, side)]
    np.testing.assert_allclose(heard[0][0, :, 0].numpy(), expected, rtol=1e-4, atol=1e-6)
    with torch.inference_mode():
        network(image)
    assert len(heard) == 1  # it listens no longer


def test_other_networks_tell_nothing() -> None:
    with listening(torch.nn.Conv2d(3, 2, 1)) as heard:
        pass
    assert heard == []


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("in_strips", [False, True])
def test_blocks_are_where_the_field_says(texture, scale: float, in_strips: bool) -> None:
    """Each quarter has a colour of its own: a block's colour tells where it lies."""
    size = round(4 * BLOCK / scale)
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[size // 2 :, :, 0] = 200
    pixels[:, size // 2 :, 1] = 200
    tiling = Tiling(tile_px=2 * BLOCK, overlap_px=0, margin_px=0, stride_px=16, batch=1)
    predictor = Predictor(ColourEngine(), tiling, scale=scale, tell=pytest.fail)
    if in_strips:
        rows = lambda first, end: pixels[first:end]  # noqa: E731
        strips, deep = predictor.strips((size, size), rows, lambda *_: None)
        labels = np.concatenate([strip.labels for strip in strips])
    else:
        prediction = predictor.predict(pixels, None)
        labels, deep = prediction.labels, prediction.deep
    seen = deep.seen(labels)
    assert len(seen.features) == 16
    np.testing.assert_allclose(seen.features[:, 0], np.where(seen.centres[:, 0] > 0.5, 200, 0), atol=3)
    np.testing.assert_allclose(seen.features[:, 1], np.where(seen.centres[:, 1] > 0.5, 200, 0), atol=3)
    # Excluded blocks do not count; of a very large field every fourth label will do.
    labels[: size // 2] = 255
    assert len(deep.seen(labels[::4, ::4]).features) == 8
    labels[:] = 255
    assert deep.seen(labels) is None


def test_slivers_at_the_border_do_not_count() -> None:
    grid = fit_grid(500, 250, tile_px=512, overlap_px=0, stride_px=16)
    deep = DeepSample(grid, BLOCK)
    deep.add(np.arange(6, dtype=np.float32).reshape(1, 3, 2, 1))
    seen = deep.seen(np.zeros((500, 250), np.uint8))
    assert seen.features.ravel().tolist() == [0, 2]  # the right column is 26 px wide, the third row 52 high
    part = seen.within((slice(250, 500), slice(0, 250)), (500, 250))
    assert part.ravel().tolist() == [2]


def test_an_engine_without_features_tells_nothing(engine, texture) -> None:
    predictor = Predictor(engine, Tiling(512, 0, 0, 16, 1), tell=pytest.fail)
    prediction = predictor.predict(texture(300, 300), None)
    assert prediction.deep.seen(prediction.labels) is None


def test_small_fields_in_one_call_keep_their_own(texture) -> None:
    predictor = Predictor(ColourEngine(), Tiling(BLOCK, 0, 0, 16, 4), tell=pytest.fail)
    fields = [(np.full((BLOCK, BLOCK, 3), grey, np.uint8), None) for grey in (10, 20, 30)]
    found = [p.deep.seen(p.labels).features for p in predictor.predict_together(fields)]
    assert [features[0, 0] for features in found] == [10, 20, 30]


def test_a_mean_of_networks_sees_what_its_first_one_sees_upright(texture) -> None:
    tile = texture(BLOCK, 2 * BLOCK)[None]
    first = ColourEngine()
    first.predict(tile)
    expected = first.features
    mean = MeanEngine([ColourEngine(), ColourEngine(gain=3)], symmetries=True)
    mean.predict(tile)
    np.testing.assert_array_equal(mean.features, expected)


def _features(rng: np.random.Generator, fields: int) -> list[np.ndarray]:
    """Return blocks whose 40 channels hang on three causes."""
    mixing = np.random.default_rng(9).normal(size=(3, 40))
    return [
        np.expm1(np.abs(2 + 0.2 * rng.normal(size=(4, 3)) @ mixing + 0.05 * rng.normal(size=(4, 40)))).astype(
            np.float32
        )
        for _ in range(fields)
    ]


def test_the_distance_is_that_of_mahalanobis_under_its_gaussian() -> None:
    rng = np.random.default_rng(0)
    spread = learn_features(_features(rng, 150), _features(rng, 150))
    directions = np.array(spread.directions)
    beside = np.eye(40) - directions.T @ directions
    covariance = directions.T @ np.diag(spread.variances) @ directions + spread.rest * beside
    (field,) = _features(rng, 1)
    scaled = (np.log1p(field.astype(float)) - spread.mean) / np.array(spread.scale)
    expected = [mahalanobis(row, np.zeros(40), np.linalg.inv(covariance)) / np.sqrt(40) for row in scaled]
    np.testing.assert_allclose(spread.distances(field), expected, rtol=1e-3)


def test_held_out_fields_lie_within_the_limit_and_others_do_not() -> None:
    rng = np.random.default_rng(1)
    spread = learn_features(_features(rng, 200), _features(rng, 200))
    typical = [np.median(spread.distances(field)) for field in _features(rng, 400)]
    assert np.mean(np.array(typical) > spread.limit) <= 0.02
    for change in (lambda f: f[:, ::-1], lambda f: f * 3, lambda f: f * rng.uniform(0.3, 3, f.shape)):
        far = [np.median(spread.distances(change(field).astype(np.float32))) for field in _features(rng, 20)]
        assert np.mean(np.array(far) > spread.limit) >= 0.9


def test_few_fields_teach_nothing() -> None:
    rng = np.random.default_rng(2)
    assert learn_features(_features(rng, 99), _features(rng, 200)) is None
    assert learn_features(_features(rng, 200), _features(rng, 99)) is None


def _field(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a field half bright and half dark, and which is which."""
    labels = np.zeros((224, 224), np.uint8)
    labels[:, rng.integers(100, 124) :] = 1
    grey = np.where(labels == 0, rng.uniform(160, 180), rng.uniform(90, 110))[..., None]
    return (grey + rng.normal(0, rng.uniform(4, 6), (224, 224, 3))).astype(np.uint8), labels


@pytest.fixture(scope="module")
def familiarity():
    """What 250 such fields look like, and what a network saw in others."""
    rng = np.random.default_rng(3)
    learnt = learn_familiarity([look_at(*_field(rng)) for _ in range(250)], [0.9] * 250)
    return dataclasses.replace(learnt, features=learn_features(_features(rng, 120), _features(rng, 120)))


def test_only_what_the_network_sees_is_told(familiarity) -> None:
    rng = np.random.default_rng(4)
    tell = partial(doubts, look_at(*_field(rng)), 0.9, familiarity, STEEL_CLASSES)
    (field,) = _features(rng, 1)
    assert tell(field) == tell(None)
    assert set(tell(field * 3)) - set(tell(None)) == {
        "100% of it is unlike the training fields in what the network sees in it"
    }


def test_it_survives_the_header_and_older_files_do_without(familiarity) -> None:
    content = json.loads(json.dumps(dataclasses.asdict(familiarity)))
    assert parse_familiarity(content) == familiarity
    del content["features"]
    assert parse_familiarity(content) == dataclasses.replace(familiarity, features=None)


@pytest.mark.parametrize(
    "damage",
    [
        {"rest": 0.0},
        {"limit": float("nan")},
        {"scale": [1.0]},
        {"directions": []},
        {"variances": [1.0]},
        {"mean": None},
    ],
)
def test_a_damaged_one_is_refused(familiarity, damage: dict[str, object]) -> None:
    content = json.loads(json.dumps(dataclasses.asdict(familiarity)))
    content["features"] |= damage
    with pytest.raises((ValueError, TypeError)):
        parse_familiarity(content)
