"""The mean over networks and orientations, against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest

from steelquant.micrograph.field import STEEL_CLASSES
from steelquant.networks.registry import model_info
from steelquant.networks.weights import WeightsMetadata
from steelquant.segmentation.averaging import MeanEngine, combine, combined_tiling
from steelquant.segmentation.tiling import choose_tiling


class Brightness:
    """Logits from a pixel's place in the tile as well as its colour, so that orientation matters."""

    version = "1"
    features = None

    def __init__(self, gain: float, device: str = "cpu") -> None:
        self.name, self.device, self.gain = "arithmetic", device, gain

    def predict(self, tiles: np.ndarray) -> np.ndarray:
        _, height, width, _ = tiles.shape
        slope = np.linspace(-1, 1, height)[:, None] + np.linspace(0, 0.5, width)[None]
        logit = (self.gain * (tiles[..., 0] / 127.5 - 1 + slope)).astype(np.float32)
        return np.ascontiguousarray(np.stack([-logit, logit, 0.3 * logit], axis=1))

    def on_cpu(self) -> Brightness | None:
        return None if self.device == "cpu" else Brightness(self.gain)


def probabilities(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits.astype(float))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.fixture
def tiles() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (2, 24, 40, 3)).astype(np.uint8)


def test_the_mean_of_networks_is_the_mean_of_their_probabilities(tiles: np.ndarray) -> None:
    members = [Brightness(1.0), Brightness(4.0), Brightness(-2.0)]

    logits = MeanEngine(members).predict(tiles)

    expected = np.mean([probabilities(member.predict(tiles)) for member in members], axis=0)
    np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-5)
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous


def test_symmetries_see_the_tile_in_all_eight_orientations(tiles: np.ndarray) -> None:
    member = Brightness(2.0)
    mean = np.exp(MeanEngine([member], symmetries=True).predict(tiles))

    # The definition without a rotation: transposing and flipping generate the same eight.
    total = np.zeros_like(mean, dtype=float)
    for transposed in (False, True):
        for rows in (1, -1):
            for columns in (1, -1):
                seen = tiles.transpose(0, 2, 1, 3) if transposed else tiles
                planes = probabilities(member.predict(seen[:, ::rows, ::columns]))[..., ::rows, ::columns]
                total += planes.transpose(0, 1, 3, 2) if transposed else planes
    np.testing.assert_allclose(mean, total / 8, rtol=1e-5)
    assert np.abs(mean - probabilities(member.predict(tiles))).max() > 0.05


def test_a_certain_network_gives_finite_logits(tiles: np.ndarray) -> None:
    logits = MeanEngine([Brightness(1000.0)]).predict(tiles)
    assert np.isfinite(logits).all()


def test_it_moves_to_the_cpu_with_its_members(tiles: np.ndarray) -> None:
    away = MeanEngine([Brightness(1.0, "cuda:0"), Brightness(2.0, "cuda:0")], symmetries=True)
    here = away.on_cpu()
    assert here is not None
    assert (away.device, here.device) == ("cuda:0", "cpu")
    assert here.on_cpu() is None
    np.testing.assert_array_equal(here.predict(tiles), away.predict(tiles))


def test_one_network_alone_is_left_as_it_is() -> None:
    member = Brightness(1.0)
    assert combine([member], symmetries=False) is member
    metadata = WeightsMetadata("unet", STEEL_CLASSES)
    assert combined_tiling([metadata], "cpu") == choose_tiling(model_info("unet"), "cpu", None, None)


def test_tiles_suit_every_network() -> None:
    metadata = [WeightsMetadata(name, STEEL_CLASSES) for name in ("unet", "mobilenetv2", "segnet")]
    singles = [choose_tiling(model_info(one.model), "cpu", None, None) for one in metadata]

    together = combined_tiling(metadata, "cpu")

    assert all(together.margin_px >= single.margin_px for single in singles)
    assert all(together.stride_px % single.stride_px == 0 for single in singles)
    assert together.overlap_px >= 2 * together.margin_px
    assert together.tile_px >= 4 * together.overlap_px
    assert combined_tiling(metadata, "cpu", tile=480).tile_px == 480
