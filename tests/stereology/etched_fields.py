"""Ferrite–pearlite fields drawn from cells of known size, and folders of them as ``segment`` leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from analytic_structures import poisson_voronoi
from PIL import Image
from scipy import ndimage
from segmented_folder import write_segmented

from steelquant.micrograph.files import sha256_of

Field = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Micrograph, mask and the true grain map."""


def etched_field(
    seed: int,
    shape: tuple[int, int] = (220, 300),
    cell_area_px: float = 450.0,
    pearlite: float = 0.2,
    contrast: float = 0.45,
    cells: np.ndarray | None = None,
) -> Field:
    """Draw cells (Voronoi's, if none are given), some of them pearlite, boundaries in ferrite etched dark."""
    rng = np.random.default_rng(seed)
    if cells is None:
        cells, _ = poisson_voronoi(rng, *shape, cell_area_px)
    shape = cells.shape
    is_pearlite = rng.random(cells.max() + 1) < pearlite
    mask = is_pearlite[cells].astype(np.uint8)
    grains = np.where(mask == 0, cells, 0).astype(np.int32)
    line = np.zeros(shape, dtype=bool)
    line[:, 1:] |= (grains[:, 1:] != grains[:, :-1]) & (grains[:, 1:] > 0) & (grains[:, :-1] > 0)
    line[1:] |= (grains[1:] != grains[:-1]) & (grains[1:] > 0) & (grains[:-1] > 0)
    etch = ndimage.gaussian_filter(ndimage.binary_dilation(line).astype(float), 0.8)
    grey = np.where(mask == 1, 70.0, 200.0 * (1 - contrast * etch))
    grey = ndimage.gaussian_filter(grey, 0.6) + rng.normal(0, 3, shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), mask, grains


def write_etched(
    folder: Path, fields: dict[str, Field], *, pixel_size_um: float | None = 0.5, lot: str = "lot 7"
) -> Path:
    """Write micrographs into ``folder/lot`` and masks into ``folder/segmented``, which is returned."""
    masks = {name: mask for name, (_, mask, _) in fields.items()}
    segmented = write_segmented(folder / "segmented", masks, image_folder=lot, pixel_size_um=pixel_size_um)
    (folder / lot).mkdir(exist_ok=True)
    record = json.loads((segmented / "segmentation.json").read_text())
    for entry in record["fields"]:
        path = folder / lot / f"{entry['name']}.png"
        Image.fromarray(fields[entry["name"]][0]).save(path)
        entry["input"] |= {"path": str(path), "sha256": sha256_of(path)}
    (segmented / "segmentation.json").write_text(json.dumps(record))
    return segmented
