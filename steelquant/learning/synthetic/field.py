"""One synthetic micrograph with its truth: structure, look, optics, camera, surroundings in turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from steelquant.learning.synthetic import surroundings as around
from steelquant.learning.synthetic.camera import compress, record
from steelquant.learning.synthetic.edge import Decarburised, Edge, decarburise, render_resin, specimen_edge
from steelquant.learning.synthetic.ferrite import apply_interface, render_ferrite
from steelquant.learning.synthetic.noise import Float, soft_step
from steelquant.learning.synthetic.optics import expose
from steelquant.learning.synthetic.pearlite import render_pearlite
from steelquant.learning.synthetic.plans import FieldPlan, PreparationPlan, sample_plan
from steelquant.learning.synthetic.preparation import crack, inclusions, scratches, stains, uneven_etch
from steelquant.learning.synthetic.recipe import Recipe
from steelquant.learning.synthetic.structure import Structure, build_structure, connected_labels
from steelquant.micrograph.field import EXCLUDED


@dataclass(frozen=True)
class SyntheticField:
    """A synthetic micrograph and what is true of it.

    Attributes
    ----------
    pixels
        ``(height, width, 3)`` uint8 RGB.
    labels
        ``(height, width)`` uint8: 0 ferrite, 1 pearlite, 255 no steel (resin, bars, text, eyepiece, wide
        cracks). Inclusions, pull-outs, pits and scratches keep the label of the phase in which they lie.
    grains
        ``(height, width)`` int32: number of the ferrite grain section from 1; 0 where there is no ferrite.
    pixel_size_um
        Edge of a pixel on the specimen.
    parameters
        Everything that was sampled, nested by subject, of plain numbers, texts and lists.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    grains: NDArray[np.int32]
    pixel_size_um: float
    parameters: dict[str, Any]


def synthesize_field(recipe: Recipe, seed: int | Sequence[int], height: int, width: int) -> SyntheticField:
    """Make one micrograph; the same recipe, seed, size and version give the same pixels.

    Parameters
    ----------
    recipe
        Ranges to draw from.
    seed
        One number, or several such as ``(seed, index)``.
    height, width
        Size of the finished picture in pixels, at least 32.

    Returns
    -------
    SyntheticField
    """
    if min(height, width) < 32:
        raise ValueError(f"a field must be at least 32 pixels wide and high, not {width}×{height}")
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
    plan = sample_plan(rng, recipe, height, width)
    rows = max(32, round(height / plan.rescale))
    columns = max(32, round(width / plan.rescale))
    edge: Edge | None = None
    decarburised: Decarburised | None = None
    if plan.surroundings.resin_share > 0:
        edge = specimen_edge(rng, rows, columns, plan.surroundings.resin_share)
        if plan.surroundings.decarburised_px > 0:
            reach = plan.surroundings.decarburised_px / plan.rescale
            decarburised = decarburise(edge, reach, plan.surroundings.columns)
    structure = build_structure(rng, rows, columns, plan.structure, decarburised)
    labels = structure.pearlite.astype(np.uint8)
    grains = structure.ferrite_grains()
    scene = _scene(rng, structure, plan)
    if edge is not None:
        _mount(rng, scene, edge, plan)
        labels[edge.resin] = EXCLUDED
    if plan.surroundings.crack_px > 0:
        gap = crack(rng, rows, columns, plan.surroundings.crack_px / plan.rescale)
        scene[gap] = np.float32(rng.uniform(0.01, 0.12))
        labels[gap] = EXCLUDED
    light = expose(rng, scene, plan.optics)
    if plan.surroundings.eyepiece_radius > 0:
        middle = (float(rng.normal(0.5, 0.04)), float(rng.normal(0.5, 0.04)))
        labels[around.apply_eyepiece(rng, light, plan.surroundings.eyepiece_radius, middle)] = EXCLUDED
    pixels = record(rng, light, plan.camera)
    if (rows, columns) != (height, width):
        pixels, labels, grains = _resize(pixels, labels, grains, height, width)
    pixels, labels = pixels.copy(), labels.copy()
    if plan.surroundings.info_bar:
        around.add_info_bar(rng, pixels, labels, plan.pixel_size_um)
    if plan.surroundings.scale_bar:
        around.add_scale_bar(rng, pixels, labels, plan.pixel_size_um)
    if plan.surroundings.letter:
        around.add_letter(rng, pixels, labels)
    pixels = compress(pixels, plan.camera.jpeg_quality)
    grains[labels != 0] = 0
    return SyntheticField(pixels, labels, connected_labels(grains), plan.pixel_size_um, _plain(plan))


