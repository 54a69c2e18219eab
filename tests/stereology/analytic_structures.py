"""Structures whose mean sizes are known by geometry."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree


def poisson_voronoi(rng, height, width, cell_area_px):
    """Cells of seeds thrown at random: boundary 2/√a per area for a mean area a, so l̄ = (π/4)·√a.

    Returns the labels (from 1) and the seeds inside the frame.
    """
    margin = 4 * int(cell_area_px**0.5)
    shape = (height + 2 * margin, width + 2 * margin)
    seeds = rng.integers((0, 0), shape, (round(shape[0] * shape[1] / cell_area_px), 2))
    labels = np.zeros(shape, dtype=np.int32)
    labels[seeds[:, 0], seeds[:, 1]] = np.arange(1, len(seeds) + 1)
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    inside = seeds - margin
    framed = ((inside >= 0) & (inside < (height, width))).all(axis=1)
    return labels[tuple(nearest)][margin:-margin, margin:-margin].copy(), inside[framed]


def stretched_voronoi(rng, height, width, cell_area_px, stretch, axis_deg):
    """Poisson–Voronoi cells ``stretch`` times as long along the axis as across it."""
    margin = 6 * int(cell_area_px**0.5)
    count = round((height + 2 * margin) * (width + 2 * margin) / cell_area_px)
    seeds = rng.uniform((-margin, -margin), (height + margin, width + margin), (count, 2))
    along = np.array([-np.sin(np.radians(axis_deg)), np.cos(np.radians(axis_deg))])
    metric = np.column_stack((along * stretch**-0.5, along[::-1] * [1, -1] * stretch**0.5))
    rows, columns = np.mgrid[:height, :width]
    nearest = cKDTree(seeds @ metric).query(np.column_stack((rows.ravel(), columns.ravel())) @ metric)[1]
    return (nearest + 1).reshape(height, width).astype(np.int32)


def hexagons(shape, width_px):
    """Label of the nearest centre of a hexagonal lattice."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    pitch = width_px * 3**0.5 / 2
    best, label = np.full(shape, np.inf), np.zeros(shape, dtype=np.int32)
    for offset in (0, 1):
        line = 2 * np.rint((rows / pitch - offset) / 2) + offset
        column = np.rint(columns / width_px - offset / 2)
        distance = (rows - line * pitch) ** 2 + (columns - (column + offset / 2) * width_px) ** 2
        nearer = distance < best
        best[nearer] = distance[nearer]
        label[nearer] = ((line + 1) * 10_000 + column + 2)[nearer].astype(np.int32)
    return label


def boolean_discs(rng, height, width, radius_px, per_px2):
    """Discs at Poisson points: the fraction 1 − exp(−nπr²), gaps of the mean length 1/(2nr)."""
    reach = int(radius_px) + 1
    count = rng.poisson(per_px2 * (height + 2 * reach) * (width + 2 * reach))
    rows, columns = np.mgrid[: 2 * reach + 1, : 2 * reach + 1] - float(reach)
    covered = np.zeros((height + 4 * reach, width + 4 * reach), dtype=bool)
    for y, x in rng.uniform((0, 0), (height + 2 * reach, width + 2 * reach), (count, 2)):
        top, left = int(y), int(x)
        disc = (rows - (y - top)) ** 2 + (columns - (x - left)) ** 2 <= radius_px**2
        covered[top : top + 2 * reach + 1, left : left + 2 * reach + 1] |= disc
    return covered[2 * reach : -2 * reach, 2 * reach : -2 * reach].copy()
