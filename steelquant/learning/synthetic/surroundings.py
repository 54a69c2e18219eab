"""What is drawn or lies over a picture: an eyepiece's rim, bars and text. All of it has the label 255."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from steelquant.learning.synthetic.noise import Float, smooth_noise, soft_step


def apply_eyepiece(
    rng: np.random.Generator, image: Float, radius: float, centre: tuple[float, float]
) -> NDArray[np.bool_]:
    """Darken everything outside an eyepiece's round field, in place, and return what lies outside.

    Parameters
    ----------
    radius, centre
        As shares of the field's shorter side and of its size.
    """
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    size = min(height, width)
    reach = np.hypot(x - np.float32(centre[0] * width), y - np.float32(centre[1] * height))
    edge = radius * size
    soft = float(rng.uniform(0.004, 0.04)) * size
    surround = rng.uniform(0, 0.1, 3).astype(np.float32)
    glow = np.float32(rng.uniform(0, 0.15)) * np.maximum(smooth_noise(rng, height, width, 0.5 * size), 0)
    for channel in range(3):
        shifted = edge * (1 + 0.008 * (channel - 1) * float(rng.uniform(-1, 1)))
        inside = 1 - soft_step(reach, shifted - soft, shifted + soft)
        image[..., channel] = image[..., channel] * inside + (1 - inside) * (surround[channel] + glow)
    outside: NDArray[np.bool_] = reach > edge - 1.2 * soft
    return outside


def add_info_bar(
    rng: np.random.Generator, pixels: NDArray[np.uint8], labels: NDArray[np.uint8], pixel_size_um: float
) -> None:
    """Draw an information bar with text and a scale across the bottom or the top, in place."""
    height, width = labels.shape
    bar = int(max(14, height * rng.uniform(0.03, 0.12)))
    at_top = rng.random() < 0.15
    rows = slice(0, bar) if at_top else slice(height - bar, height)
    tone = int(rng.choice([0, 0, 12, 128, 235, 255, 255]))
    ink = 255 if tone < 128 else 0
    strip = Image.new("RGB", (width, bar), (tone,) * 3)
    draw = ImageDraw.Draw(strip)
    font = _font(max(8, int(bar * rng.uniform(0.35, 0.65))))
    words = [
        f"x{int(rng.choice([50, 100, 200, 500, 1000]))}", f"{rng.uniform(1, 30):.1f} kV", "Nital 3 %",
        "Ferrite + Pearlite",
        f"{int(rng.integers(1, 29)):02d}.{int(rng.integers(1, 13)):02d}.20{int(rng.integers(5, 26)):02d}",
        f"No. {int(rng.integers(1, 9999))}", "Probe A", "LOM",
    ]  # fmt: skip
    x = float(rng.uniform(2, 0.1 * width + 3))
    for word in rng.permutation(words)[: int(rng.integers(1, 5))]:
        draw.text((x, bar * 0.2), str(word), fill=(ink,) * 3, font=font)
        x += draw.textlength(str(word), font=font) + rng.uniform(0.5, 4) * bar
    length, text = _scale_length(rng, width, pixel_size_um)
    right = int(width * rng.uniform(0.9, 0.99))
    draw.rectangle((right - length, int(bar * 0.75), right, int(bar * 0.85)), fill=(ink,) * 3)
    draw.text((right - length, bar * 0.1), text, fill=(ink,) * 3, font=font)
    pixels[rows] = np.asarray(strip)
    labels[rows] = 255


def add_scale_bar(
    rng: np.random.Generator, pixels: NDArray[np.uint8], labels: NDArray[np.uint8], pixel_size_um: float
) -> None:
    """Burn a scale bar with its text into a corner, with or without a box, in place."""
    height, width = labels.shape
    length, text = _scale_length(rng, width, pixel_size_um)
    thick = max(2, int(height * rng.uniform(0.004, 0.012)))
    font = _font(max(8, int(height * rng.uniform(0.018, 0.045))))
    boxed = rng.random() < 0.5
    ink = [(0, 0, 0), (255, 255, 255), (255, 255, 255), (255, 0, 0), (255, 255, 0)][int(rng.integers(0, 5))]
    stamp = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(stamp)
    left = int(width * 0.03) if rng.random() < 0.25 else int(width * rng.uniform(0.93, 0.98)) - length
    low = rng.random() < 0.85
    base = int(height * (rng.uniform(0.93, 0.975) if low else rng.uniform(0.06, 0.1)))
    draw.rectangle((left, base - thick, left + length, base), fill=255)
    box = draw.textbbox((0, 0), text, font=font)
    text_x = left + (length - (box[2] - box[0])) / 2
    draw.text((text_x, base - thick - box[3] - 3), text, fill=255, font=font)
    cover = np.asarray(stamp)
    rows, columns = np.nonzero(cover)
    if boxed and len(rows):
        pad = thick + 2
        area = (
            slice(max(0, rows.min() - pad), rows.max() + pad + 1),
            slice(max(0, columns.min() - pad), columns.max() + pad + 1),
        )
        pixels[area] = 255 if max(ink) < 128 else 0
        labels[area] = 255
    weight = (cover.astype(np.float32) / 255)[..., None]
    pixels[:] = np.rint(pixels * (1 - weight) + np.array(ink, np.float32) * weight).astype(np.uint8)
    # One pixel more than the ink: compression spoils the rim.
    labels[cv2.dilate(cover, np.ones((3, 3), np.uint8)) > 0] = 255


def add_letter(rng: np.random.Generator, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Print a figure's letter into an upper corner, as published pictures have it, in place."""
    height, width = labels.shape
    size = max(10, int(height * rng.uniform(0.04, 0.12)))
    text = str(rng.choice(["a", "b", "c", "(a)", "(b)", "(d)", "A", "B1", "1", "2"]))
    ink, paper = ((0, 0, 0), (255, 255, 255)) if rng.random() < 0.5 else ((255, 255, 255), (0, 0, 0))
    left = size // 3 if rng.random() < 0.7 else width - 2 * size
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = draw.textbbox((left, size // 3), text, font=_font(size))
    box = (int(x0) - 3, int(y0) - 3, int(x1) + 3, int(y1) + 3)
    if rng.random() < 0.6:
        draw.rectangle(box, fill=paper)
    draw.text((left, size // 3), text, fill=ink, font=_font(size))
    pixels[:] = np.asarray(picture)
    labels[max(box[1], 0) : box[3] + 1, max(box[0], 0) : box[2] + 1] = 255


def _scale_length(rng: np.random.Generator, width: int, pixel_size_um: float) -> tuple[int, str]:
    wanted = width * pixel_size_um * float(rng.uniform(0.08, 0.25))
    steps = np.array([1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000], np.float64)
    length_um = float(steps[np.argmin(np.abs(np.log(steps / wanted)))])
    text = f"{length_um:g} µm" if length_um < 1000 else f"{length_um / 1000:g} mm"
    return max(4, round(length_um / pixel_size_um)), text


@lru_cache(maxsize=64)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    # Matplotlib brings a font that has the micro sign; Pillow's own lacks it.
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size_px
    )
