"""The microstructure: which pixel is ferrite, which pearlite, and which ferrite grain it is.

Ferrite grows from its nuclei and what it has not reached when the transformation stops is pearlite, so
one score decides everywhere: the time of arrival, the fate of whole grains, rolling bands and clusters
each add to it, and the target fraction is its quantile.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic.edge import Decarburised
from steelquant.learning.synthetic.growth import Tessellation, grow, grow_coarsely, sample_nuclei
from steelquant.learning.synthetic.inserts import films, paint_islands, paint_plates
from steelquant.learning.synthetic.noise import (
    Float,
    fractal_noise,
    smooth_noise,
    soft_step,
    stretched_noise,
)


@dataclass(frozen=True)
class StructurePlan:
    """What one field's microstructure shall be; lengths in pixels of the rendered field.

    Attributes
    ----------
    arrangement
        ``random``, ``clustered``, ``banded`` or ``network``.
    pearlite_fraction
        Of the area; 0 and 1 give a single phase.
    grain_diameter_px
        Diameter of the circle with the mean ferrite grain's area.
    grain_wise
        0: pearlite is what the growing ferrite left over; 1: whole grains are pearlite.
    unevenness
        Weight of bands or clusters against the local arrangement.
    thinnest_px
        Threads of pearlite thinner than this are ferrite; 0 keeps all.
    film_px, plate_density, island_density
        Thickness of allotriomorphic films on the prior-austenite boundaries, Widmanstätten plates and
        ferrite islands per grain area; 0 for none.
    """

    arrangement: str
    pearlite_fraction: float
    grain_diameter_px: float
    saturation: float
    regularity: float
    irregularity: float
    facets: float
    aspect: float
    rolling_angle_deg: float
    waviness: float
    raggedness: float
    grain_wise: float
    unevenness: float
    band_width: float
    austenite_ratio: float
    thinnest_px: float
    film_px: float
    plate_density: float
    island_density: float


@dataclass(frozen=True)
class Structure:
    """The grown microstructure of a field.

    Attributes
    ----------
    pearlite
        ``(height, width)`` bool.
    base
        The tessellation in which the ferrite grains grew.
    inserts
        ``(height, width)`` int32, above 0 inside Widmanstätten plates and ferrite islands (their number).
    smallest_grain_px
        Area below which a piece of ferrite that touches another grain counts as part of it.
    """

    pearlite: NDArray[np.bool_]
    base: Tessellation
    inserts: NDArray[np.int32]
    smallest_grain_px: int

    def ferrite_grains(self) -> NDArray[np.int32]:
        """Return the label of each ferrite grain section from 1, and 0 where there is no ferrite."""
        source = np.where(self.inserts > 0, -self.inserts, self.base.first + 1)
        source[self.pearlite] = 0
        return merge_slivers(connected_labels(source.astype(np.int32)), self.smallest_grain_px)


def connected_labels(source: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the 4-connected regions of equal, non-zero value, numbered from 1."""
    from skimage.measure import label

    result = label(source, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    return np.asarray(result, np.int32)


def merge_slivers(grains: NDArray[np.int32], smallest_px: int) -> NDArray[np.int32]:
    """Give pieces of ferrite below an area to the nearest larger grain of the same stretch of ferrite."""
    size = np.bincount(grains.ravel())
    sliver = (size < smallest_px)[grains] & (grains > 0)
    if not sliver.any():
        return grains
    _, stretch = cv2.connectedComponents((grains > 0).astype(np.uint8), connectivity=4)
    far = ((grains == 0) | sliver).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(far, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    place = np.zeros(int(nearest.max()) + 1, np.intp)
    kept = far.ravel() == 0
    place[nearest.ravel()[kept]] = np.flatnonzero(kept)
    rows, columns = np.nonzero(sliver)
    neighbour = place[nearest[rows, columns]]
    same = stretch.ravel()[neighbour] == stretch[rows, columns]
    merged = grains.copy()
    merged[rows[same], columns[same]] = grains.ravel()[neighbour[same]]
    return merged


def build_structure(
    rng: np.random.Generator,
    height: int,
    width: int,
    plan: StructurePlan,
    decarburised: Decarburised | None = None,
) -> Structure:
    """Grow one microstructure; the pearlite fraction is that of the steel that kept its carbon."""
    d = plan.grain_diameter_px
    x, y = _bent_places(rng, height, width, d, plan.waviness)
    if decarburised is not None:
        x += decarburised.shift_x_px
        y += decarburised.shift_y_px
    nuclei = sample_nuclei(
        rng, height, width, d, saturation=plan.saturation, regularity=plan.regularity, aspect=plan.aspect,
        angle_deg=plan.rolling_angle_deg, irregularity=plan.irregularity, facets=plan.facets,
    )  # fmt: skip
    base = grow(nuclei, x, y, d)
    smallest = round(max(6, 0.02 * d * d))
    inserts = np.zeros((height, width), np.int32)
    forced = np.zeros((height, width), bool)
    if plan.pearlite_fraction <= 0:
        return Structure(forced, base, inserts, smallest)
    if plan.pearlite_fraction >= 1:
        return Structure(~forced, base, inserts, smallest)

    austenite: Tessellation | None = None
    if plan.film_px > 0 or plan.plate_density > 0 or plan.arrangement == "network":
        large = d * plan.austenite_ratio
        starts = sample_nuclei(rng, height, width, large, irregularity=0.3, regularity=0.3)
        austenite = grow_coarsely(starts, x, y, large, step=2 if large > 40 else 1)
    score = _score(rng, plan, base, austenite, len(nuclei))
    if decarburised is not None:
        score -= 12 * decarburised.loss
    if austenite is not None and plan.film_px > 0:
        forced |= films(rng, austenite, plan.film_px, d)
    if plan.plate_density > 0 and austenite is not None:
        paint_plates(rng, inserts, austenite, plan.plate_density, d)
    if plan.island_density > 0:
        paint_islands(rng, inserts, plan.island_density, d)
    forced |= inserts > 0
    pearlite = _remainder(score, forced, plan, decarburised)
    return Structure(pearlite, base, inserts, smallest)


def _bent_places(
    rng: np.random.Generator, height: int, width: int, d: float, waviness: float
) -> tuple[Float, Float]:
    places = []
    for place in np.ix_(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)):
        bend = np.zeros((height, width), np.float32)
        for scale, weight in ((0.9, 0.09), (0.3, 0.035)):
            amount = np.float32(waviness * weight * d)
            bend += amount * smooth_noise(rng, height, width, max(scale * d, 3))
        places.append(place + bend)
    y, x = places
    return x, y


def _score(
    rng: np.random.Generator,
    plan: StructurePlan,
    base: Tessellation,
    austenite: Tessellation | None,
    count: int,
) -> Float:
    height, width = base.time.shape
    d = plan.grain_diameter_px
    own = rng.normal(0, 1, count).astype(np.float32)
    score: Float = np.float32(plan.grain_wise * 1.6) * own[base.first]
    score += np.float32((1 - 0.75 * plan.grain_wise) * 3.2 / d) * base.time
    if plan.arrangement == "banded":
        across = plan.band_width * d
        along = across * float(rng.uniform(5, 25))
        bands = stretched_noise(rng, height, width, along, across, plan.rolling_angle_deg)
        score += np.float32(1.6 * plan.unevenness) * bands
    elif plan.arrangement == "clustered":
        scale = plan.band_width * d
        score += np.float32(1.6 * plan.unevenness) * fractal_noise(rng, height, width, scale, 2)
    elif plan.arrangement == "network" and austenite is not None:
        # Ferrite starts at the prior-austenite boundaries, so the grains' middles transform last.
        score += np.float32(2.2 * plan.unevenness / (d * plan.austenite_ratio) * 2) * austenite.gap
    if plan.raggedness > 0:
        return _ragged(rng, score, d, plan.raggedness)
    return score


def _ragged(rng: np.random.Generator, score: Float, d: float, raggedness: float) -> Float:
    """Return the score displaced here and there over short distances, so that phase borders are jagged."""
    height, width = score.shape
    where = np.float32(raggedness) * soft_step(smooth_noise(rng, height, width, 1.5 * d), -1.0, 1.5)
    places = []
    for place in np.ix_(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)):
        jag = np.float32(min(0.035 * d, 3.0)) * smooth_noise(rng, height, width, max(0.07 * d, 2.0))
        jag += np.float32(min(0.06 * d, 6.0)) * smooth_noise(rng, height, width, max(0.22 * d, 3.0))
        places.append(place + where * jag)
    row, column = places
    moved = cv2.remap(score, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _remainder(
    score: Float, forced: NDArray[np.bool_], plan: StructurePlan, decarburised: Decarburised | None
) -> NDArray[np.bool_]:
    """Return where the score is highest, so that the wanted share of the sound steel is pearlite."""
    sound = np.ones(score.shape, bool) if decarburised is None else decarburised.loss < 0.25
    stride = (slice(None, None, 3), slice(None, None, 3))
    free = (sound & ~forced)[stride]
    pool = score[stride][free]
    if not len(pool):
        return ~forced
    wanted = plan.pearlite_fraction * float(sound[stride].sum()) / len(pool)
    share = min(1.0, wanted)
    for _ in range(3):
        threshold = np.float32(np.quantile(pool, 1 - share))
        remainder = without_threads((score >= threshold) & ~forced, plan.thinnest_px) & ~forced
        got = max(float(remainder[stride][free].mean()), 1e-3)
        if abs(got - wanted) < 0.01 or share == 1:
            break
        share = min(1.0, share * wanted / got)
    return remainder


def without_threads(pearlite: NDArray[np.bool_], thinnest_px: float) -> NDArray[np.bool_]:
    """Return pearlite without specks and without threads thinner than wanted; wedges keep their tips.

    Threads of pearlite between ferrite grains look like etched boundaries, which are ferrite: a field
    that has both would teach what no one can see.
    """
    smooth = cv2.medianBlur(pearlite.astype(np.uint8), 3)
    if thinnest_px > 1:
        size = round(thinnest_px)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        tips = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * size + 1, 2 * size + 1))
        bodies = cv2.morphologyEx(smooth, cv2.MORPH_OPEN, kernel)
        smooth = cv2.bitwise_and(smooth, cv2.dilate(bodies, tips))
    return smooth.astype(bool)
