"""How often fields that the shipped network knows, and others, are told: both rates, with counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from steelquant.learning.segmenter import NetworkSegmenter, load_segmenters
from steelquant.learning.synthetic.field import synthesize_field
from steelquant.learning.synthetic.plans import sample_plan
from steelquant.learning.synthetic.recipe import Recipe
from steelquant.micrograph.field import STEEL_CLASSES
from steelquant.micrograph.reading import read_micrograph
from steelquant.networks.familiarity import Familiarity
from steelquant.networks.weights import find_weights, read_metadata
from steelquant.segmentation.familiarity import doubts
from steelquant.segmentation.look import look_at

REAL = Path(__file__).resolve().parents[3] / "shared/data"
SEED = 20_260_101
"""Of no training set: these fields are held out."""

Judge = Callable[[NDArray[np.uint8]], list[str]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Tell in what a field is unlike the training fields of the shipped MobileNetV2."""
    path = find_weights("mobilenetv2")
    familiarity = read_metadata(path).familiarity
    assert isinstance(familiarity, Familiarity), "the shipped weights do not know their training fields"
    segmenter: NetworkSegmenter
    (segmenter,) = load_segmenters("mobilenetv2", classes=STEEL_CLASSES, weights=path, warn=print)

    def tell(pixels: NDArray[np.uint8]) -> list[str]:
        labels, confidence = segmenter.segment(pixels)
        look = look_at(pixels, labels)
        assert look is not None
        return doubts(look, float(confidence.mean()), familiarity, STEEL_CLASSES)

    return tell


def _report(name: str, told: dict[str, list[str]]) -> None:
    """Print both the rate and what was said, for whoever runs with ``-s``."""
    print(f"\n{name}: {sum(map(bool, told.values()))} of {len(told)} told")
    for field, lines in told.items():
        if lines:
            print(" ", field, json.dumps(lines, ensure_ascii=False))


def test_held_out_synthetic_fields_are_seldom_told(judge: Judge) -> None:
    recipe = Recipe()
    told: dict[str, dict[str, list[str]]] = {"clean": {}, "degraded": {}}
    for place in range(80):
        seed = (SEED, place)
        plan = sample_plan(
            np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed))), recipe, 448, 448
        )
        field = synthesize_field(recipe, seed, 448, 448)
        if np.count_nonzero(field.labels == 255) > 0.02 * field.labels.size:
            continue  # resin, an info bar, an eyepiece: what is to be told
        told["degraded" if plan.degradations else "clean"][str(place)] = judge(field.pixels)
    for name, fields in told.items():
        _report(f"synthetic, {name}", fields)
        assert len(fields) >= 25
    assert sum(map(bool, told["clean"].values())) <= 0.05 * len(told["clean"])
    assert sum(map(bool, told["degraded"].values())) <= 0.12 * len(told["degraded"])


@pytest.mark.skipif(not REAL.is_dir(), reason="the real micrographs are not here")
def test_real_fields_of_another_kind_are_told_and_good_ones_are_not(judge: Judge) -> None:
    def fields(pattern: str) -> dict[str, NDArray[np.uint8]]:
        return {path.name: read_micrograph(path).pixels for path in sorted(REAL.glob(pattern))}

    mosaics = fields("aisi_1045_decarburised/*.png")
    eyepiece = fields("line_pipe_hard/eyepiece_blurred.jpg")
    sets = {
        "good, optical": fields("lom_ferrite_pearlite/images/*.png") | fields("sae_1020_1045/*.png"),
        "good, steel part of the mosaics": {name: pixels[560:] for name, pixels in mosaics.items()},
        "mosaics with resin": mosaics,
        "blurred, through an eyepiece": eyepiece,
        "its middle, without the surround": {
            name: pixels[_middle(pixels.shape[0]), _middle(pixels.shape[1])]
            for name, pixels in eyepiece.items()
        },
        "SEM": fields("uhcs_sem/*/images/*.tif"),
    }
    counts: Counter[str] = Counter()
    for name, members in sets.items():
        told = {field: judge(np.ascontiguousarray(pixels)) for field, pixels in members.items()}
        _report(name, told)
        counts[name] = sum(map(bool, told.values()))
    assert [len(members) for members in sets.values()] == [9, 2, 2, 1, 1, 24]
    assert counts["good, optical"] == counts["good, steel part of the mosaics"] == 0
    assert counts["mosaics with resin"] == 2
    assert counts["blurred, through an eyepiece"] == 1
    assert counts["SEM"] >= 20


def _middle(length_px: int) -> slice:
    return slice(length_px // 3, length_px - length_px // 3)
