"""A folder as ``segment`` leaves it, with masks whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from steelquant.micrograph.files import sha256_of
from steelquant.micrograph.masks import write_mask, write_probability
from steelquant.micrograph.overlay import write_overlay


def squares(fraction: float, shape: tuple[int, int] = (120, 160), pitch: int = 20) -> np.ndarray:
    """Squares on a lattice of ``pitch`` px that make up about ``fraction`` of the field."""
    side = round(pitch * fraction**0.5)
    mask = np.zeros(shape, dtype=np.uint8)
    for top in range((pitch - side) // 2, shape[0], pitch):
        for left in range((pitch - side) // 2, shape[1], pitch):
            mask[top : top + side, left : left + side] = 1
    return mask


def write_segmented(
    folder: Path,
    masks: dict[str, np.ndarray],
    *,
    image_folder: str = "lot 7",
    pixel_size_um: float | None = 0.5,
    probabilities: bool = False,
    weights_sha256: str = "c" * 64,
    **changes: object,
) -> Path:
    """Write masks, overlays and ``segmentation.json``; ``changes`` go into every field's entry."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = []
    for name, labels in masks.items():
        write_mask(folder / f"{name}.tif", labels, pixel_size_um=pixel_size_um)
        grey = np.where(labels == 1, 60, 200).astype(np.uint8)
        write_overlay(folder / f"{name}.overlay.png", np.repeat(grey[..., None], 3, axis=2), labels)
        if probabilities:
            probability = np.where(labels == 1, 250, 5).astype(np.uint8)
            write_probability(folder / f"{name}.probability.tif", probability, pixel_size_um=pixel_size_um)
        source = "no scale in the file" if pixel_size_um is None else "Olympus SIS tag 33560"
        fields.append(
            {
                "name": name,
                "status": "done",
                "error": None,
                "input": {
                    "path": f"/data/{image_folder}/{name}.jpg",
                    "folder": image_folder,
                    "page": 0,
                    "sha256": "a" * 64,
                },
                "run": "r1",
                "width_px": labels.shape[1],
                "height_px": labels.shape[0],
                "calibration": {"pixel_size_um": pixel_size_um, "source": source, "warnings": []},
                "mask": {"path": f"{name}.tif", "sha256": sha256_of(folder / f"{name}.tif")},
                "overlay": {"path": f"{name}.overlay.png"},
                "probability": {"path": f"{name}.probability.tif", "sha256": "b" * 64}
                if probabilities
                else None,
                "excluded_px": 0,
                "area_fractions": {},
                "seconds": 1.0,
                "warnings": [],
                **changes,
            }
        )
    weights = {"model": "mobilenetv2", "file": "w.safetensors", "sha256": weights_sha256, "metadata": {}}
    record = {
        "format": "steelquant segmentation 1",
        "version": "0.1.0",
        "started_utc": "2026-01-31T12:00:00Z",
        "finished_utc": "2026-01-31T12:01:00Z",
        "run": "r1",
        "parameters": {"model": "mobilenetv2", "scale": 1.0, "tile": "auto"},
        "weights": weights,
        "versions": {"torch": "2.9"},
        "machine": {},
        "classes": [],
        "planned": [],
        "earlier_runs": [],
        "fields": fields,
    }
    (folder / "segmentation.json").write_text(json.dumps(record), encoding="utf-8")
    return folder
