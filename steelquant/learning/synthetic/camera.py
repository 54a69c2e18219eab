"""From light to a stored picture: sensor, colour mosaic, tone, sharpening, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.noise import Float, smooth_noise


@dataclass(frozen=True)
class CameraPlan:
    """How the camera and its software store one field.

    Attributes
    ----------
    exposure
        Factor on the light; above 1 bright ferrite is clipped.
    balance
        Gains ``(red, green, blue)`` of a wrong white balance.
    gamma
        Exponent on the tones, 0–1.
    contrast, black
        Range of tones that the picture uses, and its lowest tone: ``black + contrast · tone``.
    shot_noise, read_noise
        Standard deviations in 8-bit grey levels: of white, growing with the root of the light; everywhere.
    noise_grain_px
        Size of the noise's grain; 1 for independent pixels.
    bayer
        Whether the colours were sampled through a Bayer mosaic.
    sharpening, sharpening_px
        Strength and radius of the unsharp mask with its halo.
    grey
        Whether the picture is grey.
    jpeg_quality
        0 for none.
    """

    exposure: float
    balance: tuple[float, float, float]
    gamma: float
    contrast: float
    black: float
    shot_noise: float
    read_noise: float
    noise_grain_px: float
    bayer: bool
    sharpening: float
    sharpening_px: float
    grey: bool
    jpeg_quality: int


def record(rng: np.random.Generator, light: Float, plan: CameraPlan) -> NDArray[np.uint8]:
    """Return the 8-bit picture of a field of light, ``(height, width, 3)`` RGB."""
    height, width = light.shape[:2]
    image = light * (np.float32(plan.exposure) * np.array(plan.balance, np.float32))
    np.clip(image, 0, 1, out=image)
    if plan.grey:
        luminance = image @ np.array([0.299, 0.587, 0.114], np.float32)
        image = luminance[..., None]
    if plan.gamma != 1:
        image = np.power(image, np.float32(plan.gamma))
    image = np.float32(plan.black) + np.float32(plan.contrast) * image
    image = _add_noise(rng, image, plan)
    if image.ndim == 2:
        image = image[..., None]
    if plan.bayer and not plan.grey:
        image = _through_mosaic(image)
    if plan.sharpening > 0:
        soft = cv2.GaussianBlur(image, (0, 0), plan.sharpening_px).reshape(image.shape)
        image = image + np.float32(plan.sharpening) * (image - soft)
    stored = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    if stored.shape[2] == 1:
        stored = np.repeat(stored, 3, axis=2)
    return np.ascontiguousarray(stored.reshape(height, width, 3))


def _add_noise(rng: np.random.Generator, image: Float, plan: CameraPlan) -> Float:
    if plan.shot_noise <= 0 and plan.read_noise <= 0:
        return image
    height, width, channels = image.shape
    if plan.noise_grain_px > 1.2:
        grains = [smooth_noise(rng, height, width, plan.noise_grain_px) for _ in range(channels)]
        noise = np.stack(grains, axis=-1)
    else:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
    # Cameras that interpolate colours leave noise that the channels share.
    noise[..., 1:] *= np.float32(0.8)
    noise[..., 1:] += np.float32(0.6) * noise[..., :1]
    sigma = np.sqrt(np.float32(plan.read_noise**2) + np.float32(plan.shot_noise**2) * np.maximum(image, 0))
    result: Float = image + noise * sigma / np.float32(255)
    return result


def _through_mosaic(image: Float) -> Float:
    """Sample each pixel in one colour only (RGGB) and interpolate the others."""
    stored = np.clip(np.rint(image * 65535), 0, 65535).astype(np.uint16)
    mosaic = stored[..., 1].copy()
    mosaic[0::2, 0::2] = stored[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = stored[1::2, 1::2, 2]
    # OpenCV names a pattern by its second row's second and third pixel: RGGB is its "BG".
    colours = cv2.cvtColor(mosaic, cv2.COLOR_BayerBG2RGB)
    restored: Float = colours.astype(np.float32) / np.float32(65535)
    return restored


def compress(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the picture after JPEG of the given quality; 0 leaves it as it is."""
    if quality <= 0:
        return pixels
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
