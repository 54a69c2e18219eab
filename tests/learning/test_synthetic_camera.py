"""Optics and camera against what physics and arithmetic demand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from steelquant.learning.synthetic.camera import CameraPlan, record
from steelquant.learning.synthetic.noise import pair_values, smooth_noise, stretched_noise
from steelquant.learning.synthetic.optics import OpticsPlan, expose, illumination, resolution_sigma_um

PLAIN_CAMERA = CameraPlan(
    exposure=1, balance=(1, 1, 1), gamma=1, contrast=1, black=0, shot_noise=0, read_noise=0, noise_grain_px=1,
    bayer=False, sharpening=0, sharpening_px=1, grey=False, jpeg_quality=0,
)  # fmt: skip
PLAIN_OPTICS = OpticsPlan(
    psf_px=0.4, defocus_px=0, focus_tilt=0, chromatic_px=0, gradient=0, gradient_angle_deg=0, vignette=0,
    vignette_x=0, vignette_y=0, flare=0, hot_spot=0,
)  # fmt: skip


def flat(colour: tuple[float, float, float], size: int = 40) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.float32), (size, size, 3)).copy()


def test_a_bayer_mosaic_keeps_a_flat_colour_and_its_channels() -> None:
    plan = dataclasses.replace(PLAIN_CAMERA, bayer=True)

    picture = record(np.random.default_rng(0), flat((0.8, 0.5, 0.2)), plan)

    assert picture[4:-4, 4:-4].reshape(-1, 3) == pytest.approx(
        np.tile([204, 128, 51], (32 * 32, 1)), abs=1
    )  # fmt: skip


def test_exposure_clips_and_gamma_bends() -> None:
    over = record(
        np.random.default_rng(0), flat((0.9, 0.9, 0.9)), dataclasses.replace(PLAIN_CAMERA, exposure=1.5)
    )
    bent = record(
        np.random.default_rng(0), flat((0.5, 0.5, 0.5)), dataclasses.replace(PLAIN_CAMERA, gamma=2.0)
    )

    assert (over == 255).all()
    assert (bent == 64).all()


def test_noise_has_the_stated_spread() -> None:
    plan = dataclasses.replace(PLAIN_CAMERA, read_noise=9.0)
    shot = dataclasses.replace(PLAIN_CAMERA, shot_noise=12.0)

    dark = record(np.random.default_rng(1), flat((0.5, 0.5, 0.5), 200), plan)
    quarter = record(np.random.default_rng(1), flat((0.25, 0.25, 0.25), 200), shot)

    assert dark[..., 1].std() == pytest.approx(9, rel=0.03)
    # A quarter of the light has half the shot noise of white.
    assert quarter[..., 0].std() == pytest.approx(6, rel=0.03)


def test_grey_pictures_have_equal_channels() -> None:
    picture = record(
        np.random.default_rng(0), flat((0.8, 0.5, 0.2)), dataclasses.replace(PLAIN_CAMERA, grey=True)
    )

    assert (picture == round(255 * (0.299 * 0.8 + 0.587 * 0.5 + 0.114 * 0.2))).all()


def test_resolution_of_a_dry_objective() -> None:
    # Rayleigh's 0.61 λ/NA is 0.42 µm at NA 0.8; the Gaussian's 2.355 σ must be a little below.
    assert 2.355 * resolution_sigma_um(0.8) == pytest.approx(0.61 * 0.55 / 0.8, rel=0.25)
    assert 2.355 * resolution_sigma_um(0.8) < 0.61 * 0.55 / 0.8


def test_light_falls_off_by_the_stated_shares() -> None:
    rng = np.random.default_rng(0)

    ramp = illumination(rng, 60, 80, dataclasses.replace(PLAIN_OPTICS, gradient=0.6))
    corner = illumination(rng, 61, 81, dataclasses.replace(PLAIN_OPTICS, vignette=0.5))

    assert ramp[:, 0] == pytest.approx(1.0)
    assert ramp[:, -1] == pytest.approx(0.4)
    assert corner[30, 40] == pytest.approx(1.0)
    assert corner[0, 0] == pytest.approx(0.5)


def test_a_point_is_spread_to_the_stated_width() -> None:
    scene = np.zeros((41, 41, 3), np.float32)
    scene[20, 20] = 1
    plan = dataclasses.replace(PLAIN_OPTICS, psf_px=1.2, defocus_px=1.6)

    spot = expose(np.random.default_rng(0), scene, plan)[..., 0]

    offset = np.arange(41) - 20
    assert spot.sum() == pytest.approx(1, rel=0.01)
    assert float((spot.sum(axis=0) * offset**2).sum()) == pytest.approx(1.2**2 + 1.6**2, rel=0.05)


def test_smooth_noise_has_unit_spread_at_every_scale() -> None:
    rng = np.random.default_rng(0)
    for scale in (1, 2, 5, 9, 20):
        field = np.stack([smooth_noise(rng, 200, 200, scale) for _ in range(6)])
        assert field.std() == pytest.approx(1, abs=0.22)
        assert abs(field.mean()) < 0.2


def test_stretched_noise_varies_faster_across() -> None:
    field = stretched_noise(np.random.default_rng(0), 300, 300, 60, 6, 0)

    assert np.abs(np.diff(field, axis=0)).mean() > 5 * np.abs(np.diff(field, axis=1)).mean()


def test_pair_values_do_not_care_for_order() -> None:
    a = np.arange(1000, dtype=np.int32)
    b = a[::-1].copy()

    assert (pair_values(a, b, 3) == pair_values(b, a, 3)).all()
    assert len(np.unique(pair_values(a, b, 3))) > 400
