"""Fields made worse on purpose: what scale, light, focus, noise and preparation cost a segmentation.

Every degradation is deterministic given a seed. Only a change of scale moves pixels; the labels follow it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels, np.random.Generator], Pixels]


@dataclass(frozen=True)
class Degradation:
    """One way to make a field worse.

    Attributes
    ----------
    name
        Of its row in tables.
    change
        Takes ``(height, width, 3)`` RGB and a random generator, returns pixels of the same size.
    scale
        Factor by which the field, and its labels with it, is resampled first.
    """

    name: str
    change: Change | None = None
    scale: float = 1.0

    def apply(
        self, pixels: Pixels, labels: NDArray[np.uint8], seed: tuple[int, ...] = (0,)
    ) -> tuple[Pixels, NDArray[np.uint8]]:
        """Return degraded pixels and the labels that belong to them.

        Parameters
        ----------
        pixels
            ``(height, width, 3)`` uint8 RGB.
        labels
            ``(height, width)`` uint8; resampled by nearest neighbour, so 255 stays 255.
        seed
            Whole numbers that decide, with the degradation's name, all that is random.
        """
        if self.scale != 1.0:
            height, width = labels.shape
            size = max(1, round(width * self.scale)), max(1, round(height * self.scale))
            how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)
            labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        if self.change is not None:
            random = np.random.default_rng([*seed, zlib.crc32(self.name.encode())])
            pixels = self.change(pixels, random)
        return pixels, labels


def _as_bytes(values: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def grey(pixels: Pixels, _: np.random.Generator) -> Pixels:
    """Replace colour by luminance."""
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def blur(sigma_px: float) -> Change:
    """Return a defocus: a Gaussian of ``sigma_px``."""
    return lambda pixels, _: np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px), np.uint8)


def gamma(exponent: float) -> Change:
    """Return a tone curve ``255 · (value / 255) ** exponent``: below 1 brighter, above 1 darker."""
    curve = _as_bytes(255 * (np.arange(256) / 255) ** exponent)
    return lambda pixels, _: curve[pixels]


def contrast(share: float) -> Change:
    """Return a faint etch: every value keeps ``share`` of its distance to the bright phase.

    The bright phase is taken at the 95th percentile of each channel, so that ferrite stays where it is
    and pearlite comes up to it.
    """

    def change(pixels: Pixels, _: np.random.Generator) -> Pixels:
        bright = np.percentile(pixels, 95, axis=(0, 1))
        return _as_bytes(bright - share * (bright - pixels))

    return change


def light_gradient(loss: float) -> Change:
    """Return light that falls off evenly from one side, chosen at random, to ``1 - loss`` at the other."""

    def change(pixels: Pixels, random: np.random.Generator) -> Pixels:
        side = int(random.integers(4))
        turned = np.rot90(pixels, side)
        lit = _as_bytes(turned * np.linspace(1, 1 - loss, turned.shape[1])[None, :, None])
        return np.ascontiguousarray(np.rot90(lit, -side))

    return change


def vignette(loss: float) -> Change:
    """Return light that falls off evenly from the centre, to ``1 - loss`` at the middle of the sides."""

    def change(pixels: Pixels, _: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        across = np.linspace(-1, 1, width)[None, :]
        down = np.linspace(-1, 1, height)[:, None]
        return _as_bytes(pixels * np.clip(1 - loss * np.hypot(across, down), 0, 1)[..., None])

    return change


def noise(sigma: float) -> Change:
    """Return Gaussian noise of ``sigma`` grey values, independent in every pixel and channel."""
    return lambda pixels, random: _as_bytes(
        pixels + sigma * random.standard_normal(pixels.shape, dtype=np.float32)
    )


def jpeg(quality: int) -> Change:
    """Return compression as JPEG of this quality, and decompression."""

    def change(pixels: Pixels, _: np.random.Generator) -> Pixels:
        _ok, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(decoded[..., ::-1])

    return change


def scratches(count: int) -> Change:
    """Return straight polishing scratches, dark or bright, 1 or 2 px wide, in three common directions."""

    def change(pixels: Pixels, random: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        darker, brighter = np.zeros((2, height, width), np.uint8)
        directions = random.uniform(0, np.pi, 3)
        for _ in range(count):
            angle = random.choice(directions) + random.normal(0, 0.05)
            half = random.uniform(0.1, 0.5) * np.hypot(height, width)
            centre = np.array([random.uniform(0, width), random.uniform(0, height)])
            reach = half * np.array([np.cos(angle), np.sin(angle)])
            start, end = (np.rint(centre + sign * reach).astype(int).tolist() for sign in (-1, 1))
            layer = darker if random.random() < 0.7 else brighter
            depth, width_px = int(random.integers(80, 180)), int(random.integers(1, 3))
            cv2.line(layer, start, end, depth, width_px, cv2.LINE_AA)
        dark, bright = (layer[..., None] / 255 for layer in (darker, brighter))
        return _as_bytes(pixels * (1 - dark) * (1 - bright) + 250 * bright)

    return change


def stains(count: int) -> Change:
    """Return brownish drying stains with soft, uneven rims, each 10 to 25 % of the diagonal wide."""

    def change(pixels: Pixels, random: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        kept = np.ones((height, width, 3), np.float32)
        for _ in range(count):
            radius = random.uniform(0.05, 0.125) * np.hypot(height, width)
            dx, dy = x - random.uniform(0, width), y - random.uniform(0, height)
            wave = 1 + 0.15 * np.sin(random.integers(2, 6) * np.arctan2(dy, dx) + random.uniform(0, 6.3))
            inside = 1 / (1 + np.exp((np.hypot(dx, dy) / (radius * wave) - 1) * 12))
            tint = random.uniform(0.25, 0.5) * np.array([0.85, 1.0, 1.2])
            kept *= 1 - inside[..., None] * tint.astype(np.float32)
        return _as_bytes(pixels * kept)

    return change


CLEAN = Degradation("clean")

DEGRADATIONS: tuple[Degradation, ...] = (
    Degradation("scale ×0.5", scale=0.5),
    Degradation("scale ×0.75", scale=0.75),
    Degradation("scale ×1.5", scale=1.5),
    Degradation("scale ×2", scale=2.0),
    Degradation("grey", grey),
    Degradation("blur σ 1 px", blur(1)),
    Degradation("blur σ 2 px", blur(2)),
    Degradation("gamma 0.6", gamma(0.6)),
    Degradation("gamma 1.6", gamma(1.6)),
    Degradation("contrast 35 %", contrast(0.35)),
    Degradation("light gradient 30 %", light_gradient(0.3)),
    Degradation("light gradient 60 %", light_gradient(0.6)),
    Degradation("vignette 50 %", vignette(0.5)),
    Degradation("noise σ 10", noise(10)),
    Degradation("noise σ 25", noise(25)),
    Degradation("JPEG 30", jpeg(30)),
    Degradation("40 scratches", scratches(40)),
    Degradation("6 stains", stains(6)),
)
"""What ``steelquant evaluate --robustness`` does to every field, one at a time."""
