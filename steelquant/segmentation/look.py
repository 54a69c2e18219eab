"""What a field looks like, in a few numbers that can be compared with those of the training fields.

Everything is measured in blocks of the size that the network sees at once, from the pixels and from the
labels that it gave them; what the network itself saw is kept by `steelquant.segmentation.deep_look`. Texture
is the energy of the bands of a Laplacian pyramid (Burt and Adelson 1983), which noise and another
magnification change; colour the ratios of the channels, which exposure does not change. Focus shows in the
gradient across the boundaries of the phases over the step there: of a step blurred by a Gaussian it is
1/(σ√(2π)).
Where the network knows its phases, their grey levels lie apart: the separation is the difference of their
means over their pooled standard deviation (Cohen's d), in the band of sizes from 8 to 48 px.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.micrograph.field import EXCLUDED
from steelquant.networks.familiarity import BLOCK_PX, TEXTURE_BANDS

_MOST_BLOCKS_A_SIDE = 4
_MOST_FOR_SHARPNESS = 9
"""Blocks of a field whose boundaries are measured, which takes longer than all else together.

Limits are learnt from views of at most nine blocks (`steelquant.learning.familiarity`); for these nothing is
left out, so that the limits are the same whatever a larger field is sampled by."""

_LARGEST_BLOCK_PX = 896
_LEAST_BLOCK_PX = 64
_MOST_EXCLUDED = 0.1
_LEAST_SHARE = 0.01
_DARK = 0.02
"""Added to brightness, 0 … 1, before its logarithm is taken."""

_NO_CONTRAST = 2 / 255
"""Added to the standard deviation of a band: how much less than two grey levels it is says nothing."""

_EDGE_BLUR_PX = 2.0
"""Smooths labels, whose gradient then points from phase to phase."""

_AT_EDGE = 0.12
"""Gradient of smoothed labels within about a pixel of a straight boundary, where it is at most 0.2."""

_NEAR_EDGE_PX = 8
_BAND_BLURS_PX = (2, 12)
"""Between them lies the band of sizes in which the phases are compared, in pixels reduced four times."""

_FEWEST_EDGE_PX = 200
_LEAST_STEP = 0.02


@dataclass(frozen=True, eq=False)
class Look:
    """What a field looks like.

    Attributes
    ----------
    texture
        ``(n, 5)``: of each block the logarithm of the standard deviation of each band, fine to coarse.
    colour
        ``(n, 4)``: of each block the mean and the logarithm of the standard deviation of the logarithms of
        red and of blue over green.
    evenness
        Of each block with enough of the matrix, the first class, the logarithm of its brightness over that of
        the brightest parts of the field.
    sharpness
        Gradient (1/px) of brightness from the other classes to the matrix over the step there: the median of
        the blocks; None where no block has enough boundary.
    separation
        By how many standard deviations the matrix is brighter than the other classes; None where the field
        has but one class.
    darkest, brightest
        Grey levels below and above which 2 % of the field lie, 0 … 1.
    """

    texture: NDArray[np.float64]
    colour: NDArray[np.float64]
    evenness: NDArray[np.float64]
    sharpness: float | None
    separation: float | None
    darkest: float
    brightest: float


class Sample:
    """Blocks of a field, spread evenly over it, collected while its rows go by.

    Parameters
    ----------
    height_px, width_px
        The field's size.
    scale
        The network sees the field resampled by this factor.
    """

    def __init__(self, height_px: int, width_px: int, scale: float = 1.0) -> None:
        block = min(round(BLOCK_PX / scale), _LARGEST_BLOCK_PX)
        self._scale = scale
        longest = max(height_px, width_px)
        rows, columns = (_origins(length, block, longest) for length in (height_px, width_px))
        self._places = [(row, column) for row in rows for column in columns]
        self._shape = min(block, height_px), min(block, width_px)
        self._pixels = np.empty((len(self._places), *self._shape, 3), np.uint8)
        self._labels = np.empty((len(self._places), *self._shape), np.uint8)
        self._pixel_rows = self._label_rows = 0

    def add_pixels(self, pixels: NDArray[np.uint8]) -> None:
        """Take up the next rows, ``(rows, width, 3)``."""
        self._copy(pixels, self._pixels, self._pixel_rows)
        self._pixel_rows += len(pixels)

    def add_labels(self, labels: NDArray[np.uint8]) -> None:
        """Take up the labels of the next rows, ``(rows, width)``."""
        self._copy(labels, self._labels, self._label_rows)
        self._label_rows += len(labels)

    def _copy(self, rows: NDArray[np.uint8], blocks: NDArray[np.uint8], top: int) -> None:
        height, width = self._shape
        for block, (y, x) in zip(blocks, self._places, strict=True):
            first, end = max(y, top), min(y + height, top + len(rows))
            if first < end:
                block[first - y : end - y] = rows[first - top : end - top, x : x + width]

    def look(self) -> Look | None:
        """Measure what was collected; None where there is too little of it to say anything."""
        counted = [
            _seen(pixels, labels, self._scale)
            for pixels, labels in zip(self._pixels, self._labels, strict=True)
            if np.count_nonzero(labels == EXCLUDED) <= _MOST_EXCLUDED * labels.size
        ]
        if not counted or min(counted[0][1].shape) < _LEAST_BLOCK_PX:
            return None
        return _look(counted)


def look_at(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], scale: float = 1.0) -> Look | None:
    """Measure a field.

    Parameters
    ----------
    pixels
        ``(height, width, 3)`` uint8 RGB.
    labels
        ``(height, width)`` uint8, what the network made of it, 255 where excluded.
    scale
        The network saw the field resampled by this factor.

    Returns
    -------
    Look or None
        None for fields below 64 px or with no block of which 90 % count.
    """
    height, width = labels.shape
    sample = Sample(height, width, scale)
    sample.add_pixels(pixels)
    sample.add_labels(labels)
    return sample.look()


def _origins(length_px: int, block_px: int, longest_px: int) -> list[int]:
    """Spread blocks over a side, the first and the last at its ends, as densely as over the longest side."""
    count = min(round(_MOST_BLOCKS_A_SIDE * length_px / longest_px), -(-length_px // block_px))
    if count <= 1:
        return [0]
    return [round(place * (length_px - block_px) / (count - 1)) for place in range(count)]


def _seen(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a block as the network saw it: RGB and labels."""
    if scale != 1:
        size = max(1, round(labels.shape[1] * scale)), max(1, round(labels.shape[0] * scale))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)
        labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return pixels, labels


