"""Dark lines in a bright phase, at several widths and in every direction, in units of the local noise.

A boundary between two grains is etched as a thin groove: darker than the grain on either side of it and
going on for some length. Both are asked for. Across the line, the darkness is taken against the brighter
of neither but the darker of the two sides, so that a step from one shade of grain to another is no line.
Along it, the middle of three neighbouring pieces counts, so that a pit, the end of a kernel on another
boundary or a single gap changes little. The same filter applied to bright lines, which no etch makes,
says how much of a response the polish, the texture of the grains and the camera's noise give by
themselves; every response is divided by it, place by place and width by width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


@dataclass(frozen=True)
class _Width:
    """One width of line: the kernel's standard deviations, and how far to look aside and along."""

    directions: int
    along: float
    across: float
    aside: int
    ahead: int

    @property
    def half(self) -> int:
        """Half of the kernel's side."""
        return math.ceil(2.2 * self.along)

    @property
    def rim(self) -> int:
        """How far the sides reach beyond the line."""
        return self.aside + 1


_FINE = _Width(directions=8, along=1.0, across=0.5, aside=2, ahead=2)
_MEDIUM = _Width(directions=12, along=1.8, across=0.7, aside=3, ahead=4)

_NOISE_REACH_PX = 6.0
"""Standard deviation of the window in which the noise is taken to be the same."""
_NOISE_STEP_PX = 4

_STRIP_ROWS = 96

_LEAST_CONTRAST = 0.002
"""Least noise as a share of the brightness, one step of 8-bit grey: what a picture without noise, or the
blocks of a compressed one, shows below that is not seen by the eye either."""

_LEAST_NOISE = 0.5
"""Least local noise over the field's: where nothing stirs, nothing must be found either."""


@dataclass(frozen=True)
class LineResponse:
    """How strongly each pixel lies on a dark line.

    Attributes
    ----------
    strength
        ``(height, width)`` float32, response over local noise; the greatest of all widths.
    contrast
        ``(height, width)`` float32, darkness against the sides as a share of the phase's brightness, at
        the width that gives the strength.
    noise
        Median over the phase of the finest width's noise, as a share of its brightness.
    """

    strength: Float
    contrast: Float
    noise: float


