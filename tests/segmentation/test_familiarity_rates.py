"""How often fields that the shipped network knows, and others, are told: both rates, with counts."""

from __future__ import annotations

import json
import os
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
MODEL = os.environ.get("STEELQUANT_RATES_OF", "mobilenetv2")
"""Which of the shipped networks is judged."""

DISTANCES: dict[str, list[float]] = {}
"""By set, of each field the distance of its features over its limit."""

SEED = 20_260_101
"""Of no training set: these fields are held out."""

Judge = Callable[[NDArray[np.uint8]], tuple[list[str], float]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Tell in what a field is unlike the training fields of a network, and how far its features are."""
    path = find_weights(MODEL)
    familiarity = read_metadata(path).familiarity
    assert isinstance(familiarity, Familiarity), "the shipped weights do not know their training fields"
    segmenter: NetworkSegmenter
    (segmenter,) = load_segmenters(MODEL, classes=STEEL_CLASSES, weights=path, warn=print)
    spread = familiarity.features
    assert spread is not None, "the shipped weights do not know what they saw in their training fields"

    def tell(pixels: NDArray[np.uint8]) -> tuple[list[str], float]:
        labels, confidence, deep = segmenter.look_into(pixels)
        look, seen = look_at(pixels, labels), deep.seen(labels)
        assert look is not None
        assert seen is not None
        distance = float(np.median(spread.distances(seen.features)))
        lines = doubts(look, float(confidence.mean()), familiarity, STEEL_CLASSES, seen.features)
        assert any("what the network sees" in line for line in lines) == (distance > spread.limit)
        return lines, distance / spread.limit

    return tell


Told = dict[str, tuple[list[str], float]]


def _count(told: Told) -> int:
    return sum(bool(lines) for lines, _ in told.values())


def _report(name: str, told: Told) -> None:
    """Print the rate, what was said, and how far features lie over their limit, for runs with ``-s``."""
    far = sum(distance > 1 for _, distance in told.values())
    middle = np.median([distance for _, distance in told.values()])
    print(
        f"\n{name}: {_count(told)} of {len(told)} told, {far} by features (median {middle:.2f} of the limit)"
    )
    for field, (lines, distance) in told.items():
        if lines:
            print(f"  {field} {distance:.2f}", json.dumps(lines, ensure_ascii=False))
    DISTANCES[name] = [distance for _, distance in told.values()]


def _auroc(usual: list[float], unlike: list[float]) -> float:
    """Return how often a field that is unlike lies farther out than a usual one; ties count half."""
    differences = np.subtract.outer(unlike, usual)
    return float(np.mean(differences > 0) + np.mean(differences == 0) / 2)


def test_held_out_synthetic_fields_are_seldom_told(judge: Judge) -> None:
    recipe = Recipe()
    told: dict[str, Told] = {"clean": {}, "degraded": {}}
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
    assert _count(told["clean"]) <= 0.05 * len(told["clean"])
    assert _count(told["degraded"]) <= 0.12 * len(told["degraded"])


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
        "austenite, of one phase": fields("grains_astm/sus304*.jpg"),
        "ferrite, of one phase": fields("grains_astm/nist_steel_raw.tif"),
    }
    counts: Counter[str] = Counter()
    for name, members in sets.items():
        told = {field: judge(np.ascontiguousarray(pixels)) for field, pixels in members.items()}
        _report(name, told)
        counts[name] = _count(told)
    usual = {
        "good": DISTANCES["good, optical"] + DISTANCES["good, steel part of the mosaics"],
        "held-out": DISTANCES.get("synthetic, clean", []) + DISTANCES.get("synthetic, degraded", []),
    }
    for name in list(sets)[2:]:
        against = {kind: round(_auroc(near, DISTANCES[name]), 3) for kind, near in usual.items() if near}
        print(f"{name}: area under the curve of the features' distance against {against}")
    assert [len(members) for members in sets.values()] == [9, 2, 2, 1, 1, 24, 3, 1]
    assert counts["good, optical"] == counts["good, steel part of the mosaics"] == 0
    assert counts["mosaics with resin"] == 2
    assert counts["blurred, through an eyepiece"] == 1
    assert counts["SEM"] >= 20
    assert counts["austenite, of one phase"] == 3


def _middle(length_px: int) -> slice:
    return slice(length_px // 3, length_px - length_px // 3)
