"""Banding and orientation of a phase in the manner of ASTM E1268, and the axis they are measured along."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import special

from steelquant.stereology.grain_size import need_positive
from steelquant.stereology.intercepts import LineCount, count_lines

_FINE_PX = 2.0
_COARSE_SHARE = 1 / 48
"""Smoothing at which directions are looked for: the outlines' own, and, over the shorter side of the field,
that of bands made of features without a direction of their own."""

_SIGMAS_PER_PIXEL = 4.0
_BLOCKS = 8
_SIGNIFICANT = 0.01
_CERTAIN_WITHIN_DEG = 15.0


@dataclass(frozen=True)
class DeformationAxis:
    """The direction along which a structure is drawn out.

    Attributes
    ----------
    angle_deg
        In [0, 180), counter-clockwise from the horizontal as one sees the picture.
    coherence
        0 for a structure without direction to 1 for straight bands; None for an axis that was given.
    ci95_deg
        Half-width of the 95 % interval of the angle; None where it was given or cannot be told.
    certain
        Whether the axis may be relied on: given, or significant (p < 0.01) and known within 15°.
    source
        Where it comes from, in words for the report.
    """

    angle_deg: float
    coherence: float | None
    ci95_deg: float | None
    certain: bool
    source: str


def given_axis(angle_deg: float) -> DeformationAxis:
    """Return an axis that someone states, counter-clockwise from the horizontal."""
    return DeformationAxis(angle_deg % 180.0, None, None, certain=True, source="given")


def estimate_axis(phase: NDArray[np.bool_], *, excluded: NDArray[np.bool_] | None = None) -> DeformationAxis:
    """Estimate the deformation axis from the structure tensor of a phase's mask.

    Parameters
    ----------
    phase
        ``(height, width)`` bool, the features: pearlite.
    excluded
        ``(height, width)`` bool, true where nothing counts.

    Returns
    -------
    DeformationAxis
        The direction across which the phase changes most, turned by 90°: at the outlines of its features,
        or, where that is more significant, at the borders of the bands that they form. The interval and
        the significance (Hotelling's T² against no direction, doubled for the two scales) come from 8 × 8
        blocks of the field taken as replicates.

    References
    ----------
    Bigün, J. & Granlund, G. (1987). Proc. 1st ICCV, 433–438.
    """
    coarse_px = max(_FINE_PX, _COARSE_SHARE * min(phase.shape))
    scales = {"outlines of features": _FINE_PX, "borders of bands": coarse_px}
    looks = [
        _axis_at(_block_moments(phase, excluded, sigma_px), what, len(scales))
        for what, sigma_px in scales.items()
    ]
    found = [look for look in looks if look is not None]
    if not found:
        return DeformationAxis(
            0.0, None, None, certain=False, source="structure tensor: too little outline to have a direction"
        )
    return min(found, key=lambda look: look[0])[1]


def _axis_at(moments: NDArray[np.float64], what: str, scales: int) -> tuple[float, DeformationAxis] | None:
    """Return the p-value against no direction, and the axis, at one of so many scales; None without any."""
    kept = moments[moments[:, 2] > 0]
    total = kept.sum(axis=0)
    if len(kept) < 4 or total[2] <= 0:
        return None
    mean = total[:2] / total[2]
    coherence = float(np.hypot(*mean))
    angle = (90.0 - math.degrees(0.5 * math.atan2(mean[1], mean[0]))) % 180.0
    # Spread of a ratio of sums over blocks, as for lines of unequal length.
    residual = kept[:, :2] - kept[:, 2:] * mean
    n = len(kept)
    covariance = residual.T @ residual * n / (n - 1) / total[2] ** 2
    direction = mean / coherence if coherence > 0 else np.array([1.0, 0.0])
    sideways = np.array([-direction[1], direction[0]])
    spread = math.sqrt(float(sideways @ covariance @ sideways))
    t = float(special.stdtrit(n - 1, 0.975))
    half_width = math.degrees(0.5 * math.atan2(t * spread, coherence)) if coherence > 0 else 45.0
    p_value = min(1.0, scales * _isotropy(mean, covariance, n))
    certain = p_value < _SIGNIFICANT and half_width <= _CERTAIN_WITHIN_DEG
    verdict = "certain" if certain else "no direction to rely on"
    return p_value, DeformationAxis(
        angle_deg=angle,
        coherence=coherence,
        ci95_deg=half_width,
        certain=certain,
        source=f"structure tensor, {what}: {verdict} (p = {p_value:.2g})",
    )


def _block_moments(
    phase: NDArray[np.bool_], excluded: NDArray[np.bool_] | None, sigma_px: float
) -> NDArray[np.float64]:
    """Return ``(64, 3)``: Σ(gx²−gy²), Σ2gxgy and Σ(gx²+gy²) of every block, the phase smoothed by sigma."""
    pixels = phase.astype(np.float32)
    outside = None if excluded is None or not excluded.any() else excluded.astype(np.float32)
    shrink = int(sigma_px / _SIGMAS_PER_PIXEL)
    if shrink > 1:
        # What is smoothed anyway need not be looked at pixel by pixel.
        size = (max(1, phase.shape[1] // shrink), max(1, phase.shape[0] // shrink))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
        if outside is not None:
            outside = np.asarray(cv2.resize(outside, size, interpolation=cv2.INTER_AREA), np.float32)
        sigma_px /= shrink
    smooth = cv2.GaussianBlur(pixels, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REFLECT_101)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REFLECT_101)
    if outside is not None:
        reach = 2 * math.ceil(3 * sigma_px) + 1
        near = cv2.dilate((outside > 0).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
        gx[near], gy[near] = 0, 0
    squares, product = (gx * gx, gy * gy), gx * gy
    parts = np.stack((squares[0] - squares[1], 2 * product, squares[0] + squares[1]), axis=-1)
    rows = np.array_split(np.arange(parts.shape[0]), min(_BLOCKS, parts.shape[0]))
    columns = np.array_split(np.arange(parts.shape[1]), min(_BLOCKS, parts.shape[1]))
    return np.array(
        [
            parts[r[0] : r[-1] + 1, c[0] : c[-1] + 1].sum(axis=(0, 1), dtype=np.float64)
            for r in rows
            for c in columns
        ]
    )


def _isotropy(mean: NDArray[np.float64], covariance: NDArray[np.float64], n: int) -> float:
    """Return the p-value of Hotelling's T² that two means are 0, from n replicates."""
    if np.linalg.det(covariance) <= 1e-12 * np.trace(covariance) ** 2:
        # Blocks that agree to the last digit: perfectly straight bands, or none at all.
        return 0.0 if np.hypot(*mean) > 1e-6 else 1.0
    t2 = float(mean @ np.linalg.solve(covariance, mean))
    return float(special.fdtrc(2, n - 2, t2 * (n - 2) / (2 * (n - 1))))


def anisotropy_index(across_per_mm: float, along_per_mm: float) -> float | None:
    """Return AI = N_⊥/N_∥: 1 without direction, infinite for unbroken bands; None without a feature."""
    if along_per_mm > 0:
        return across_per_mm / along_per_mm
    return math.inf if across_per_mm > 0 else None


def degree_of_orientation(across_per_mm: float, along_per_mm: float) -> float | None:
    """Return Ω12 = (N_⊥−N_∥)/(N_⊥+0.571·N_∥): 0 without direction to 1; None without a feature."""
    total = across_per_mm + 0.571 * along_per_mm
    return (across_per_mm - along_per_mm) / total if total > 0 else None


@dataclass(frozen=True)
class DirectionalCounts:
    """What lines across and along an axis meet, per pixel of their length.

    Attributes
    ----------
    across_per_px, along_per_px
        N_⊥ and N_∥.
    """

    across_per_px: float
    along_per_px: float

    @property
    def anisotropy_index(self) -> float | None:
        """AI = N_⊥/N_∥; infinite for unbroken bands, None without a feature."""
        return anisotropy_index(self.across_per_px, self.along_per_px)

    @property
    def degree_of_orientation(self) -> float | None:
        """Ω12; None without a feature."""
        return degree_of_orientation(self.across_per_px, self.along_per_px)


@dataclass(frozen=True)
class Banding:
    """Banding of one field's phase (ASTM E1268).

    Attributes
    ----------
    axis
        What "along" means.
    across, along
        Counts on every line of pixels perpendicular and parallel to the axis; N_⊥ and N_∥ are their
        ``per_mm``.
    phase_fraction
        V_V of the phase on the counted area.
    """

    axis: DeformationAxis
    across: LineCount
    along: LineCount
    phase_fraction: float

    @property
    def anisotropy_index(self) -> float | None:
        """AI = N_⊥/N_∥; infinite for unbroken bands, None without a feature."""
        return anisotropy_index(self.across.per_mm or 0.0, self.along.per_mm or 0.0)

    @property
    def degree_of_orientation(self) -> float | None:
        """Ω12; None without a feature."""
        return degree_of_orientation(self.across.per_mm or 0.0, self.along.per_mm or 0.0)

    @property
    def band_spacing_um(self) -> float | None:
        """SB = 1/N_⊥, centre to centre; None where no feature was met."""
        return 1e3 / self.across.per_mm if self.across.per_mm else None

    @property
    def mean_free_path_um(self) -> float | None:
        """λ = (1−V_V)/N_⊥, edge to edge; None where no feature was met."""
        return None if self.band_spacing_um is None else (1 - self.phase_fraction) * self.band_spacing_um


def measure_banding(
    phase: NDArray[np.bool_],
    pixel_size_um: float,
    axis: DeformationAxis,
    *,
    excluded: NDArray[np.bool_] | None = None,
) -> Banding:
    """Measure how far a phase lies in bands.

    Parameters
    ----------
    phase
        ``(height, width)`` bool, the features: pearlite.
    pixel_size_um
        Edge of a pixel in µm.
    axis
        From :func:`given_axis` or :func:`estimate_axis`. Where it is not a multiple of 45°, the mask
        is turned first, which smooths away features of a pixel or two.
    excluded
        ``(height, width)`` bool; test lines end there.
    """
    need_positive(pixel_size_um, "the pixel size")
    counted = np.ones(phase.shape, dtype=bool) if excluded is None else ~excluded
    present = phase & counted
    total = int(np.count_nonzero(counted))
    fraction = int(np.count_nonzero(present)) / total if total else 0.0
    along_deg, outside = round(axis.angle_deg, 6) % 180, excluded
    if along_deg % 45:
        present, outside = _turned(present, counted, along_deg)
        along_deg = 0.0
    along = count_lines(present, pixel_size_um, int(along_deg), excluded=outside)
    across = count_lines(present, pixel_size_um, int(along_deg + 90) % 180, excluded=outside)
    return Banding(axis, across, along, fraction)


def _turned(
    phase: NDArray[np.bool_], counted: NDArray[np.bool_], angle_deg: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the mask with the axis laid level, and where the turned picture has nothing to count."""
    height, width = phase.shape
    turn = math.radians(angle_deg)
    new_width = math.ceil(width * abs(math.cos(turn)) + height * abs(math.sin(turn))) + 2
    new_height = math.ceil(width * abs(math.sin(turn)) + height * abs(math.cos(turn))) + 2
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1.0)
    matrix[:, 2] += ((new_width - width) / 2, (new_height - height) / 2)
    size = (new_width, new_height)
    # Without the blur the steps of the outline would be crossed over and over by lines along it.
    smooth = cv2.GaussianBlur(phase.astype(np.float32), (0, 0), 1.0)
    turned = cv2.warpAffine(smooth, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (
        cv2.warpAffine(counted.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST, borderValue=0) > 0
    )
    return (turned > 0.5) & inside, ~inside