def dark_lines(image: Float, inside: NDArray[np.bool_]) -> LineResponse:
    """Find dark lines of three widths.

    Parameters
    ----------
    image
        ``(height, width)`` float32, the phase at about 1 and everything else filled with its level.
    inside
        ``(height, width)`` bool, true on the phase.

    Returns
    -------
    LineResponse
        Of lines about 2, 3 and 6 px wide (the last found on the picture at half its size).
    """
    height, width = image.shape
    half_size = ((height + 1) // 2, (width + 1) // 2)
    small = _resized(image, half_size, cv2.INTER_AREA)
    small_inside = _resized(inside.astype(np.float32), half_size, cv2.INTER_AREA) > 0.5
    strength = np.full(image.shape, -np.inf, np.float32)
    contrast = np.zeros(image.shape, np.float32)
    noises = []
    for picture, mask, line, reach in (
        (image, inside, _FINE, _NOISE_REACH_PX),
        (image, inside, _MEDIUM, _NOISE_REACH_PX),
        (small, small_inside, _MEDIUM, _NOISE_REACH_PX / 2),
    ):
        dark, bright = _respond(picture, line)
        noise = _local_noise(bright, mask, reach)
        if picture is small:
            dark = _resized(dark, image.shape, cv2.INTER_LINEAR)
            noise = _resized(noise, image.shape, cv2.INTER_LINEAR)
        relative = dark / noise
        stronger = relative > strength
        np.copyto(strength, relative, where=stronger)
        np.copyto(contrast, dark, where=stronger)
        noises.append(float(np.median(noise[inside][::16])) if inside.any() else math.nan)
    return LineResponse(strength, contrast, noises[0])


def line_noise(image: Float, inside: NDArray[np.bool_]) -> float:
    """Return what :func:`dark_lines` calls the noise, found without its other widths."""
    noise = _local_noise(_respond(image, _FINE)[1], inside, _NOISE_REACH_PX)
    return float(np.median(noise[inside][::16])) if inside.any() else math.nan


def _resized(image: Float, shape: tuple[int, ...], interpolation: int) -> Float:
    return np.asarray(cv2.resize(image, (shape[1], shape[0]), interpolation=interpolation), np.float32)


def _respond(image: Float, line: _Width) -> tuple[Float, Float]:
    """Return the response to dark and to bright lines, the greatest of all directions."""
    edge = line.rim + line.ahead + line.half
    padded = np.pad(image, edge, mode="symmetric")
    dark = np.full(image.shape, -np.inf, np.float32)
    bright = np.full(image.shape, -np.inf, np.float32)
    # Strips small enough to stay in the processor's cache halve the time.
    for top in range(0, image.shape[0], _STRIP_ROWS):
        strip = padded[top : top + _STRIP_ROWS + 2 * edge]
        greatest = (dark[top : top + _STRIP_ROWS], bright[top : top + _STRIP_ROWS])
        angles = [math.pi * k / line.directions for k in range(line.directions)]
        _keep_greatest([_respond_along(strip, line, angle) for angle in angles], line, greatest)
    return dark, bright


def _respond_along(strip: Float, line: _Width, angle: float) -> tuple[Float, Float]:
    """Return the response to a dark and to a bright line in one direction, with a rim to look ahead."""
    along = (-math.sin(angle), math.cos(angle))
    across = (along[1], -along[0])
    smooth = np.asarray(cv2.filter2D(strip, -1, _kernel(angle, line)), np.float32)
    smooth = smooth[line.half : -line.half, line.half : -line.half]
    middle = _moved(smooth, 0, across, line.rim)
    left = _moved(smooth, line.aside, across, line.rim)
    right = _moved(smooth, -line.aside, across, line.rim)
    return np.minimum(left, right) - middle, middle - np.maximum(left, right)


def _keep_greatest(responses: list[tuple[Float, Float]], line: _Width, greatest: tuple[Float, Float]) -> None:
    """Keep the greatest response of all directions, less what a spot gives across the line too."""
    for k, response in enumerate(responses):
        angle = math.pi * k / line.directions
        along = (-math.sin(angle), math.cos(angle))
        across = responses[(k + line.directions // 2) % line.directions]
        for own, other, most in zip(response, across, greatest, strict=True):
            clean = own - np.maximum(other, 0)
            pieces = [_moved(clean, d * line.ahead, along, line.ahead) for d in (-1, 0, 1)]
            np.maximum(most, _middle_of_three(*pieces), out=most)


def _kernel(angle: float, line: _Width) -> Float:
    rows, columns = np.mgrid[-line.half : line.half + 1, -line.half : line.half + 1].astype(float)
    u = columns * math.cos(angle) - rows * math.sin(angle)
    v = columns * math.sin(angle) + rows * math.cos(angle)
    kernel = np.exp(-0.5 * (u / line.along) ** 2 - 0.5 * (v / line.across) ** 2)
    kernel[kernel < 0.05 - 1e-9] = 0  # a sparse kernel is a fast one
    return (kernel / kernel.sum()).astype(np.float32)


def _moved(image: Float, distance: int, direction: tuple[float, float], rim: int) -> Float:
    """Return the image without its rim, seen ``distance`` px along the direction (row, column)."""
    row, column = (rim + _whole(distance * part) for part in direction)
    return image[row : row + image.shape[0] - 2 * rim, column : column + image.shape[1] - 2 * rim]


def _whole(value: float) -> int:
    """Round halves away from 0, and what misses a half by a rounding error too: mirror images must agree."""
    return int(math.copysign(math.floor(abs(value) + 0.5 + 1e-9), value))


def _middle_of_three(a: Float, b: Float, c: Float) -> Float:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _local_noise(bright: Float, inside: NDArray[np.bool_], reach_px: float) -> Float:
    weight = inside.astype(np.float32)
    response = np.maximum(bright, 0) * weight
    total = float(weight.sum())
    mean = float(response.sum()) / total if total else 0.0
    height, width = bright.shape
    coarse = (max(1, height // _NOISE_STEP_PX), max(1, width // _NOISE_STEP_PX))
    near_response, near_weight = (
        cv2.GaussianBlur(_resized(part, coarse, cv2.INTER_AREA), (0, 0), reach_px / _NOISE_STEP_PX)
        for part in (response, weight)
    )
    # Beside a rough grain its noise counts too: its outer parts are only half in the window.
    local = cv2.dilate(near_response / np.maximum(near_weight, 1e-3), np.ones((3, 3), np.uint8))
    noise = np.maximum(local, np.float32(max(_LEAST_NOISE * mean, _LEAST_CONTRAST)))
    return _resized(noise, (height, width), cv2.INTER_LINEAR)
