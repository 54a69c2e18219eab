"""What each degradation does to a picture, against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from steelquant.learning.degradation import CLEAN, DEGRADATIONS, Degradation, contrast, stains
from steelquant.micrograph.field import EXCLUDED

BY_NAME = {d.name: d for d in DEGRADATIONS}


@pytest.fixture
def field() -> tuple[np.ndarray, np.ndarray]:
    """Bright ferrite with dark squares, and their labels with an unlabelled strip."""
    labels = np.zeros((120, 160), np.uint8)
    labels[20:60, 30:90] = 1
    labels[:, 100:104] = EXCLUDED
    pixels = np.where(labels[..., None] == 1, (60, 50, 40), (235, 240, 245)).astype(np.uint8)
    return pixels, labels


def test_the_list_is_the_announced_one() -> None:
    assert [d.name for d in DEGRADATIONS] == [
        *("scale ×0.5", "scale ×0.75", "scale ×1.5", "scale ×2", "grey", "blur σ 1 px", "blur σ 2 px"),
        *("gamma 0.6", "gamma 1.6", "contrast 35 %", "light gradient 30 %", "light gradient 60 %"),
        *("vignette 50 %", "noise σ 10", "noise σ 25", "JPEG 30", "40 scratches", "6 stains"),
    ]


@pytest.mark.parametrize("degradation", DEGRADATIONS, ids=lambda d: d.name)
def test_every_degradation_repeats_itself_and_changes_the_picture(
    degradation: Degradation, field: tuple[np.ndarray, np.ndarray]
) -> None:
    pixels, labels = field
    before = pixels.copy()

    first, its_labels = degradation.apply(pixels, labels, (1, 2))
    again, _ = degradation.apply(pixels, labels, (1, 2))

    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(pixels, before)
    assert first.dtype == np.uint8
    assert first.shape[:2] == its_labels.shape
    assert first.shape != pixels.shape or (first != pixels).any()
    assert set(np.unique(its_labels)) == {0, 1, EXCLUDED}


@pytest.mark.parametrize("name", ["light gradient 60 %", "noise σ 10", "40 scratches", "6 stains"])
def test_the_seed_decides_what_is_random(name: str, field: tuple[np.ndarray, np.ndarray]) -> None:
    outcomes = {BY_NAME[name].apply(*field, (0, n))[0].tobytes() for n in range(8)}

    assert len(outcomes) > 1


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.5, 2.0])
def test_scale_takes_the_labels_along(factor: float, field: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, labels = Degradation("x", scale=factor).apply(*field)

    assert labels.shape == (120 * factor, 160 * factor)
    # Dark is pearlite before as after, away from the interpolated borders.
    dark = pixels[..., 1] < 145
    assert (dark == (labels == 1))[labels != EXCLUDED].mean() > 0.99
    assert (labels == 1).mean() == pytest.approx((field[1] == 1).mean(), rel=0.03)


def test_clean_is_clean(field: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, labels = CLEAN.apply(*field)

    np.testing.assert_array_equal(pixels, field[0])
    np.testing.assert_array_equal(labels, field[1])


def test_light_falls_off_as_stated() -> None:
    white = np.full((101, 201, 3), 200, np.uint8)
    labels = np.zeros((101, 201), np.uint8)

    for n in range(6):
        lit = BY_NAME["light gradient 60 %"].apply(white, labels, (n,))[0][..., 0]
        assert lit.max() == 200
        assert lit.min() == 80
    vignetted = BY_NAME["vignette 50 %"].apply(white, labels)[0][..., 0]
    assert vignetted[50, 100] == 200
    assert vignetted[50, 0] == vignetted[0, 100] == 100
    assert vignetted[0, 0] == vignetted.min() < 70


def test_tones_by_hand(field: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, labels = field

    bright = BY_NAME["gamma 0.6"].apply(pixels, labels)[0]
    dark = BY_NAME["gamma 1.6"].apply(pixels, labels)[0]
    faint = BY_NAME["contrast 35 %"].apply(pixels, labels)[0]
    grey = BY_NAME["grey"].apply(pixels, labels)[0]

    assert bright[30, 40].tolist() == [round(255 * (v / 255) ** 0.6) for v in (60, 50, 40)]
    assert dark[30, 40].tolist() == [round(255 * (v / 255) ** 1.6) for v in (60, 50, 40)]
    # Ferrite, the bright phase, stays; pearlite keeps 35 % of its distance to it.
    assert faint[0, 0].tolist() == [235, 240, 245]
    assert faint[30, 40] == pytest.approx(
        [b - 0.35 * (b - p) for b, p in ((235, 60), (240, 50), (245, 40))], abs=1
    )
    assert (grey.max(axis=2) == grey.min(axis=2)).all()
    assert contrast(1.0)(pixels, np.random.default_rng()).tolist() == pixels.tolist()


def test_noise_has_its_sigma() -> None:
    middle = np.full((200, 200, 3), 128, np.uint8)

    for name, sigma in (("noise σ 10", 10), ("noise σ 25", 25)):
        noisy = BY_NAME[name].apply(middle, np.zeros((200, 200), np.uint8))[0].astype(float) - 128
        assert noisy.std() == pytest.approx(sigma, rel=0.03)
        assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.03


def test_blur_has_its_sigma() -> None:
    offsets = np.arange(41) - 20
    # The derivative of a blurred edge is the kernel.
    edge = np.zeros((41, 41, 3), np.uint8)
    edge[:, 20:] = 255
    for name, sigma in (("blur σ 1 px", 1), ("blur σ 2 px", 2)):
        profile = np.diff(BY_NAME[name].apply(edge, np.zeros((41, 41), np.uint8))[0][20, :, 0].astype(float))
        places = offsets[:-1] + 0.5
        mean = (places * profile).sum() / profile.sum()
        assert np.sqrt(((places - mean) ** 2 * profile).sum() / profile.sum()) == pytest.approx(
            sigma, rel=0.05
        )


def test_scratches_and_stains_cover_a_part() -> None:
    white = np.full((300, 400, 3), 200, np.uint8)
    labels = np.zeros((300, 400), np.uint8)

    scratched = BY_NAME["40 scratches"].apply(white, labels)[0]
    stained = BY_NAME["6 stains"].apply(white, labels)[0]

    assert 0.01 < (np.abs(scratched[..., 0].astype(int) - 200) > 20).mean() < 0.3
    assert (scratched > 210).any()
    assert 0.03 < (stained[..., 0] < 180).mean() < 0.6
    brown = stained[stained[..., 0] < 150].astype(float)
    assert (brown[:, 0] > brown[:, 2]).all()
    assert (stains(0)(white, np.random.default_rng()) == white).all()
