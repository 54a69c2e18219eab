"""How one field is lit, focused and stored, drawn from the recipe."""

from __future__ import annotations

import numpy as np

from steelquant.learning.synthetic.camera import CameraPlan
from steelquant.learning.synthetic.draw import Draw
from steelquant.learning.synthetic.optics import OpticsPlan, resolution_sigma_um
from steelquant.learning.synthetic.recipe import Recipe


def draw_optics(draw: Draw, recipe: Recipe, pixel_size_um: float, ugly: tuple[str, ...]) -> OpticsPlan:
    """Draw the light and the lens; `pixel_size_um` is that of the rendered field."""
    # Objectives that make sense at this pixel size, from low to high power.
    aperture = float(np.clip(0.2 / pixel_size_um, 0.12, 0.95)) * draw.uniform((0.6, 1.0))
    psf = float(np.clip(resolution_sigma_um(aperture) / pixel_size_um, 0.4, 1.4))
    mild = draw.happens(0.4)
    return OpticsPlan(
        psf_px=psf,
        defocus_px=draw.log(recipe.defocus_px)
        if "defocus" in ugly
        else (draw.uniform((0, 0.9)) if mild else 0.0),
        focus_tilt=draw.uniform((0, 1)) if draw.happens(0.3) else 0.0,
        chromatic_px=draw.log((0.05, 1.5)) if draw.happens(0.3) else 0.0,
        gradient=draw.uniform(recipe.gradient) if "gradient" in ugly else draw.uniform((0, 0.12)),
        gradient_angle_deg=draw.uniform((0, 360)),
        vignette=draw.uniform(recipe.vignette) if "vignette" in ugly else draw.uniform((0, 0.12)),
        vignette_x=float(draw.rng.normal(0, 0.2)),
        vignette_y=float(draw.rng.normal(0, 0.2)),
        flare=draw.uniform((0.05, 0.35)) if "flare" in ugly else draw.uniform((0, 0.04)),
        hot_spot=draw.uniform((0.1, 0.5)) if "flare" in ugly and mild else 0.0,
    )


def draw_camera(draw: Draw, recipe: Recipe, pearlite_grey: float, ugly: tuple[str, ...]) -> CameraPlan:
    """Draw the camera; `pearlite_grey` keeps the phases from clipping alike or drowning in noise."""
    rng = draw.rng
    exposure = draw.uniform(recipe.exposure)
    if "overexposed" in ugly:
        # Clipping ferrite is ugly; clipping pearlite too would leave nothing to segment.
        exposure = max(1.0, min(draw.uniform((1.25, 1.9)), 0.65 / pearlite_grey))
    elif "underexposed" in ugly:
        exposure = draw.uniform((0.22, 0.5))
    contrast = draw.uniform((0.25, 0.65)) if "low_contrast" in ugly else draw.uniform((0.85, 1.0))
    cast = draw.log((0.01, 0.22)) if draw.happens(0.6) else 0.02
    red, green, blue = np.exp(cast * rng.normal(0, 1, 3) * (1, 0.5, 1)).tolist()
    brightest = max(red, green, blue) if exposure < 1 else 1.0
    noise = draw.log(recipe.noise) if "noise" in ugly else draw.log((0.3, 6.0))
    # More noise than the phases differ by would hide them from anyone.
    noise = min(noise, 0.7 * 255 * contrast * (min(1.0, exposure) - min(1.0, exposure * pearlite_grey)))
    shot = draw.uniform((0, 1))
    sharpened = draw.happens(0.35)
    compressed = "jpeg" in ugly or draw.happens(0.5)
    return CameraPlan(
        exposure=exposure,
        balance=(red / brightest, green / brightest, blue / brightest),
        gamma=draw.log(recipe.gamma) if "gamma" in ugly else draw.log((0.85, 1.2)),
        contrast=contrast,
        black=draw.uniform((0, 1 - contrast))
        if "low_contrast" in ugly
        else draw.uniform((0, 1 - contrast)) * 0.5,
        shot_noise=noise * shot,
        read_noise=noise * float(np.sqrt(1 - shot**2)),
        noise_grain_px=draw.uniform((1.3, 2.5)) if draw.happens(0.2) else 1.0,
        bayer=draw.happens(0.5),
        sharpening=draw.log((0.2, 2.5)) * min(1.0, 6 / (noise + 1)) if sharpened else 0.0,
        sharpening_px=draw.uniform((0.7, 3.0)),
        grey=not draw.happens(recipe.colour),
        jpeg_quality=round(draw.log(recipe.jpeg_quality))
        if "jpeg" in ugly
        else int(rng.integers(75, 97)) * compressed,
    )
