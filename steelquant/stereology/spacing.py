"""Interlamellar spacing of pearlite by circular test lines, where the lamellae are resolved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.stereology.grain_size import need_positive
from steelquant.stereology.intercepts import lineal_density

LEAST_SPACING_PX = 4.0
"""Pixels per spacing below which a spacing is refused."""

_WINDOWS_PX = (32, 64, 128)
_LEAST_PERIODS = 3.0
_LAMELLAR_SHARE = 0.25
_DIRECTED_SHARE = 0.7
"""Shares of a window's power, and of its power at the same frequency, from which its strongest peak is
taken for lamellae."""
_PEARLITE_SHARE = 0.95
_LEAST_RESOLVED = 0.2
_LEAST_CIRCLES = 5
_CIRCLE_SHARE = 0.8
_HYSTERESIS = 0.35


@dataclass(frozen=True)
class LamellarSpacing:
    """Interlamellar spacing of one field.

    Attributes
    ----------
    reason
        Why there is no spacing; empty where there is one.
    random_spacing_um
        σ_r = π·d_c/n: mean distance between lamellae along random lines; None where refused.
    true_spacing_um
        Mean true spacing σ_r/2.
    apparent_spacing_um
        2·σ_r/π: what the section shows on average.
    standard_error_um
        Of the true spacing, from circle to circle.
    spacing_px
        Median apparent spacing in the picture, pixels; None where no lamellae were seen at all.
    resolved_fraction
        Share of the examined pearlite in which lamellae at least 4 px apart were seen. The rest is
        likely to be finer, and is not part of the mean.
    circles, intersections
        Number of test circles, and of lamellae that they met.
    """

    reason: str
    random_spacing_um: float | None
    true_spacing_um: float | None
    apparent_spacing_um: float | None
    standard_error_um: float | None
    spacing_px: float | None
    resolved_fraction: float
    circles: int
    intersections: int


def lamellar_spacing(
    pixels: NDArray[np.uint8], pearlite: NDArray[np.bool_], pixel_size_um: float
) -> LamellarSpacing:
    """Measure the interlamellar spacing, or say why it cannot be measured.

    Parameters
    ----------
    pixels
        ``(height, width)`` or ``(height, width, 3)`` uint8 micrograph.
    pearlite
        ``(height, width)`` bool.
    pixel_size_um
        Edge of a pixel in µm.

    Returns
    -------
    LamellarSpacing
        Windows of 32, 64 and 128 px that lie in the pearlite are examined; where the power of a
        window gathers in one peak, a circle in it counts the lamellae.

    References
    ----------
    Vander Voort, G. F. & Roósz, A. (1984). Metallography 17, 1–17; Underwood, E. E. (1970).
    """
    need_positive(pixel_size_um, "the pixel size")
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    image = grey.astype(np.float32)
    windows = [window for side in _WINDOWS_PX for window in _examine(image, pearlite, side)]
    if not windows:
        return _refused(f"no pearlite holds a window of {_WINDOWS_PX[0]} px", None, 0.0)
    lamellar = [window for window in windows if window.period_px is not None]
    resolved = [w for w in lamellar if w.period_px is not None and w.period_px >= LEAST_SPACING_PX]
    # A patch of pearlite seen through windows of several sizes counts once, by its best.
    examined, seen = np.zeros(pearlite.shape, dtype=bool), np.zeros(pearlite.shape, dtype=bool)
    for window in windows:
        examined[window.area] = True
    for window in resolved:
        seen[window.area] = True
    fraction = float(np.count_nonzero(seen) / np.count_nonzero(examined))
    spacing_px = float(np.median([window.period_px for window in lamellar])) if lamellar else None
    if spacing_px is None:
        return _refused("no lamellae are seen in the pearlite", None, fraction)
    if not resolved or (spacing_px < LEAST_SPACING_PX and fraction < _LEAST_RESOLVED):
        return _refused(
            f"lamellae about {spacing_px:.1f} px apart; {LEAST_SPACING_PX:g} px are needed",
            spacing_px,
            fraction,
        )
    if fraction < _LEAST_RESOLVED:
        return _refused(
            f"lamellae are resolved in {fraction:.0%} of the pearlite; {_LEAST_RESOLVED:.0%} are needed",
            spacing_px,
            fraction,
        )
    counts, lengths_um = _count_on_circles(image, resolved, pixel_size_um)
    if len(counts) < _LEAST_CIRCLES or sum(counts) == 0:
        return _refused(
            f"{len(counts)} test circles fit into resolved pearlite; {_LEAST_CIRCLES} are needed",
            spacing_px,
            fraction,
        )
    density = lineal_density(counts, lengths_um)
    random_um = 1e3 / density.per_mm
    error = density.standard_error_per_mm or 0.0
    return LamellarSpacing(
        reason="",
        random_spacing_um=random_um,
        true_spacing_um=random_um / 2,
        apparent_spacing_um=2 * random_um / math.pi,
        standard_error_um=random_um / 2 * error / density.per_mm,
        spacing_px=spacing_px,
        resolved_fraction=fraction,
        circles=len(counts),
        intersections=int(sum(counts)),
    )


def _refused(reason: str, spacing_px: float | None, fraction: float) -> LamellarSpacing:
    return LamellarSpacing(reason, None, None, None, None, spacing_px, fraction, 0, 0)


@dataclass(frozen=True)
class _Window:
    top: int
    left: int
    side: int
    period_px: float | None

    @property
    def area(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)


def _examine(image: NDArray[np.float32], pearlite: NDArray[np.bool_], side: int) -> list[_Window]:
    """Look for a period in every window of one size that lies in the pearlite."""
    height, width = image.shape
    if min(height, width) < side:
        return []
    share = cv2.boxFilter(
        pearlite.astype(np.float32), -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT
    )
    taper = np.hanning(side + 2)[1:-1].astype(np.float32)
    taper = taper[:, None] * taper[None, :]
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    in_band = (frequency > _LEAST_PERIODS / side) & (frequency < 0.5)
    windows = []
    step = side // 2
    for top in range(0, height - side + 1, step):
        for left in range(0, width - side + 1, step):
            if share[top, left] >= _PEARLITE_SHARE:
                patch = image[top : top + side, left : left + side]
                windows.append(_Window(top, left, side, _period(patch, taper, frequency, in_band)))
    return windows


def _period(
    patch: NDArray[np.float32],
    taper: NDArray[np.float32],
    frequency: NDArray[np.float64],
    in_band: NDArray[np.bool_],
) -> float | None:
    power = np.abs(np.fft.rfft2((patch - patch.mean()) * taper)) ** 2
    power[:, 1:-1] *= 2  # each stands for its mirror image too
    band = np.where(in_band, power, 0.0)
    total = float(band.sum())
    if total <= 0:
        return None
    row, column = np.unravel_index(int(band.argmax()), band.shape)
    strongest = float(frequency[row, column])
    # At the band's lower end lie shades, not lamellae.
    if strongest < 1.3 * _LEAST_PERIODS / len(patch):
        return None
    rows, columns = np.indices(band.shape)
    aside = np.abs((rows - row + len(patch) // 2) % len(patch) - len(patch) // 2)
    peak = (aside <= 1) & (np.abs(columns - column) <= 1)
    if column <= 1:  # so near the axis, part of the peak lies across it, mirrored
        mirrored = np.abs((rows + row + len(patch) // 2) % len(patch) - len(patch) // 2)
        peak |= (mirrored <= 1) & (columns <= 1 - column)
    within = float(band[peak].sum())
    # Mottling of one grain size has all its power at one frequency too, but in every direction.
    alike = float(band[np.abs(frequency - strongest) <= 1.5 / len(patch)].sum())
    if within < _LAMELLAR_SHARE * total or within < _DIRECTED_SHARE * alike:
        return None
    return within / float((band[peak] * frequency[peak]).sum())


def _count_on_circles(
    image: NDArray[np.float32], resolved: list[_Window], pixel_size_um: float
) -> tuple[list[int], list[float]]:
    """Count lamellae on one circle in every resolved window that no finer window's circle overlaps."""
    counts: list[int] = []
    lengths: list[float] = []
    used = np.zeros(image.shape, dtype=bool)
    for window in resolved:
        middle = (
            slice(window.top + window.side // 4, window.top + 3 * window.side // 4),
            slice(window.left + window.side // 4, window.left + 3 * window.side // 4),
        )
        if window.period_px is None or used[middle].any():
            continue
        used[middle] = True
        patch = image[window.area]
        smooth = cv2.GaussianBlur(patch, (0, 0), window.period_px / 6) - cv2.GaussianBlur(
            patch, (0, 0), window.period_px
        )
        diameter = _CIRCLE_SHARE * window.side
        turn = np.linspace(0, 2 * math.pi, math.ceil(2 * math.pi * diameter), endpoint=False)
        centre = (window.side - 1) / 2
        rows = (centre + diameter / 2 * np.sin(turn)).astype(np.float32)
        columns = (centre + diameter / 2 * np.cos(turn)).astype(np.float32)
        profile = cv2.remap(smooth, columns[None], rows[None], cv2.INTER_CUBIC)[0]
        counts.append(_dark_lamellae(profile, _HYSTERESIS * float(smooth.std())))
        lengths.append(math.pi * diameter * pixel_size_um)
    return counts, lengths


def _dark_lamellae(profile: NDArray[np.float32], least: float) -> int:
    """Count how often a closed profile goes from above ``least`` to below ``-least``."""
    state = np.where(profile > least, 1, np.where(profile < -least, -1, 0))
    state = state[state != 0]
    return int(np.count_nonzero((state == 1) & (np.roll(state, -1) == -1)))