def _scene(rng: np.random.Generator, structure: Structure, plan: FieldPlan) -> Float:
    """Return the specimen's brightness in colour, ``(height, width, 3)``; clean ferrite is 1."""
    pearlite = structure.pearlite
    height, width = pearlite.shape
    count = int(max(structure.base.first.max(), structure.base.second.max())) + 1
    grey = render_ferrite(rng, structure.base, structure.inserts, count, plan.ferrite)
    scene = np.repeat(grey[..., None], 3, axis=2)
    if pearlite.any():
        dark, tint = render_pearlite(rng, pearlite, plan.pearlite)
        scene[pearlite] = dark[:, None] * tint
        apply_interface(rng, scene, pearlite, plan.ferrite)
    if plan.preparation.etch_unevenness > 0:
        scene = 1 + (scene - 1) * uneven_etch(rng, height, width, plan.preparation.etch_unevenness)[..., None]
    _prepare(rng, scene, plan.preparation, plan.structure.rolling_angle_deg)
    return scene


def _prepare(rng: np.random.Generator, scene: Float, plan: PreparationPlan, rolling_angle_deg: float) -> None:
    height, width = scene.shape[:2]
    if plan.inclusion_count:
        cover = inclusions(
            rng, height, width, plan.inclusion_count, plan.inclusion_px, plan.stringers, rolling_angle_deg
        )
        tone = np.float32(rng.uniform(0.02, 0.35))
        scene += cover[..., None] * (tone - scene)
    if plan.scratch_count:
        marks = scratches(
            rng, height, width, plan.scratch_count, plan.scratch_strength, fine=plan.fine_scratches
        )
        scene *= 1 + marks[..., None]
    if plan.stain_count:
        cover, brown = stains(rng, height, width, plan.stain_count, plan.stain_strength)
        for channel, tint in enumerate((0.75, 1.0, 1.25)):
            scene[..., channel] *= 1 - np.minimum(
                cover * (1 + brown * np.float32(tint - 1)), np.float32(0.93)
            )


def _mount(rng: np.random.Generator, scene: Float, edge: Edge, plan: FieldPlan) -> None:
    resin = render_resin(rng, edge, plan.surroundings.resin_grey)
    # Polishing rounds the edge off: it falls out of focus and into the dark.
    reach = float(np.exp(rng.uniform(0, np.log(60)))) / plan.rescale
    scene *= (0.25 + 0.75 * soft_step(edge.depth, -0.3 * reach, reach))[..., None]
    scene[edge.resin] = resin[edge.resin][:, None] * rng.uniform(0.85, 1.15, 3).astype(np.float32)


def _resize(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], grains: NDArray[np.int32], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]:
    rows, columns = labels.shape
    smooth = cv2.INTER_AREA if height < rows else cv2.INTER_CUBIC
    pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=smooth), np.uint8)
    row = ((np.arange(height) + 0.5) * rows / height).astype(int)[:, None]
    column = ((np.arange(width) + 0.5) * columns / width).astype(int)[None, :]
    return pixels, labels[row, column], grains[row, column]


def _plain(plan: FieldPlan) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, (tuple, list)) else value

    result: dict[str, Any] = plain(dataclasses.asdict(plan))
    return result
