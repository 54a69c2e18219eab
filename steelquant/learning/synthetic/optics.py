"""From the specimen's brightness to the picture in the camera's plane: light, lens and focus."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from steelquant.learning.synthetic.noise import Float, smooth_noise

WAVELENGTH_UM = 0.55


@dataclass(frozen=True)
class OpticsPlan:
    """How the microscope sees one field.

    Attributes
    ----------
    psf_px
        Standard deviation of the lens's point spread, see `resolution_sigma_um`.
    defocus_px
        Standard deviation of the blur from wrong focus.
    focus_tilt
        Share of the defocus that grows from one side of the field to the other.
    chromatic_px
        How far red and blue lie apart in the corners.
    gradient, gradient_angle_deg
        Loss of light from one side to the other, 0–1.
    vignette, vignette_x, vignette_y
        Loss of light in the corners, 0–1, and where its middle lies, as a share of half the field.
    flare
        Stray light over the whole field, as a share of white.
    hot_spot
        Strength of a soft bright spot from a wrong Köhler setting.
    """

    psf_px: float
    defocus_px: float
    focus_tilt: float
    chromatic_px: float
    gradient: float
    gradient_angle_deg: float
    vignette: float
    vignette_x: float
    vignette_y: float
    flare: float
    hot_spot: float


def resolution_sigma_um(numerical_aperture: float) -> float:
    """Return the standard deviation of the Gaussian nearest to the Airy disc: ``0.21 λ / NA``.

    Zhang, Zerubia, Olivo-Marin, Applied Optics 46 (2007) 1819, for a wide-field microscope.
    """
    return 0.21 * WAVELENGTH_UM / numerical_aperture


def expose(rng: np.random.Generator, scene: Float, plan: OpticsPlan) -> Float:
    """Return the light that reaches the camera, ``(height, width, 3)``, from the scene's brightness."""
    height, width = scene.shape[:2]
    image = _blur(rng, scene, plan)
    image *= illumination(rng, height, width, plan)[..., None]
    if plan.chromatic_px > 0.05:
        image = _chromatic(image, plan.chromatic_px)
    image += np.float32(plan.flare)
    return image


def illumination(rng: np.random.Generator, height: int, width: int, plan: OpticsPlan) -> Float:
    """Return how much light falls on each place, at most 1 but for the hot spot."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    angle = np.deg2rad(plan.gradient_angle_deg)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    ramp = ((x * c + y * s) / (abs(c) + abs(s)) + 1) / 2
    light = 1 - np.float32(plan.gradient) * ramp
    if plan.vignette > 0:
        radius2 = ((x - np.float32(plan.vignette_x)) ** 2 + (y - np.float32(plan.vignette_y)) ** 2) / 2
        light = light * np.maximum(1 - np.float32(plan.vignette) * radius2, np.float32(0.1))
    if plan.hot_spot > 0:
        cx, cy, size = rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.6), rng.uniform(0.3, 1.0)
        spot = np.exp(-((x - np.float32(cx)) ** 2 + (y - np.float32(cy)) ** 2) / np.float32(size**2))
        light = light + np.float32(plan.hot_spot) * spot
    return np.asarray(light, np.float32)


def _blur(rng: np.random.Generator, scene: Float, plan: OpticsPlan) -> Float:
    sigma = float(np.hypot(plan.psf_px, plan.defocus_px))
    sharp = np.asarray(cv2.GaussianBlur(scene, (0, 0), max(plan.psf_px, 0.3)), np.float32)
    if sigma - plan.psf_px < 0.1:
        return sharp
    soft = np.asarray(cv2.GaussianBlur(scene, (0, 0), sigma), np.float32)
    if plan.focus_tilt <= 0:
        return soft
    height, width = scene.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + 1) / 2
    ramp = ramp + np.float32(0.15) * smooth_noise(rng, height, width, 0.3 * min(height, width) + 2)
    weight = 1 - np.float32(plan.focus_tilt) * np.clip(ramp, 0, 1)
    return np.asarray(sharp + weight[..., None] * (soft - sharp), np.float32)


def _chromatic(image: Float, shift_px: float) -> Float:
    """Magnify red and shrink blue a little about the middle, as a cheap lens does."""
    height, width = image.shape[:2]
    half = float(np.hypot(height, width)) / 2
    for channel, sign in ((0, 1), (2, -1)):
        zoom = 1 + sign * shift_px / half
        centre = ((width - 1) / 2, (height - 1) / 2)
        matrix = cv2.getRotationMatrix2D(centre, 0, zoom)
        image[..., channel] = cv2.warpAffine(
            np.ascontiguousarray(image[..., channel]), matrix, (width, height), borderMode=cv2.BORDER_REFLECT
        )
    return image