def _look(blocks: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Look:
    texture, colour, matrix, slopes, levels = [], [], [], [], []
    phases = _Phases()
    measured = np.linspace(0, len(blocks) - 1, min(len(blocks), _MOST_FOR_SHARPNESS)).round()
    for place, (pixels, labels) in enumerate(blocks):
        colours = pixels.astype(np.float32)
        grey = _grey(colours)
        in_matrix = (labels == 0).astype(np.float32)
        small = _reduced(colours)
        texture.append(_texture(grey))
        colour.append(_colour(small))
        levels.append(grey[::8, ::8].ravel())
        if cv2.countNonZero(in_matrix) >= _LEAST_SHARE * in_matrix.size:
            matrix.append(_mean(grey, in_matrix))
        if place in measured and (slope := _sharpness(grey, in_matrix, labels != EXCLUDED)) is not None:
            slopes.append(slope)
        phases.add(_grey(small), labels)
    darkest, brightest = np.percentile(np.concatenate(levels), [2, 98])
    return Look(
        texture=np.array(texture),
        colour=np.array(colour),
        evenness=np.log((np.array(matrix) + _DARK) / (brightest + _DARK)),
        sharpness=float(np.median(slopes)) if slopes else None,
        separation=phases.separation(),
        darkest=float(darkest),
        brightest=float(brightest),
    )


def _grey(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the channels, 0 … 1, in a tenth of the time that NumPy takes for it."""
    return np.asarray(cv2.transform(colours, np.full((1, 3), 1 / (3 * 255))), np.float32)


def _texture(grey: NDArray[np.float32]) -> list[float]:
    """Return the logarithm of the standard deviation of each band of the Laplacian pyramid."""
    figures = []
    for _ in range(TEXTURE_BANDS):
        smaller = cv2.pyrDown(grey)
        energy = cv2.norm(grey, cv2.pyrUp(smaller, dstsize=grey.shape[::-1]), cv2.NORM_L2SQR)
        figures.append(float(np.log(np.sqrt(energy / grey.size) + _NO_CONTRAST)))
        grey = np.asarray(smaller, np.float32)
    return figures


def _reduced(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means of four by four pixels."""
    return np.asarray(cv2.resize(colours, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.float32)


def _colour(small: NDArray[np.float32]) -> list[float]:
    """Return mean and spread of red and of blue over green, of pixels reduced four times."""
    red, green, blue = cv2.split(np.log(small + np.float32(0.05 * 255)))
    means, spreads = zip(*(cv2.meanStdDev(ratio) for ratio in (red - green, blue - green)), strict=True)
    return [*(float(mean[0, 0]) for mean in means), *(float(np.log(s[0, 0] + 0.01)) for s in spreads)]


def _sharpness(
    grey: NDArray[np.float32], in_matrix: NDArray[np.float32], counted: NDArray[np.bool_]
) -> float | None:
    """Return how steep brightness is across the boundaries of the matrix, over its step there."""
    across_x, across_y = _gradient(in_matrix, _EDGE_BLUR_PX)
    length = np.asarray(cv2.magnitude(across_x, across_y), np.float32)
    edge = length > _AT_EDGE
    if not counted.all():
        edge &= cv2.erode(counted.view(np.uint8), np.ones((9, 9), np.uint8)) > 0
    places = np.flatnonzero(edge)
    if places.size < _FEWEST_EDGE_PX:
        return None
    x, y, across_x, across_y, length = (
        values.ravel()[places] for values in (*_gradient(grey, 1), across_x, across_y, length)
    )
    steepness = (x * across_x + y * across_y) / length
    kernel = np.ones((2 * _NEAR_EDGE_PX + 1,) * 2, np.uint8)
    near = cv2.dilate(edge.view(np.uint8), kernel) & counted.view(np.uint8)
    matrix = near * in_matrix
    step = _mean(grey, matrix) - _mean(grey, near - matrix)
    return float(steepness.mean() / max(step, _LEAST_STEP))


def _mean(values: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """Return the mean of values with weights of 0 or 1; with a mask OpenCV takes three times as long."""
    count = cv2.countNonZero(weights)
    return cv2.sumElems(cv2.multiply(values, weights))[0] / count if count else 0.0


def _gradient(
    values: NDArray[np.float32], sigma_px: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the gradient of smoothed values, per px, along x and y."""
    smooth = cv2.GaussianBlur(values, (0, 0), sigma_px)
    x, y = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


@functools.lru_cache(maxsize=16)
def _smoothing(length_px: int, sigma_px: float) -> NDArray[np.float32]:
    """Return the matrix that smooths columns of this length by a Gaussian, mirrored at their ends.

    On reduced blocks two products of matrices take a tenth of the time of a filter as wide as they.
    """
    kernel = cv2.getGaussianKernel(round(8 * sigma_px + 1) | 1, sigma_px, cv2.CV_32F)
    columns = np.eye(length_px, dtype=np.float32)
    return np.asarray(cv2.sepFilter2D(columns, cv2.CV_32F, np.ones(1, np.float32), kernel), np.float32)


class _Phases:
    """Sums over blocks, from which the grey levels' separation follows."""

    def __init__(self) -> None:
        self._sums = np.zeros((2, 3))

    def add(self, small: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """Add a block, its grey reduced four times, where the band from 8 to 48 px is that from 2 to 12."""
        height, width = small.shape
        fine, coarse = (
            _smoothing(height, sigma) @ small @ _smoothing(width, sigma).T for sigma in _BAND_BLURS_PX
        )
        of_small = np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        for place, where in enumerate((of_small == 0, (of_small != 0) & (of_small != EXCLUDED))):
            mean, spread = (float(v[0, 0]) for v in cv2.meanStdDev(fine - coarse, mask=where.view(np.uint8)))
            self._sums[place] += np.count_nonzero(where) * np.array([1, mean, spread**2 + mean**2])

    def separation(self) -> float | None:
        counts = self._sums[:, 0]
        if counts.min() < _LEAST_SHARE * counts.sum():
            return None
        means = self._sums[:, 1] / counts
        variances = self._sums[:, 2] / counts - np.square(means)
        return float((means[0] - means[1]) / np.sqrt(variances.mean() + (2 / 255) ** 2))
