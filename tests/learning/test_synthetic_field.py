"""Synthetic fields: what is true of them must show in their pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from skimage.measure import label

from steelquant.learning.synthetic import Recipe, SyntheticField, synthesize_field

CLEAN = Recipe(
    degraded=0, mounted_edge=0, info_bar=0, scale_bar=0, letter=0, eyepiece=0, wide_crack=0, pure_ferrite=0,
    pure_pearlite=0,
)  # fmt: skip


def synthesize(seed: int, size: int = 192, **changes: object) -> SyntheticField:
    return synthesize_field(dataclasses.replace(CLEAN, **changes), (seed, 0), size, size)  # type: ignore[arg-type]


def test_same_seed_same_field_other_seed_other_field() -> None:
    first, again, other = (synthesize_field(Recipe(), seed, 96, 128) for seed in (4, 4, 5))

    assert (first.pixels == again.pixels).all()
    assert (first.labels == again.labels).all()
    assert (first.grains == again.grains).all()
    assert first.parameters == again.parameters
    assert (first.pixels != other.pixels).mean() > 0.5


def test_shapes_and_types() -> None:
    field = synthesize_field(Recipe(), 0, 100, 130)

    assert (field.pixels.shape, field.pixels.dtype) == ((100, 130, 3), np.uint8)
    assert (field.labels.shape, field.labels.dtype) == ((100, 130), np.uint8)
    assert (field.grains.shape, field.grains.dtype) == ((100, 130), np.int32)
    assert 0.05 <= field.pixel_size_um <= 0.9


@pytest.mark.parametrize("arrangement", ["random", "clustered", "banded"])
@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.7, 0.95])
def test_pearlite_fraction_is_the_wanted_one(arrangement: str, fraction: float) -> None:
    weights = {name: float(name == arrangement) for name in ("random", "clustered", "banded", "network")}
    field = synthesize(
        8, 256, pearlite_fraction=(fraction, fraction), grain_diameter_px=(12, 30), films=0, plates=0,
        **weights,
    )  # fmt: skip

    assert set(np.unique(field.labels)) <= {0, 1}
    assert (field.labels == 1).mean() == pytest.approx(fraction, abs=0.02)


def test_pure_fields_have_one_phase() -> None:
    assert (synthesize(1, pure_ferrite=1).labels == 0).all()
    assert (synthesize(1, pure_pearlite=1).labels == 1).all()


@pytest.mark.parametrize("seed", range(6))
def test_pearlite_is_darker_than_ferrite_in_clean_fields(seed: int) -> None:
    field = synthesize(seed, pearlite_fraction=(0.3, 0.7), exposure=(0.7, 1.0))

    grey = field.pixels.mean(axis=2)
    ferrite, pearlite = np.median(grey[field.labels == 0]), np.median(grey[field.labels == 1])
    assert pearlite < 0.85 * ferrite


@pytest.mark.parametrize("seed", range(4))
def test_grains_are_the_ferrite_and_each_is_one_piece(seed: int) -> None:
    field = synthesize_field(Recipe(degraded=1), (seed, 3), 160, 200)

    assert ((field.grains > 0) == (field.labels == 0)).all()
    pieces = label(field.grains, background=0, connectivity=1)
    assert pieces.max() == field.grains.max()


def test_ferrite_grains_have_the_wanted_size() -> None:
    field = synthesize(2, 384, pure_ferrite=1, grain_diameter_px=(24, 24))

    diameter = np.sqrt(4 / np.pi * field.labels.size / field.grains.max())
    # Pieces at the rim of the field are counted whole, so the mean is a little low.
    assert 17 < diameter < 27


def test_banded_pearlite_lies_in_bands() -> None:
    ratios = []
    for seed in range(4):
        field = synthesize(
            seed, 384, pearlite_fraction=(0.4, 0.4), grain_diameter_px=(12, 12), aspect=(1, 1),
            films=0, plates=0, random=0, clustered=0, network=0,
        )  # fmt: skip
        pearlite = (field.labels == 1).astype(float)
        along = abs(field.parameters["structure"]["rolling_angle_deg"]) % 180
        if 20 < along < 70 or 110 < along < 160:
            continue
        across, lengthwise = pearlite.mean(axis=1).std(), pearlite.mean(axis=0).std()
        ratios.append(across / lengthwise if along <= 20 or along >= 160 else lengthwise / across)
    assert np.median(ratios) > 1.3


@pytest.mark.parametrize("thing", ["info_bar", "scale_bar", "letter"])
def test_what_is_drawn_over_the_field_is_labelled_so(thing: str) -> None:
    # Compression would change pixels everywhere.
    seed = next(s for s in range(20) if not synthesize(s, 64).parameters["camera"]["jpeg_quality"])

    bare, drawn = synthesize(seed, 256), synthesize(seed, 256, **{thing: 1})

    changed = (bare.pixels != drawn.pixels).any(axis=2)
    assert changed.any()
    assert (drawn.labels[changed] == 255).all()
    assert (drawn.labels[drawn.labels != 255] == bare.labels[drawn.labels != 255]).all()


def test_resin_is_no_steel_and_decarburised_steel_is_ferrite() -> None:
    field = synthesize(
        3, 256, mounted_edge=1, decarburised=1, pearlite_fraction=(0.6, 0.6), grain_diameter_px=(12, 12),
        network=0, films=0, plates=0,
    )  # fmt: skip

    resin = field.labels == 255
    share = field.parameters["surroundings"]["resin_share"]
    assert resin.mean() == pytest.approx(share, abs=0.06)
    # Pearlite keeps away from the rim.
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(~resin)
    reach = field.parameters["surroundings"]["decarburised_px"]
    skin, core = (depth > 0) & (depth < 0.4 * reach), depth > 1.6 * reach
    assert (field.labels[skin] == 1).mean() < 0.03
    if core.any():
        assert (field.labels[core] == 1).mean() > 0.4


def test_outside_the_eyepiece_is_no_steel_and_dark() -> None:
    field = synthesize(5, 256, eyepiece=1, exposure=(1, 1))

    corners = field.labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).sum() >= 2
    assert field.labels[128, 128] != 255
    inside = field.pixels[field.labels != 255].mean()
    assert field.pixels[field.labels == 255].mean() < inside


def test_a_wide_crack_is_no_steel() -> None:
    assert 0 < (synthesize(1, 256, wide_crack=1).labels == 255).mean() < 0.3


def test_degraded_fields_say_what_was_done() -> None:
    field = synthesize(1, degraded=1)

    assert 1 <= len(field.parameters["degradations"]) <= 4


def test_sizes_below_the_least_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        synthesize_field(Recipe(), 0, 16, 100)
