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

_GRADIENT_PX = 2.0
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
        The direction across which the phase's outline changes most, turned by 90°. Its interval and
        its significance (Hotelling's T² against no direction) come from 8 × 8 blocks of the field
        taken as replicates.

    References
    ----------
    Bigün, J. & Granlund, G. (1987). Proc. 1st ICCV, 433–438.
    """
    moments = _block_moments(phase, excluded)
    kept = moments[moments[:, 2] > 0]
    total = kept.sum(axis=0)
    if len(kept) < 4 or total[2] <= 0:
        return DeformationAxis(
            0.0, None, None, certain=False, source="structure tensor: too little outline to have a direction"
        )
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
    p_value = _isotropy(mean, covariance, n)
    certain = p_value < _SIGNIFICANT and half_width <= _CERTAIN_WITHIN_DEG
    verdict = "certain" if certain else "no direction to rely on"
    return DeformationAxis(
        angle_deg=angle,
        coherence=coherence,
        ci95_deg=half_width,
        certain=certain,
        source=f"structure tensor: {verdict} (p = {p_value:.2g})",
    )


def _block_moments(phase: NDArray[np.bool_], excluded: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Return ``(64, 3)``: Σ(gx²−gy²), Σ2gxgy and Σ(gx²+gy²) of every block."""
    smooth = cv2.GaussianBlur(
        phase.astype(np.float32), (0, 0), _GRADIENT_PX, borderType=cv2.BORDER_REFLECT_101
    )
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REFLECT_101)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REFLECT_101)
    if excluded is not None and excluded.any():
        reach = 2 * math.ceil(3 * _GRADIENT_PX) + 1
        near = cv2.dilate(excluded.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
        gx[near], gy[near] = 0, 0
    squares, product = (gx * gx, gy * gy), gx * gy
    parts = np.stack((squares[0] - squares[1], 2 * product, squares[0] + squares[1]), axis=-1)
    rows = np.array_split(np.arange(phase.shape[0]), min(_BLOCKS, phase.shape[0]))
    columns = np.array_split(np.arange(phase.shape[1]), min(_BLOCKS, phase.shape[1]))
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
